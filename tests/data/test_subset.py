"""Some classes of a set of pictures, some pictures of each."""

import numpy as np
import pytest
from checks import raises
from hypothesis import given
from hypothesis import strategies as st

from minicnn.data import DataError, only_classes, some_per_class


class Letters:
    """`counts[k]` pictures of class k, in a mixed order; picture i is the text "i"."""

    def __init__(self, counts):
        self.classes = [chr(97 + k) for k in range(len(counts))]
        labels = np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)), counts))
        self.samples = [(str(i), int(label)) for i, label in enumerate(labels)]

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
