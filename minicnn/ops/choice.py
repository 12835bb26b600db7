"""One of two, element by element: where, maximum, minimum.

Shapes    a, b broadcast as in NumPy, with the condition, too   ->   y
Dtypes    a, b have one dtype, and y has it, too; a number takes that of the tensor beside it
Forward   where    a where the condition is true, else b       maximum, minimum  the larger, the smaller; NaN if one is
Backward  where    grad_a = g where the condition is true, else 0; grad_b the other way round
          maximum  g to the larger; half of it to each of two equals. minimum likewise
Saves     where: a copy of the condition, which must not change in between; maximum, minimum: a and b
Mirrors   none: plain array functions, on either array library
Test      tests/ops/test_choice.py
"""

import numbers
from typing import Any

import numpy as np

from ..autograd import Function
from ..device import plain_array
from ..variable import Variable
from .arithmetic import unbroadcast
from .operands import operands


def where(condition: Any, a: Any = None, b: Any = None) -> Any:
    """a where `condition`, a mask of booleans, is true, else b; one of these two may be a number."""
    condition = condition if isinstance(condition, Variable) else plain_array(condition)
    mask = condition.data if isinstance(condition, Variable) else condition
    if mask.dtype.kind != "b":
        raise TypeError(f"where: condition must be a mask of booleans, such as x > 0, not {mask.dtype}")
    if a is None and b is None:
        raise TypeError("where: takes a condition and two values; np.nonzero(condition) tells where it is true")
    if not isinstance(a, Variable) and not isinstance(b, Variable):
        raise TypeError("where: one of the two must be a Tensor; minicnn.full_like(x, 1.0) is one of a number")
    a, b = operands("where", a, b)
    try:
        np.broadcast_shapes(mask.shape, a.data.shape, b.data.shape)
    except ValueError:
        shapes = f"condition {mask.shape}, a {a.data.shape} and b {b.data.shape}"
        raise ValueError(f"where: {shapes} do not broadcast") from None
    return Where.apply(a, b, condition=condition)


def masked_fill(x: Any, mask: Any, value: Any) -> Any:
    """`value` where `mask` is true, else x, whose dtype stays: in a mask, a number is True unless it is 0."""
    if x.data.dtype.kind == "b" and isinstance(value, numbers.Real):
        value = bool(value)
    return where(mask, value, x)


def maximum(a: Any, b: Any) -> Any:
    """The larger of the two; one may be a number."""
    return Larger.apply(*operands("maximum", a, b))


def minimum(a: Any, b: Any) -> Any:
    """The smaller of the two; one may be a number."""
    return Smaller.apply(*operands("minimum", a, b))


class Where(Function):
    def forward(self, a, b, condition):
        self.shapes, self.condition = (a.shape, b.shape), self.constant(condition)
        return np.where(self.condition, a, b)

    def backward(self, grad_out):
        need_a, need_b = self.needs_input_grad
        return (
            unbroadcast(np.where(self.condition, grad_out, 0), self.shapes[0]) if need_a else None,
            unbroadcast(np.where(self.condition, 0, grad_out), self.shapes[1]) if need_b else None,
        )


class Larger(Function):
    def forward(self, a, b):
        self.save_for_backward(a, b)
        return np.maximum(a, b)

    def backward(self, grad_out):
        a, b = self.saved
        return _to_winners(grad_out, a, b, a < b, a > b)


class Smaller(Function):
    def forward(self, a, b):
        self.save_for_backward(a, b)
        return np.minimum(a, b)

    def backward(self, grad_out):
        a, b = self.saved
        return _to_winners(grad_out, a, b, a > b, a < b)


def _to_winners(grad_out, a, b, a_lost, b_lost):
    shared = np.where(a == b, grad_out / 2, grad_out)
    return unbroadcast(np.where(a_lost, 0, shared), a.shape), unbroadcast(np.where(b_lost, 0, shared), b.shape)
