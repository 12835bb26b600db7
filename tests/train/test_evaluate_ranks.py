"""Testing on several ranks: whole batches are dealt out, and every rank has the scores of one process.

The ranks are threads here, which hand in what is to be added.
"""

import itertools
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
from checks import raises
from PIL import Image

from minicnn import functional as F
from minicnn import nn
from minicnn.data import BadImage, CenterCrop, DataError, DataLoader, TooManyBadImages, ZeroToOne
from minicnn.progress import Progress
from minicnn.train import Classifier, evaluate
from minicnn.train.evaluate import show_on
from minicnn.train.meters import Scores

CLASSES = 6


class Colours(nn.Module):
    """Scores: a linear function of the picture's mean colour. It keeps how many pictures each call had."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(np.random.default_rng(0).normal(size=(CLASSES, 3)).astype(np.float32))
        self.sizes = []

    def forward(self, x):
        self.sizes.append(len(x))
        return F.linear(10 * x.mean(dim=(2, 3)), self.weight)


class Plain:
    """Pictures of one colour each; those numbered `bad` cannot be read."""

    def __init__(self, count, bad=()):
        self.bad, self.asked = bad, []
        self.samples = [(f"plain {i}", i % CLASSES) for i in range(count)]

    def __len__(self):
        return len(self.samples)

    def load(self, index):
        self.asked.append(index)
        if index in self.bad:
            raise BadImage(f"plain {index}", "broken")
        return Image.new("RGB", (9, 8), tuple(np.random.default_rng(index).integers(0, 256, 3).tolist()))


class Room:
    """Where the ranks meet: each hands something in, and when all have, gets what everybody has handed in."""

    def __init__(self, size):
        self.size, self.barrier = size, threading.Barrier(size, timeout=20)
        self.handed_in = [None] * size

    def all(self, rank, value):
        self.handed_in[rank] = value
        self.barrier.wait()
        values = list(self.handed_in)
        self.barrier.wait()  # before the next round overwrites them
        return values


class Rank:
    """A rank of a Room, as far as evaluate asks for it."""

    def __init__(self, room, rank):
        self.room, self.part = room, (rank, room.size)

    def sum(self, array):
        return np.sum(self.room.all(self.part[0], array), axis=0)

    def gather_values(self, value):
        return self.room.all(self.part[0], value)


def on_ranks(size, function):
    """[function(rank) on each of so many ranks]"""
    here, room = threading.local(), Room(size)

    def one(rank):
        here.world = Rank(room, rank)
        return function(rank)

    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(size) as pool:
        patch.setattr(sys.modules[evaluate.__module__], "world", lambda: here.world)
        return list(pool.map(one, range(size)))


def loader(pictures, batch_size=4, max_bad_fraction=1, **settings):
    transform = CenterCrop(8)
    return DataLoader(pictures, batch_size, transform=transform, max_bad_fraction=max_bad_fraction, **settings)


def evaluated(loaders, **settings):
    """(Scores, how many pictures each call of the network had)"""
    model = Colours()
    return evaluate([Classifier(model, ZeroToOne())], loaders, **settings), model.sizes


@pytest.mark.parametrize("size", [1, 2, 3, 4, 9])
@pytest.mark.parametrize("bad", [(), (1, 8, 9, 10, 11, 22), (0, 1, 2, 3)], ids=["all", "some", "the first batch"])
def test_ranks_have_the_scores_of_one_process(size, bad):
    whole, sizes = evaluated(loader(Plain(26, bad)))
    results = on_ranks(size, lambda rank: evaluated(loader(Plain(26, bad))))
    for scores, _ in results:
        assert scores.count == whole.count == 26 - len(bad) and isinstance(scores.count, int)
        assert scores.values() == pytest.approx(whole.values(), rel=1e-13)
        assert scores.values() == results[0][0].values()  # to the bit
    assert sorted(itertools.chain(*(own for _, own in results))) == sorted(sizes)  # whole batches, each one once


def test_a_rank_reads_its_own_pictures_alone():
    pictures = [Plain(26) for _ in range(2)]
    on_ranks(2, lambda rank: evaluated(loader(pictures[rank])))
    batches = [range(p, min(p + 4, 26)) for p in range(0, 26, 4)]
    assert [each.asked for each in pictures] == [list(itertools.chain(*batches[rank::2])) for rank in range(2)]


def test_several_scales_on_ranks():
    whole, _ = evaluated([loader(Plain(11, (5,))), loader(Plain(11, (5,)))])
    for scores, _ in on_ranks(2, lambda rank: evaluated([loader(Plain(11, (5,))), loader(Plain(11, (5,)))])):
        assert scores.values() == pytest.approx(whole.values(), rel=1e-13)


def test_every_rank_knows_all_unreadable_pictures():
    loaders = [loader(Plain(26, (1, 5, 9))) for _ in range(3)]
    on_ranks(3, lambda rank: evaluated(loaders[rank]))
    assert [each.bad for each in loaders] == [{f"plain {i}": "broken" for i in (1, 5, 9)}] * 3

    def too_many(rank):
        with pytest.raises(TooManyBadImages, match=r"3 of 26 pictures are unreadable .* allows 2") as caught:
            evaluated(loader(Plain(26, (1, 5, 9)), max_bad_fraction=2 / 26))  # each rank has met one
        assert caught.value.on_all_ranks

    on_ranks(3, too_many)


def test_none_could_be_read_is_judged_on_all_ranks_together():
    def first_alone(rank):
        return evaluated(loader(Plain(8, (4, 5, 6, 7))))[0].count  # rank 1 has no picture

    assert on_ranks(2, first_alone) == [4, 4]

    def none(rank):
        with pytest.raises(DataError, match=r"no validation picture could be read; .*plain \d: broken") as caught:
            evaluated(loader(Plain(8, range(8))))
        assert caught.value.on_all_ranks

    on_ranks(2, none)


def test_a_model_over_all_ranks_sees_every_batch_on_each():
    whole, sizes = evaluated(loader(Plain(10)))
    for scores, own in on_ranks(2, lambda rank: evaluated(loader(Plain(10)), part=(0, 1))):
        assert own == sizes and scores.state_dict() == whole.state_dict()  # to the bit


def test_after_batch_sees_the_ranks_own_batches_and_may_end_them():
    def positions(rank, last):
        seen = []
        scores, _ = evaluated(loader(Plain(26)), after_batch=lambda at, scores: seen.append(at) or at >= last)
        return seen, scores.count

    assert on_ranks(3, lambda rank: positions(rank, 9)) == [([0, 3, 6], 26), ([1, 4], 26), ([2, 5], 26)]
    assert on_ranks(3, lambda rank: positions(rank, 3)) == [([0, 3], 24), ([1, 4], 24), ([2, 5], 24)]


@pytest.mark.parametrize("part, message", [((0, 2), r"\(1, 2\), not \(0, 2\)"), ((1, 3), r"\(1, 2\), not \(1, 3\)")])
def test_other_parts_are_refused(part, message):
    def refused(rank):
        if rank == 1:
            with pytest.raises(ValueError, match=rf"evaluate: part must be \(0, 1\), every batch .*{message}"):
                evaluated(loader(Plain(8)), part=part)

    on_ranks(2, refused)
    with raises(TypeError, "evaluate: part must be a pair"):
        evaluated(loader(Plain(8)), part=2)


def test_loaders_of_parts_are_refused():
    with raises(ValueError, "evaluate: the loader hands over part (1, 2) of each batch", "without part="):
        evaluated([loader(Plain(8)), loader(Plain(8), part=(1, 2))])


# What the screen says


def test_progress_counts_the_batches_of_all_ranks(capsys):
    def shown(rank):
        if rank == 0:
            with Progress("validation", 7, every=2) as progress:
                return evaluated(loader(Plain(26)), after_batch=show_on(progress))
        return evaluated(loader(Plain(26)))

    on_ranks(3, shown)
    lines = [line.split("  ")[1] for line in capsys.readouterr().out.splitlines()]
    assert lines == ["3/7", "6/7"]  # after batches 0 and 3 of its own; 6 makes 7


@pytest.mark.parametrize(
    "part, lines",
    [
        ((0, 1), ["1: 0:08 left 4.0 images/s", "2: 0:07 left 4.0 images/s", "3: 0:06 left 4.0 images/s"]),
        ((0, 4), ["4: 0:02 left 16 images/s", "8: 0:01 left 16 images/s", "9: 0:00 left 16 images/s"]),
        ((1, 4), ["4: 0:02 left 16 images/s", "8: 0:01 left 16 images/s"]),
    ],
)
def test_time_left_and_speed_are_those_of_all_ranks(monkeypatch, part, lines):
    now, said = [0.0], []
    monkeypatch.setattr("minicnn.clock.time.perf_counter", lambda: now[0])
    progress = SimpleNamespace(total=9, update=lambda done, *texts: said.append(f"{done}: {' '.join(texts[:2])}"))
    show, scores = show_on(progress, part), Scores()
    for position in range(9)[part[0] :: part[1]][:3]:
        now[0] += 1  # a second and 4 pictures for each batch
        scores.update(1.0, np.eye(4), np.arange(4))
        show(position, scores)
    assert said == lines
