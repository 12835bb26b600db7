"""Steps: floor, ceil, round, trunc, sign, the whole part of a quotient, and the remainder.

Shapes    x (any)   ->   y (the same); of // and % the two broadcast as in NumPy
Dtypes    y has x's: integers are whole already. A // B and A % B of integers are integers
Forward   floor, ceil, trunc  rounded down, up, towards 0; whole numbers stay
          round               the nearest, of two the even one: 0.5 -> 0, 1.5 -> 2, as in Python
          floor_divide        floor(a / b)        remainder  a - b * floor(a / b): it has the sign of b
Backward  0 wherever there is a slope: a step is flat, except where it jumps
          remainder  grad_a = g, grad_b = -g * floor(a / b);  floor_divide has none, and refuses
Saves     remainder: floor(a / b)
Mirrors   none: plain array arithmetic, on either array library
Test      tests/ops/test_rounding.py
"""

from typing import Any

import numpy as np

from ..autograd import Function
from ..gradmode import is_grad_enabled
from ..variable import V, is_float
from .arguments import check_tensors
from .arithmetic import unbroadcast
from .operands import not_masks, operands

STEPS = {"floor": np.floor, "ceil": np.ceil, "round": np.rint, "trunc": np.trunc, "sign": np.sign}


def step(name: str, x: V) -> V:
    """x with one of the STEPS taken by each element."""
    check_tensors(name, {"input": x})
    not_masks(name, x)
    if not is_float(x.data.dtype) and name != "sign":  # whole numbers: NumPy would make floats of them
        return x.like(x.data.copy())
    return Step.apply(x, step=STEPS[name])


def floor_divide(a: Any, b: Any) -> Any:
    """a // b. ZeroDivisionError for integers, as anything else would be a wrong number; RuntimeError in the graph."""
    a, b = _numbers("floor_divide", a, b)
    if is_grad_enabled() and (a.requires_grad or b.requires_grad):
        raise RuntimeError("floor_divide: a step has no gradient; use .detach(), or / for a quotient that has one")
    return FloorDivide.apply(a, b)


def remainder(a: Any, b: Any) -> Any:
    """a % b, with the sign of b; ZeroDivisionError for integers."""
    return Remainder.apply(*_numbers("remainder", a, b))


class Step(Function):
    def forward(self, x, step):
        return step(x)

    def backward(self, grad_out):
        return np.zeros_like(grad_out)


class FloorDivide(Function):
    def forward(self, a, b):
        return _quietly(np.floor_divide, a, b)


class Remainder(Function):
    def forward(self, a, b):
        self.shapes = a.shape, b.shape
        if self.needs_input_grad[1]:
            self.save_for_backward(_quietly(np.floor_divide, a, b))
        return _quietly(np.remainder, a, b)

    def backward(self, grad_out):
        need_a, need_b = self.needs_input_grad
        return (
            unbroadcast(grad_out, self.shapes[0]) if need_a else None,
            unbroadcast(-grad_out * self.saved[0], self.shapes[1]) if need_b else None,
        )


def _numbers(op, a, b):
    a, b = not_masks(op, *operands(op, a, b))
    if b.data.dtype.kind in "iu" and bool((b.data == 0).any()):  # NumPy would give 0
        raise ZeroDivisionError(f"{op}: b of shape {b.data.shape} has a 0 in it, and of integers there is no result")
    return a, b


def _quietly(function, a, b):
    """A float divided by 0 is infinite or NaN, here without a warning, as in PyTorch."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return function(a, b)
