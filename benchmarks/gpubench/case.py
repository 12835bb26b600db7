"""A case: an op's NumPy function and arguments for it, which its mirrors take too; and what makes such arguments."""

import inspect
import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from minicnn.device import implementation
from minicnn.precision import BFLOAT16, widened

POOL = (1 << 22) - 3  # random numbers drawn for a large array, which repeats them; no power of two
ACTIVATIONS = "x", "y", "grad_out", "residual", "a", "b"  # arguments that are bfloat16 in that precision


class DtypeOf(NamedTuple):
    """An argument that is the dtype of another one."""

    name: str


class Case(NamedTuple):
    """One op with arguments."""

    reference: Callable  # the function of the op's page
    op: str  # its name, or that of another way to work out the same
    label: str  # what is particular about these sizes
    values: dict  # {parameter: its argument, or a function of a random generator that makes it, or a parameter's name}
    operations: int = 0  # of a case that is bound by arithmetic; 0: bound by memory
    kernel: Callable | None = None  # what runs instead of the mirror, in CUDA C++ alone
    dtypes: tuple = ("float32", "float64")
    narrow: bool = False  # whether the activations among the arguments are bfloat16, and channels-last

    @property
    def name(self):
        return f"{self.op}, {self.label}"

    @property
    def like(self):
        """The name by which every way to work out the same is found."""
        return f"{self.reference.__name__}, {self.label}"

    def function(self, language):
        """What runs. DeviceError where there is no mirror."""
        function = self.kernel or implementation(self.reference, "cuda", language)
        if self.narrow and not self.kernel and not hasattr(function, "takes_bfloat16"):  # as the engine calls it
            return partial(call_widened, function, self.reference)
        return function

    def make(self, move=lambda array: array):
        """{parameter: argument}, in their order and always the same: float32 arrays, or what `move` makes of them."""
        rng, made = np.random.default_rng(0), {}
        for name in inspect.signature(self.reference).parameters:
            value = self.values[name]
            if callable(value):
                value = value(rng)
                if self.narrow and name in ACTIVATIONS:
                    made[name] = channels_last(value.astype(BFLOAT16), move)
                    continue
                value = type(value)(map(move, value)) if isinstance(value, (list, tuple)) else move(value)
            if isinstance(value, DtypeOf):
                value = made[value.name].dtype
            made[name] = made[value] if isinstance(value, str) else value
        return made


def call_widened(function, reference, *arguments):
    return widened(function, reference, arguments)


def channels_last(array, move):
    """What `move` makes of an array, with its channels last in memory if it is one of images."""
    if array.ndim != 4:
        return move(array)
    return move(np.ascontiguousarray(array.transpose(0, 2, 3, 1))).transpose(0, 3, 1, 2)


def outcome(result, made):
    """The arrays that a call gives; an optimiser's gives none, it changes its arguments, but for the gradients."""
    return arrays_of([made[name] for name in made if name != "gradients"] if result is None else result)


def arrays_of(value):
    """Every array in it, in order: value is one, or a tuple or list of such values, or anything."""
    if isinstance(value, (list, tuple)):
        return [array for part in value for array in arrays_of(part)]
    return [value] if hasattr(value, "dtype") else []


def normal(*shape, scale=1.0):
    """What makes an argument, as the two below: N(0, scale^2) numbers."""

    def make(rng):
        drawn = rng.standard_normal(min(POOL, math.prod(shape)), np.float32)
        return np.resize(drawn * np.float32(scale), shape)

    return make


def positive(*shape):
    return lambda rng: rng.random(shape, np.float32) + np.float32(0.5)


def integers(below, *shape, dtype):
    return lambda rng: rng.integers(0, below, shape, dtype)
