"""A loader that takes a part of each batch: all parts together are what one loader hands over; parts without a row."""

from typing import NamedTuple

import numpy as np
import pytest
from checks import raises
from PIL import Image
from random_pictures import Pictures, assert_same, loader, loader_threads

from minicnn import Tensor
from minicnn.data import (
    PCA,
    BadImage,
    ChannelMean,
    ChannelMeanStd,
    DataError,
    DataLoader,
    MeanImage,
    TenCrop,
    TooManyBadImages,
    ZeroToOne,
)
from minicnn.distributed.rows import rows


class Pair(NamedTuple):
    image: np.ndarray
    label: int


class Items:
    """Items i -> make(i); those numbered `bad` are unreadable pictures."""

    def __init__(self, make, count=11, bad=()):
        self.make, self.count, self.bad, self.asked = make, count, bad, []

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        self.asked.append(index)
        if index in self.bad:
            raise BadImage(f"{index}.jpg", "damaged")
        return self.make(index)


def array(i):
    return np.random.default_rng(i).standard_normal((2, 3))


# The cut


def test_parts_follow_each_other_and_none_is_longer_than_another_by_two():
    for count in range(40):
        for parts in range(1, 9):
            cut = [rows(count, part, parts) for part in range(parts)]
            assert [row for part in cut for row in part] == list(range(count))
            assert max(map(len, cut)) - min(map(len, cut)) <= 1
    assert [list(rows(8, part, 3)) for part in range(3)] == [[0, 1], [2, 3, 4], [5, 6, 7]]
    assert [len(rows(1, part, 3)) for part in range(3)] == [0, 0, 1]


# All parts together


def leaves(batch):
    if isinstance(batch, dict):
        return [leaf for key in sorted(batch) for leaf in leaves(batch[key])]
    if isinstance(batch, tuple):
        return [leaf for part in batch for leaf in leaves(part)]
    return [batch.numpy() if isinstance(batch, Tensor) else batch]


def form(batch):
    """Its kinds of tuples and dicts; of its leaves, kind, dtype and the shape of a row."""
    if isinstance(batch, dict):
        return {key: form(part) for key, part in batch.items()}
    if isinstance(batch, tuple):
        return type(batch), [form(part) for part in batch]
    return type(batch), batch.dtype, batch.shape[1:]


def assert_parts_are(whole, parts):
    """whole: batches; parts: for each part, as many batches."""
    for batch, *cut in zip(whole, *parts, strict=True):
        assert [form(part) for part in cut] == [form(batch)] * len(cut)
        for leaf, *pieces in zip(leaves(batch), *map(leaves, cut), strict=True):
            assert [len(piece) for piece in pieces] == [len(rows(len(leaf), r, len(cut))) for r in range(len(cut))]
            assert np.array_equal(np.concatenate(pieces), leaf)


X, Y = np.random.default_rng(0).standard_normal((11, 2, 3)).astype(np.float32), np.arange(11, dtype=np.int16)
DATA = {
    "arrays": (X, Y),
    "an array": X,
    "pictures": ((255 * np.abs(X)).astype(np.uint8)[:, None], Y),
    "Tensors": (Tensor(X), Tensor(Y)),
    "items": Items(lambda i: (array(i), i, i / 2)),
    "numbers": Items(lambda i: i),
    "nested": Items(lambda i: ((array(i), Tensor([float(i)])), {"label": i, "also": [i % 2 == 0]})),
    "named tuples": Items(lambda i: Pair(array(i).astype(np.float32), i)),
    "PIL images": Items(lambda i: (Image.new("RGB", (4, 5), (i, 2 * i, 3 * i)), i)),
}


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("shuffle", [False, True])
def test_all_parts_together_are_the_batch(data, shuffle):
    for batch_size in range(1, 9):
        settings = {"batch_size": batch_size, "shuffle": shuffle, "seed": batch_size}
        whole = list(DataLoader(DATA[data], **settings))
        for count in range(1, 6):
            parts = [DataLoader(DATA[data], **settings, part=(part, count)) for part in range(count)]
            assert {len(part) for part in parts} == {len(whole)}
            assert_parts_are(whole, parts)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_pictures_are_augmented_as_in_the_whole_batch(num_workers):
    for start in (0, 4):
        for epoch in (0, 1):
            whole = list(loader(num_workers=0).epoch(epoch, start))
            parts = [loader(num_workers=num_workers, part=(part, 3)).epoch(epoch, start) for part in range(3)]
            for batch, *cut in zip(whole, *parts, strict=True):
                assert {part.position for part in cut} == {batch.position}
                for name in ("images", "labels", "indices", "rows"):
                    pieces = [getattr(part, name) for part in cut]
                    assert np.array_equal(np.concatenate(pieces), getattr(batch, name))
                    assert {piece.dtype for piece in pieces} == {getattr(batch, name).dtype}
    assert not loader_threads()


