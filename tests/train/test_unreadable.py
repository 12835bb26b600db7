"""Unreadable pictures on several ranks: all know of all, in one order, and all say the same when there are too many."""

import numpy as np
import thread_ranks

from minicnn.data import DataLoader, TooManyBadImages
from minicnn.train.unreadable import Teller, share_unreadable

FOUND = [["a", "c"], ["b", "c"], ["b", "d"]]  # by each rank


def share(world, allowed):
    loaders = [DataLoader(np.zeros((10, 1)), max_bad_fraction=allowed / 10) for _ in range(2)]
    loaders[0].bad = dict.fromkeys(FOUND[world.rank], f"rank {world.rank}")
    try:
        share_unreadable(loaders, world)
    except TooManyBadImages as error:
        return str(error), error.on_all_ranks
    return list(loaders[0].bad.items()), loaders[1].bad


def test_all_ranks_know_what_any_could_not_read():
    together = [("a", "rank 0"), ("c", "rank 0"), ("b", "rank 1"), ("d", "rank 2")]
    assert thread_ranks.run(3, lambda world: share(world, 4)) == 3 * [(together, {})]


def test_too_many_are_the_same_error_on_all():
    said = thread_ranks.run(3, lambda world: share(world, 2))
    assert said == said[:1] * 3 and said[0][0].startswith("3 of 10 pictures are unreadable") and said[0][1]


def test_each_is_told_once(capsys):
    teller, loader = Teller(), DataLoader(np.zeros((10, 1)), max_bad_fraction=1)
    for pictures in ({"a": "damaged"}, {}, {"a": "damaged", "b\n": "gone"}):
        loader.add_bad(pictures)
        teller.tell([loader])
    line = "skipped an unreadable picture: "
    assert capsys.readouterr().out.splitlines() == [f"{line}a: damaged", f"{line}b\\n: gone"]
