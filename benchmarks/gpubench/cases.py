"""What a kernel is called with: random arrays and the other arguments.

A case is an op's NumPy function and arguments for it; its mirrors on the GPU take the same ones.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

POOL = (1 << 22) - 3  # random numbers drawn for a large array, which repeats them; no power of two


class Source:
    """Random arrays for the arguments, always the same ones; `move` puts them where they are wanted."""

    def __init__(self, dtype, move=lambda array: array):
        self.dtype, self.move, self.rng = np.dtype(dtype), move, np.random.default_rng(0)

    def normal(self, *shape, scale=1.0):
        return self.move(self.drawn(*shape, scale=scale))

    def drawn(self, *shape, scale=1.0):
        """N(0, scale^2) numbers of float32, in the dtype that is wanted, on the processor."""
        drawn = self.rng.standard_normal(min(POOL, int(np.prod(shape))), np.float32) * np.float32(scale)
        return np.resize(drawn, shape).astype(self.dtype, copy=False)

    def positive(self, *shape):
        return self.move((self.rng.random(shape, np.float32) + np.float32(0.5)).astype(self.dtype))

    def integers(self, below, *shape, dtype):
        return self.move(self.rng.integers(0, below, shape, dtype))


class Case(NamedTuple):
    """One op with arguments.

    reference    the function of an op's page; "function" below is one with its arguments
    label        what is particular about these sizes
    make         of a Source: the arguments
    operations   of a case that is bound by arithmetic; 0: bound by memory
    unread       positions of arguments that need not be read
    written      positions of arguments that it changes, in place of a result
    rung         another function than the mirror, in CUDA C++ alone: a rung of a ladder, or factors that are rounded
    dtypes       what it takes
    """

    reference: Callable
    label: str
    make: Callable
    operations: int = 0
    unread: tuple = ()
    written: tuple = ()
    rung: tuple = ()  # (name, function)
    dtypes: tuple = ("float32", "float64")

    @property
    def op(self):
        return self.rung[0] if self.rung else self.reference.__name__

    @property
    def name(self):
        return f"{self.op}, {self.label}"

    @property
    def like(self):
        """The name by which every way to work out the same is found."""
        return f"{self.reference.__name__}, {self.label}"


def transform(function, value):
    """`value` with `function` applied to its arrays: value is one, or a tuple or list of such values, or anything."""
    if type(value) in (tuple, list):  # not a named tuple, which has none
        return type(value)(transform(function, part) for part in value)
    return function(value) if hasattr(value, "dtype") and getattr(value, "ndim", None) is not None else value


def arrays_of(value):
    """Every array in it, in order."""
    found = []
    transform(found.append, value)
    return found
