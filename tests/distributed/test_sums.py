"""Sums of arrays one after the other, and in one fixed tree."""

import numpy as np
import pytest
import thread_ranks
from checks import raises

from minicnn.distributed import World
from minicnn.distributed.sums import PlainSum, TreeSum, tree_sum


def terms(count, size=5, dtype=np.float64):
    """Of very different size: each order of their additions ends in other bits."""
    rng = np.random.default_rng(count)
    return (rng.standard_normal((count, size)) * 10.0 ** rng.integers(-6, 6, (count, size))).astype(dtype)


def by_the_tree(arrays):
    """((1 + 2) + (3 + 4)) + ..., written as it is meant."""
    if len(arrays) == 1:
        return arrays[0]
    half = len(arrays) // 2
    return by_the_tree(arrays[:half]) + by_the_tree(arrays[half:])


def added(new_sum, arrays):
    for array in arrays:
        new_sum.add(array.copy())
    return new_sum.total()


@pytest.mark.parametrize("count", [1, 2, 4, 8, 16])
def test_a_tree_adds_neighbours(count):
    arrays = terms(count)
    assert (added(TreeSum(), arrays) == by_the_tree(arrays)).all()


def test_terms_that_come_one_after_the_other_are_added_as_they_come():
    arrays = terms(5)
    expected = (((arrays[0] + arrays[1]) + arrays[2]) + arrays[3]) + arrays[4]
    assert (added(PlainSum(), arrays) == expected).all()
    assert (added(PlainSum(), terms(4)) != added(TreeSum(), terms(4))).any()  # else nobody would need a tree


def test_a_tree_holds_one_array_a_level():
    tree = TreeSum()
    for number, array in enumerate(terms(16), start=1):
        tree.add(array)
        assert sum(level is not None for level in tree._levels) == number.bit_count()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [1, 2, 4, 8])
@pytest.mark.parametrize("elements", [1, 3, 8, 13])  # the last stretch is filled up, or even empty
def test_ranks_add_up_the_same_tree(size, elements, dtype):
    arrays = terms(8, elements, dtype)

    def work(world):
        own = 8 // world.size
        return tree_sum(world, added(TreeSum(), arrays[world.rank * own : (world.rank + 1) * own]))

    for found in thread_ranks.run(size, work):
        assert found.dtype == dtype and found.shape == (elements,)
        assert (found == by_the_tree(arrays)).all()


def test_no_elements():
    assert all(found.shape == (0,) for found in thread_ranks.run(2, lambda world: tree_sum(world, np.zeros(0))))


def test_each_rank_adds_up_its_stretch_alone():
    def work(world):
        tree_sum(world, np.zeros(10))
        return world.calls

    assert thread_ranks.run(4, work) == [[("exchange", (4, 3)), ("gather", (3,))]] * 4


def test_one_process_adds_nothing():
    array = terms(1)[0]
    assert tree_sum(World(), array) is array


@pytest.mark.parametrize("count", [0, 3, 5, 6])
def test_a_tree_needs_a_power_of_two(count):
    with raises(ValueError, "TreeSum", "power of two"):
        added(TreeSum(), terms(count))


def test_no_term():
    with raises(ValueError, "PlainSum", "no term"):
        PlainSum().total()
