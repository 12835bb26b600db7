"""A split by a seed; some classes of a set of pictures, some pictures of each."""

import numpy as np
import pytest
from checks import raises
from hypothesis import given
from hypothesis import strategies as st

from minicnn import Tensor
from minicnn.data import (
    DataError,
    DataLoader,
    Dataset,
    Subset,
    TensorDataset,
    only_classes,
    random_split,
    some_per_class,
)


class Letters:
    """`counts[k]` pictures of class k, in a mixed order; picture i is the text "i"."""

    def __init__(self, counts):
        self.classes = [chr(97 + k) for k in range(len(counts))]
        labels = np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)), counts))
        self.samples = [(str(i), int(label)) for i, label in enumerate(labels)]

    def __len__(self):
        return len(self.samples)

    def load(self, index):
        return self.samples[index][0]


def by_name(pictures):
    """{name of the class: [which pictures]}"""
    found = {name: [] for name in pictures.classes}
    for key, label in pictures.samples:
        found[pictures.classes[label]].append(key)
    return found


@given(st.lists(st.integers(0, 5), min_size=1, max_size=5), st.data())
def test_only_classes(counts, data):
    pictures = Letters(counts)
    names = data.draw(st.lists(st.sampled_from(pictures.classes), min_size=1, unique=True))
    part = only_classes(pictures, names)
    assert part.classes == sorted(names)
    assert by_name(part) == {name: by_name(pictures)[name] for name in sorted(names)}
    assert [part.load(i) for i in range(len(part.samples))] == [key for key, _ in part.samples]


@given(st.lists(st.integers(0, 6), min_size=1, max_size=4), st.integers(1, 6), st.integers(0, 3))
def test_some_per_class(counts, count, seed):
    pictures = Letters(counts)
    part = some_per_class(pictures, count, seed)
    assert part.classes == pictures.classes
    assert [len(keys) for keys in by_name(part).values()] == [min(count, n) for n in counts]
    assert set(part.samples) <= set(pictures.samples)
    assert [int(key) for key, _ in part.samples] == sorted(int(key) for key, _ in part.samples)
    assert part.samples == some_per_class(Letters(counts), count, seed).samples


def test_the_seed_chooses():
    pictures = Letters([20, 20])
    choices = {tuple(some_per_class(pictures, 5, seed).samples) for seed in range(4)}
    assert len(choices) == 4 and len(pictures.samples) == 40
    assert some_per_class(pictures, 5).samples == some_per_class(pictures, 5, seed=0).samples


def test_classes_that_there_are_not():
    with raises(DataError, "x", "a, b"):
        only_classes(Letters([1, 1]), ["a", "x"])


@pytest.mark.parametrize("labels", [[0], []])
def test_fewer_than_asked_for(labels):
    pictures = Letters([len(labels)])
    assert some_per_class(pictures, 3).samples == pictures.samples


class Squares(Dataset):
    """Item i is i * i."""

    def __init__(self, count):
        self.count = count

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        return index * index


@given(st.integers(2, 40), st.lists(st.integers(1, 9), min_size=1, max_size=4), st.integers(0, 5))
def test_a_random_split_shares_every_item_out_once(count, weights, seed):
    fractions = [weight / sum(weights) for weight in weights]
    parts = random_split(Squares(count), fractions, seed=seed)
    assert sorted(part[i] for part in parts for i in range(len(part))) == [i * i for i in range(count)]
    for part, fraction in zip(parts, fractions, strict=True):
        assert isinstance(part, Subset) and abs(len(part) - count * fraction) <= 1
    again = random_split(Squares(count), [len(part) for part in parts], seed=seed)
    assert [part.indices for part in again] == [part.indices for part in parts]


def test_sizes_are_those_of_pytorch(torch):
    for count in range(10, 60):  # it warns of empty parts
        for fractions in ([0.9, 0.1], [0.5, 0.3, 0.2], [1 / 3, 1 / 3, 1 / 3]):
            theirs = torch.utils.data.random_split(range(count), fractions)
            assert [len(part) for part in random_split(Squares(count), fractions)] == [len(part) for part in theirs]


def test_parts_of_arrays_are_arrays_and_parts_of_pictures_pictures():
    images, labels = np.arange(20.0, dtype=np.float32).reshape(10, 2), Tensor(np.arange(10))
    train, val = random_split((images, labels), [8, 2], seed=1)
    assert isinstance(train, TensorDataset) and (len(train), len(val)) == (8, 2)
    for batch, numbers in DataLoader(train, 3, shuffle=True):
        assert batch.numpy()[:, 0].tolist() == [2 * i for i in numbers.tolist()]
    pictures = Letters([6, 4])
    some, others = random_split(pictures, [0.5, 0.5])
    assert sorted(some.samples + others.samples) == sorted(pictures.samples) and some.classes == pictures.classes
    assert not np.array_equal(random_split((images, labels), [8, 2], seed=2)[0].tensors[0], train.tensors[0])


@pytest.mark.parametrize(
    "lengths, message",
    [([0.8, 0.1], "add up to the 5 items"), ([2, 2], "add up"), ([7, -2], "negative"), ([2.5, 2.5], "add up")],
)
def test_lengths_that_do_not_add_up(lengths, message):
    with raises(ValueError, "random_split", "lengths", message):
        random_split(Squares(5), lengths)


def test_a_data_set_of_ones_own_that_is_not_finished():
    class Half(Dataset):
        def __len__(self):
            return 3

    with raises(NotImplementedError, "Half: write __getitem__"):
        list(DataLoader(Half()))
    assert repr(Subset([4, 5, 6], [0, 2])) == "Subset(2 of 3 items of [4, 5, 6])"
