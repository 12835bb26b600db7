"""What a kernel is called with: random arrays and the other arguments.

A case is an op's NumPy function and arguments for it; its mirrors on the GPU take the same ones.
"""

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

POOL = (1 << 22) - 3  # random numbers drawn for a large array, which repeats them; no power of two


def normal(*shape, scale=1.0):
    """What makes an argument, as the two below: N(0, scale^2) numbers."""

    def make(rng, made):
        drawn = rng.standard_normal(min(POOL, math.prod(shape)), np.float32)
        return np.resize(drawn * np.float32(scale), shape)

    return make


def positive(*shape):
    return lambda rng, made: rng.random(shape, np.float32) + np.float32(0.5)


def integers(below, *shape, dtype):
    return lambda rng, made: rng.integers(0, below, shape, dtype)


@dataclass(frozen=True, eq=False)
class Case:
    """One op with arguments.

    reference    the function of an op's page; "function" below is one with its arguments
    label        what is particular about these sizes
    values       {name of a parameter: its argument, or a function that makes it, of a generator of random numbers and
                 of a dict of the arguments before it}
    operations   of a case that is bound by arithmetic; 0: bound by memory
    unread       the parameters that need not be read
    written      the parameters that it changes, in place of a result
    rung         (name, function), another function than the mirror, in CUDA C++ alone: a rung of a ladder, or factors
                 that are rounded
    dtypes       what it takes
    """

    reference: Callable
    label: str
    values: dict
    operations: int = 0
    unread: tuple = ()
    written: tuple = ()
    rung: tuple = ()
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

    @property
    def parameters(self):
        return list(inspect.signature(self.reference).parameters)

    def make(self, move=lambda array: array):
        """The arguments, always the same ones, in the order of the parameters: float32 arrays, or what `move` makes."""
        rng, made = np.random.default_rng(0), {}
        for name in self.parameters:
            value = self.values[name]
            made[name] = value(rng, made) if callable(value) else value
        return moved(tuple(made.values()), move)

    def outcome(self, arguments, result):
        """The arrays that a case is about: its results, or the arguments that it changes."""
        changed = [value for name, value in zip(self.parameters, arguments, strict=True) if name in self.written]
        return arrays_of(changed if self.written else result)


def arrays_of(value):
    """Every array in it, in order: value is one, or a tuple or list of such values, or anything."""
    if isinstance(value, (tuple, list)):
        return [array for part in value for array in arrays_of(part)]
    return [value] if hasattr(value, "dtype") else []


def moved(value, move):
    """`value` with `move` applied to its arrays; one that is in it twice (in place) stays one."""
    done = {id(array): move(array) for array in {id(array): array for array in arrays_of(value)}.values()}

    def swap(value):
        if type(value) in (tuple, list):  # not a named tuple, which has no arrays
            return type(value)(map(swap, value))
        return done.get(id(value), value)

    return swap(value)
