"""Sums of arrays that come one after the other: as they come, or in one fixed tree.

Floating-point addition is not associative: (a + b) + (c + d) and ((a + b) + c) + d may differ in the last bit, and so
do the weights of a run on one process and on four. With --shards a batch is always cut into the same V parts, V a power
of two, and what they give is always added up as

        1+2+3+4                        V = 4: one process adds it all up; of two, the first has made 1+2 and the
        /     \\                        second 3+4; of four, each has made a leaf
      1+2     3+4
      / \\     / \\
     1   2   3   4

Source    Higham, "The accuracy of floating point summation", SIAM J. Sci. Comput. 14, 1993 (pairwise summation; its
          error grows with log V only)
"""

from typing import Protocol

import numpy as np

from ..types import Array
from .ranks import World


class Sum(Protocol):
    """What both have."""

    def add(self, array: Array) -> None:
        """The next term; it is the sum's own from now on."""

    def total(self) -> Array:
        """The sum so far."""


class PlainSum:
    """Each term is added to those before it."""

    def __init__(self) -> None:
        self._total: Array | None = None

    def add(self, array: Array) -> None:
        """The next term."""
        if self._total is None:
            self._total = array
        else:
            self._total += array

    def total(self) -> Array:
        """The sum; ValueError if there was no term."""
        if self._total is None:
            raise ValueError("PlainSum: no term was added")
        return self._total


class TreeSum:
    """In the tree above. At any time it holds one array a level at most: of two, their sum goes a level up."""

    def __init__(self) -> None:
        self._levels: list[Array | None] = []

    def add(self, array: Array) -> None:
        """The next term."""
        for level, found in enumerate(self._levels):
            if found is None:
                self._levels[level] = array
                return
            found += array  # the left one, which came before, first
            self._levels[level], array = None, found
        self._levels.append(array)

    def total(self) -> Array:
        """The sum; ValueError unless a power of two of terms was added."""
        *below, top = self._levels or [None]
        if top is None or any(array is not None for array in below):
            raise ValueError("TreeSum: the number of terms must be a power of two")
        return top


def tree_sum(world: World, array: Array) -> Array:
    """The sum over ranks of arrays (N,), of which each is the rank's own subtree: the rest of the tree.

    Each rank adds up a stretch of the array for all of them. The number of ranks must be a power of two.
    """
    if world.size == 1:
        return array
    each = -(-array.size // world.size)  # elements of a stretch; the last one is filled up with zeros
    missing = each * world.size - array.size
    stretches = np.concatenate([array, np.zeros_like(array[:1]).repeat(missing)]).reshape(world.size, each)
    terms = world.exchange(stretches)  # (size, each): this rank's stretch, as every rank has it
    while len(terms) > 1:
        terms = terms[0::2] + terms[1::2]  # a level up
    return world.gather(terms[0]).reshape(-1)[: array.size]