def test_a_part_fetches_its_own_items_alone():
    data = Items(array, 16)
    list(DataLoader(data, 4, part=(1, 2)))
    assert data.asked == [2, 3, 6, 7, 10, 11, 14, 15]


def test_the_one_part_of_one_is_the_whole():
    for part in (None, (0, 1), [0, 1], (np.int64(0), np.int64(1))):
        one = loader(Pictures(12, bad={4, 5, 6, 7}), shuffle=False, max_bad_fraction=0.5, part=part)
        assert_same(one.epoch(0), loader(Pictures(12, bad={4, 5, 6, 7}), shuffle=False, max_bad_fraction=0.5).epoch(0))
        assert one.part == (0, 1) and "part" not in repr(one)


def test_the_part_may_be_set_later_and_is_shown():
    changed = loader()
    changed.part = 1, 2
    assert repr(changed).endswith("drop_last=False, part=(1, 2))")
    assert_same(changed.epoch(0), loader(part=(1, 2)).epoch(0))
    changed.part = None
    assert_same(changed.epoch(0), loader().epoch(0))


def test_short_batches_and_drop_last():
    sizes = {part: [len(b.labels) for b in loader(part=(part, 3)).epoch(0)] for part in range(3)}
    assert sizes == {0: [1] * 5 + [0], 1: [1] * 5 + [1], 2: [2] * 5 + [1]}
    assert [len(b.labels) for b in loader(part=(2, 3), drop_last=True).epoch(0)] == [2] * 5


# Unreadable pictures


@pytest.mark.parametrize("num_workers", [0, 2])
def test_unreadable_pictures_are_left_out_after_the_cut(num_workers):
    bad = {3, 5, 9, 10}
    for seed in range(3):
        settings = {"max_bad_fraction": 1, "seed": seed, "num_workers": num_workers}
        order = loader(seed=seed).order(0)
        parts = [loader(Pictures(22, bad=bad), part=(part, 3), **settings) for part in range(3)]
        met = []
        for number, part in enumerate(parts):
            own = [order[4 * p : 4 * p + 4][rows(min(4, 22 - 4 * p), number, 3)].tolist() for p in range(6)]
            assert [b.indices.tolist() for b in part.epoch(0)] == [[i for i in some if i not in bad] for some in own]
            met.append({f"picture {i}" for some in own for i in some if i in bad})
            assert set(part.bad) == met[-1]  # and no more: what another part meets is its own
        assert set().union(*met) == {f"picture {i}" for i in bad} and sum(map(len, met)) == 4
        whole = loader(Pictures(22, bad=bad), **settings)
        for batch, *cut in zip(whole.epoch(0), *(part.epoch(0) for part in parts), strict=True):
            assert np.array_equal(np.concatenate([part.images for part in cut]), batch.images)


def test_a_part_is_judged_by_what_the_whole_set_is_allowed():
    settings = {"shuffle": False, "max_bad_fraction": 2 / 22, "num_workers": 0}
    half = loader(Pictures(22, bad={2, 3, 4}), part=(0, 2), **settings)  # it has 0 1, 4 5, ...
    list(half.epoch(0))
    assert list(half.bad) == ["picture 4"]
    half.add_bad({"picture 2": "damaged", "picture 4": "known"})
    assert half.bad == {"picture 4": "damaged", "picture 2": "damaged"}
    with pytest.raises(TooManyBadImages, match=r"3 of 22 pictures are unreadable.*allows 2.*picture 3: damaged"):
        half.add_bad({"picture 3": "damaged"})
    with pytest.raises(TooManyBadImages, match="3 of 22"):
        list(loader(Pictures(22, bad={4, 5, 9}), part=(0, 2), **settings).epoch(0))


