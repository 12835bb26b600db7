"""Ranks as threads of this process: ops over ranks in every place, and in wrong versions, without MPI.

    results = thread_ranks.run(3, lambda world: F.sync_batch_norm(parts[world.rank], ...))     # of each rank, in a list

Inside, each thread's ``world()`` is its own, and so are its random numbers. One of them runs at a time, until it waits
for the others, so that what is not made for threads, the emulated GPU for one, runs here as ever. Ranks that meet in
different calls get an error, where MPI would wait for ever, or mix up numbers.
"""

import copy
import pickle
import sys
import threading

import numpy as np
import pytest

from minicnn import random, tier
from minicnn.device import current_tier
from minicnn.distributed import World, world
from minicnn.distributed.ending import on_all_ranks

PATIENCE = 60  # seconds for which a rank waits for the others


class Team:
    """What the ranks of one run share."""

    def __init__(self, size):
        self.size, self.values = size, [None] * size
        self.turn = threading.Condition()  # whoever has it runs
        self.arrived = self.meetings = 0
        self.waiting = []  # for what the others wait: functions, true when it has come
        self.ended, self.broken = 0, False  # how many ranks have; whether one has with an error
        self.sums = []  # [{rank: (kind, array)}] of start_sum, by number of the call

    def exchange(self, rank, kind, value):
        """Every rank's value; an error if one of them is in another call, or has another kind of array."""
        self.values[rank] = kind, value
        self._meet()
        values = list(self.values)
        self._meet()  # everybody has read them: the next call may write
        return one_kind(values)

    def _meet(self):
        meeting = self.meetings
        self.arrived += 1
        if self.arrived == self.size:
            self.arrived, self.meetings = 0, meeting + 1
        self.wait_until(lambda: self.meetings > meeting)

    def wait_until(self, has_come):
        """Let the others run until it is so; an error if that will never be."""
        streams = random._streams
        self.waiting.append(has_come)
        self.turn.notify_all()
        self.turn.wait_for(lambda: self.broken or has_come() or self._stuck(), PATIENCE)
        self.waiting.remove(has_come)
        random._streams = streams
        if not has_come():
            self.broken = True
            self.turn.notify_all()
            raise Left("another rank has ended, or waits for something else")

    def _stuck(self):
        return self.ended + len(self.waiting) == self.size and not any(has_come() for has_come in self.waiting)


class Left(RuntimeError):
    """A rank waits for others that do not come."""


def one_kind(values):
    kinds = {kind for kind, _ in values}
    assert len(kinds) == 1, f"the ranks meet in different calls: {kinds}"
    return [value for _, value in values]


def kind_of(call, array):
    return call, array.shape, array.dtype, type(array)


class ThreadRank(World):
    """One of them."""

    def __init__(self, team, rank):
        self.team, self.rank, self.size = team, rank, team.size
        self.calls = []  # what it has taken part in
        self.started = 0  # how many sums

    def _all(self, call, array):
        self.calls.append((call, array.shape))
        return self.team.exchange(self.rank, kind_of(call, array), array.copy())

    def sum(self, array):
        first, *others = self._all("sum", array)
        return sum(others, first).reshape(array.shape)  # of no axis: an array nevertheless

    def start_sum(self, array, send="float32"):
        self.calls.append(("start_sum", array.shape))
        if self.started == len(self.team.sums):
            self.team.sums.append({})
        handed_in = self.team.sums[self.started]
        handed_in[self.rank] = kind_of(f"start_sum {self.started} as {send}", array), array.copy()
        self.started += 1
        array[...] = np.nan  # nobody may look at it, or add to it, until the sum is there
        return Started(self.team, handed_in, array)

    def gather(self, array):
        return np.stack(self._all("gather", array))

    def scatter_sum(self, array):
        return sum(self._all("scatter_sum", array))[self.rank]

    def exchange(self, array):
        return np.stack([theirs[self.rank] for theirs in self._all("exchange", array)])

    def broadcast(self, array):
        return self._all("broadcast", array)[0]

    def share(self, value):
        return pickle.loads(self.team.exchange(self.rank, "share", pickle.dumps(value))[0])

    def on_rank_0(self, function, *args, **keywords):
        result = error = None
        if self.is_main:
            try:
                result = function(*args, **keywords)
            except Exception as raised:
                error = raised
        result, error = self.team.exchange(self.rank, "on_rank_0", (result, error))[0]
        if error is not None:
            raise on_all_ranks(error)
        return result

    def gather_values(self, value):
        return self.team.exchange(self.rank, "gather_values", value)


class Started:
    """A sum on its way."""

    def __init__(self, team, handed_in, array):
        self.team, self.handed_in, self.array = team, handed_in, array

    def wait(self):
        self.team.wait_until(lambda: len(self.handed_in) == self.team.size)
        self.array[...] = sum(one_kind([self.handed_in[rank] for rank in range(self.team.size)]))


def run(size, function):
    """[function(world)] of `size` ranks. The first error of a rank is raised here."""
    team, own, results, errors = Team(size), threading.local(), [None] * size, []
    here, streams = current_tier(), random._streams

    def work(rank):
        own.world = ThreadRank(team, rank)
        with team.turn, tier(here):
            random._streams = copy.deepcopy(streams)
            try:
                results[rank] = function(own.world)
            except BaseException as error:
                errors.append(error)
                team.broken = True  # the others get an error, where they would wait for this one
            finally:
                team.ended += 1
                team.turn.notify_all()

    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(random, "_streams", streams)  # afterwards they are what they were
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
