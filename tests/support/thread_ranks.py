"""Ranks as threads of this process: ops over ranks in every place, and in wrong versions, without MPI.

    results = thread_ranks.run(3, lambda world: F.sync_batch_norm(parts[world.rank], ...))     # of each rank, in a list

Inside, each thread's ``world()`` is its own. One of them runs at a time, until it waits for the others, so that what is
not made for threads, the emulated GPU for one, runs here as ever.
"""

import sys
import threading

import numpy as np
import pytest

from minicnn import tier
from minicnn.device import current_tier
from minicnn.distributed import World, world

PATIENCE = 60  # seconds for which a rank waits for the others


class Team:
    """What the ranks of one run share."""

    def __init__(self, size):
        self.size, self.values = size, [None] * size
        self.turn, self.meeting = threading.Lock(), threading.Barrier(size)

    def exchange(self, rank, kind, value):
        """Every rank's value; an error if one of them is in another call, or has another kind of array."""
        self.values[rank] = kind, value
        self._meet()
        values = list(self.values)
        self._meet()  # everybody has read them: the next call may write
        kinds = {kind for kind, _ in values}
        assert len(kinds) == 1, f"the ranks meet in different calls: {kinds}"
        return [value for _, value in values]

    def _meet(self):
        self.turn.release()
        try:
            self.meeting.wait(PATIENCE)
        finally:
            self.turn.acquire()


class ThreadRank(World):
    """One of them."""

    def __init__(self, team, rank):
        self.team, self.rank, self.size = team, rank, team.size
        self.calls = []  # what it has taken part in

    def _all(self, call, array):
        self.calls.append((call, array.shape))
        return self.team.exchange(self.rank, (call, array.shape, array.dtype, type(array)), array.copy())

    def sum(self, array):
        first, *others = self._all("sum", array)
        return sum(others, first).reshape(array.shape)  # of no axis: an array nevertheless

    def gather(self, array):
        return np.stack(self._all("gather", array))

    def scatter_sum(self, array):
        return self.sum(array)[self.rank]

    def gather_values(self, value):
        return self.team.exchange(self.rank, "gather_values", value)

    def share(self, value):
        return self.gather_values(value)[0]


def run(size, function):
    """[function(world)] of `size` ranks. The first error of a rank is raised here."""
    team, own, results, errors = Team(size), threading.local(), [None] * size, []
    here = current_tier()

    def work(rank):
        own.world = ThreadRank(team, rank)
        with team.turn, tier(here):
            try:
                results[rank] = function(own.world)
            except BaseException as error:
                errors.append(error)
                team.meeting.abort()  # the others get an error, where they would wait for this one

    with pytest.MonkeyPatch.context() as monkeypatch:
        for name, module in list(sys.modules.items()):
            if name.startswith("minicnn") and getattr(module, "world", None) is world:
                monkeypatch.setattr(module, "world", lambda: own.world)
        threads = [threading.Thread(target=work, args=[rank]) for rank in range(size)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    if errors:
        raise errors[0]
    return results