# Batches that are cut further


@pytest.mark.parametrize("bad", [(), (3, 5, 9, 10, 14, 15)], ids=["all", "some"])
def test_what_is_cut_later_is_what_more_parts_would_take(bad):
    settings = {"max_bad_fraction": 1, "num_workers": 0, "batch_size": 11, "shuffle": False}
    for of, count in ((1, 1), (1, 4), (2, 4), (4, 2), (8, 1), (1, 25)):
        finest = [loader(Pictures(20, bad), part=(part, of * count), **settings) for part in range(of * count)]
        whole = [loader(Pictures(20, bad), part=(part, of), **settings) for part in range(of)]
        for batch, *pieces in zip(
            zip(*(each.epoch(0) for each in whole), strict=True), *(each.epoch(0) for each in finest), strict=True
        ):
            cut = [piece for part in batch for piece in part.cut(count)]
            assert [piece.part for piece in cut] == [(part, of * count) for part in range(of * count)]
            assert_same(cut, pieces)
            assert {piece.images.dtype for piece in cut} == {np.dtype(np.uint8)}


def test_rows_are_places_in_the_whole_batch():
    first, last = loader(Pictures(6, {1, 2}), part=(0, 2), shuffle=False, max_bad_fraction=1).epoch(0)
    assert (first.rows.tolist(), first.size, first.part) == ([0], 4, (0, 2))  # row 1 is unreadable
    assert (last.rows.tolist(), last.size) == ([0], 2)
    first, last = loader(Pictures(6, {1, 2, 5}), part=(1, 2), shuffle=False, max_bad_fraction=1).epoch(0)
    assert (first.rows.tolist(), last.rows.tolist()) == ([3], []) and last.rows.dtype == np.int64
    whole, _ = DataLoader((X[:6], Y[:6]), 4).epoch(0)
    assert (whole.rows.tolist(), whole.size, whole.part) == ([0, 1, 2, 3], 4, (0, 1))
    assert np.shares_memory(whole.cut(3)[1].images, whole.images)


# A part that has no row


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("transform, shape", [(None, (3, 9, 8)), (TenCrop(6), (10, 3, 6, 6))])
def test_a_batch_of_no_pictures(num_workers, transform, shape):
    none = loader(Pictures(5), 1, transform, num_workers=num_workers, part=(0, 2))
    batches = list(none.epoch(0))
    assert [batch.position for batch in batches] == [0, 1, 2, 3, 4]
    for batch in batches:
        assert batch.images.shape == (0, *shape) and batch.images.dtype == np.uint8
        assert batch.labels.shape == batch.indices.shape == (0,)
        assert batch.labels.dtype == batch.indices.dtype == np.int64
    images, labels = next(iter(none))
    assert images.shape == (0, *shape) and images.dtype == np.float32 and labels.dtype == np.int64
    assert none.bad == {}


def test_its_form_is_that_of_the_nearest_item_that_can_be_read():
    data = Items(lambda i: np.zeros(i), 6, bad={2})  # of different lengths: the example's can be seen
    one = DataLoader(data, 1, part=(0, 2), max_bad_fraction=1)

    def form_at(start):
        data.asked.clear()
        return next(one._batches(0, range(start, len(one))))[0].shape, data.asked

    assert form_at(4) == ((0, 4), [4])  # of its own batch
    assert form_at(2) == ((0, 3), [2, 3])  # of the next one
    data.bad = {2, 4, 5}
    assert form_at(4) == ((0, 0), [4, 5, 0])  # round to the begin
    assert one.bad == {}
    data.bad = {1, 3}
    data.asked.clear()
    two = DataLoader(data, 2, part=(1, 2), max_bad_fraction=1)  # its rows are 1, 3, 5
    assert [batch.shape for batch in two] == [(0, 0), (0, 0), (1, 5)]
    assert data.asked == [1, 0, 3, 5]  # the example is looked for once
    assert list(two.bad) == ["1.jpg", "3.jpg"]
    data.bad = {3}
    data.asked.clear()
    assert [batch.shape for batch in two] == [(1, 1), (0, 1), (1, 5)]  # that of the latest batch
    assert data.asked == [1, 3, 5]


def test_an_example_that_is_no_part_of_a_batch_is_named():
    data = Items(lambda i: None, 6, bad={2})
    with raises(TypeError, "DataLoader: dataset[3] is None, and a batch holds arrays"):
        list(DataLoader(data, 1, part=(0, 2)).epoch(0, start=2))


@pytest.mark.parametrize("num_workers", [0, 2])
def test_no_item_can_be_read(num_workers):
    none = loader(Pictures(3, bad={0, 1, 2}), 1, num_workers=num_workers, shuffle=False, part=(0, 2))
    with raises(
        DataError, "DataLoader", "part (0, 2) of batch 1 has no item", "none can be read", "picture 1: damaged"
    ):
        list(none.epoch(0, start=1))
    assert not loader_threads()


def test_collate_fn_is_called_with_no_items():
    seen = []
    ends = DataLoader(Items(array, 3), 1, part=(0, 2), collate_fn=lambda items: seen.append(items) or len(items))
    assert list(ends) == [0, 0, 0] and seen == [[], [], []]
    with pytest.raises(ValueError, match="stack") as caught:
        list(DataLoader(Items(array, 3), 1, part=(0, 2), collate_fn=np.stack))
    assert caught.value.__notes__ == [
        "in collate_fn([]): part (0, 2) of batch 0 has no item, and collate_fn must make a batch of none, too"
    ]


@pytest.mark.parametrize(
    "normalize",
    [ZeroToOne(), MeanImage(), ChannelMean(), ChannelMeanStd(), PCA(4)],
    ids=lambda kind: type(kind).__name__,
)
def test_normalisers_take_a_batch_of_no_pictures(normalize):
    (batch,) = loader(batch_size=22).epoch(0)
    normalize.fit([batch.images])
    whole, none = normalize(batch.images), normalize(batch.images[:0])
    assert none.shape == (0, *whole.shape[1:]) and none.dtype == whole.dtype == np.float32


# Batches taken in strides


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("stride", [1, 2, 3, 7])
def test_strides_deal_out_whole_batches(num_workers, stride):
    whole = list(loader().epoch(1))
    for start in range(min(stride, 6)):
        assert_same(loader(num_workers=num_workers).epoch(1, start, stride), whole[start::stride])
    assert list(loader().epoch(1, 6, stride)) == []


def test_strides_leave_out_what_is_not_theirs():
    data = Items(lambda i: (array(i), i), 10)
    assert [batch.position for batch in DataLoader(data, 2).epoch(0, 1, 2)] == [1, 3]
    assert data.asked == [2, 3, 6, 7]


# What is no part


@pytest.mark.parametrize("value", [3, "01", (0,), (0, 1, 2), {0, 1}, np.array([0, 2])])
def test_what_is_no_pair(value):
    with raises(TypeError, "DataLoader: part must be a pair, (which part, of how many)", "world().part"):
        loader(part=value)


@pytest.mark.parametrize(
    "value, error, words",
    [
        ((0, 0), ValueError, ["part's second number", "at least 1, got 0"]),
        ((2, 2), ValueError, ["part's first number", "at most 1, got 2"]),
        ((-1, 2), ValueError, ["part's first number", "at least 0", "got -1"]),
        ((0, 2.0), TypeError, ["part's second number", "whole number, got 2.0"]),
        ((None, 2), TypeError, ["part's first number", "whole number, got None"]),
        ((True, 2), TypeError, ["part's first number", "whole number, got True"]),
    ],
)
def test_parts_that_there_are_not(value, error, words):
    with raises(error, "DataLoader", *words):
        loader(part=value)
    kept = loader(part=(1, 2))
    with raises(error, "DataLoader", *words):
        kept.part = value
    assert kept.part == (1, 2)


@pytest.mark.parametrize("stride, error", [(0, ValueError), (-1, ValueError), (1.5, TypeError), (None, TypeError)])
def test_what_is_no_stride(stride, error):
    with raises(error, "DataLoader: stride must be"):
        loader().epoch(0, 0, stride)


def test_pytorchs_sampler_is_told_of_the_part():
    with raises(TypeError, "DataLoader: sampler= is not built in", "part=world().part"):
        DataLoader((X, Y), 2, sampler=range(3))
