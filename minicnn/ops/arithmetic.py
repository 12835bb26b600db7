"""Arithmetic, element by element: + - * / ** negation, exp, log, and the residual add.

Shapes    a, b broadcast as in NumPy   ->   y; residual_add takes two equal shapes only
Dtypes    a, b have one dtype, and y has it, too; a number beside a tensor takes the tensor's, or is a TypeError if it
          does not fit
          integers   / exp log, and powers other than whole ones, give float32; results of + - * ** wrap round at the
                     end of their dtype, as in NumPy and PyTorch
          booleans   beside a whole number, and in whole powers, they are int64, 0 and 1; a * b of two masks is a mask,
                     and a + b, a - b, -a are TypeErrors
Forward   add a + b    sub a - b    mul a * b    div a / b    pow a^p (p a number)    neg -a    exp e^a    log ln a
          power_of p^a (p a number)    abs |a|    clamp min(max(a, low), high)
Backward  add   grad_a = g          grad_b = g
          sub   grad_a = g          grad_b = -g
          mul   grad_a = g * b      grad_b = g * a
          div   grad_a = g / b      grad_b = -g * (a / b) / b          (b^2 may be too large, or too small)
          pow   grad_a = g * p * a^(p-1)
          neg   grad_a = -g         exp  grad_a = g * y         log  grad_a = g / a
          power_of  grad_a = g * y * ln p     abs  grad_a = g * sign(a), 0 at 0
          clamp     grad_a = g where low <= a <= high, else 0
          An input that was broadcast was used many times: its gradient is summed over the axes it was stretched along.
Saves     what the formulas name
Mirrors   of residual_add: kernels/cpu/arithmetic.py   kernels/numba_cuda/arithmetic.py   kernels/cuda/arithmetic.cu
          (and of add, for bfloat16 arrays of one shape). The rest is plain array arithmetic, on either array library
Test      tests/ops/test_arithmetic.py
"""

import math
import numbers
from typing import Any

import numpy as np

from ..autograd import Function
from ..precision import BFLOAT16, narrow, wide
from ..types import Array, Shape
from ..variable import V, Variable, is_float
from .arguments import check_tensors
from .operands import as_constant, as_floats, as_integers, not_masks, operands
from .summation import total


def residual_add(x: V, y: Variable) -> V:
    """x + y of one shape: the shortcut of a residual block (He et al., CVPR 2016, eq. 1).

    Unlike the operator ``+`` it never broadcasts: in a network, shapes that differ are a mistake. ValueError then.
    """
    check_tensors("residual_add", {"x": x, "y": y})
    if x.data.shape != y.data.shape:
        advice = "give the shortcut a projection, or use the operator + if you mean to broadcast"
        raise ValueError(f"residual_add: x {x.data.shape} and y {y.data.shape} must have one shape; {advice}")
    return ResidualAdd.apply(x, y)  # an op with kernels, which + is not


def add(a: Any, b: Any) -> Any:
    """a + b; one of the two may be a number or an array (so for the three below)."""
    return Add.apply(*not_masks("add", *operands("add", a, b)))  # two masks: a TypeError


def sub(a: Any, b: Any) -> Any:
    """a - b."""
    return Sub.apply(*not_masks("sub", *operands("sub", a, b)))


def mul(a: Any, b: Any) -> Any:
    """a * b, element by element."""
    return Mul.apply(*operands("mul", a, b))


def div(a: Any, b: Any) -> Any:
    """a / b; of integers it is float32."""
    if isinstance(a, numbers.Real) or isinstance(b, numbers.Real):
        a, b = as_floats(a), as_floats(b)  # first: the number need not fit into the integers' dtype
    return Div.apply(*map(as_floats, operands("div", a, b)))


def pow(a: V, exponent: float) -> V:
    """a ** exponent, for a number `exponent`."""
    if not isinstance(exponent, numbers.Real):  # a gradient of the exponent is not worked out
        raise TypeError(f"pow: the exponent must be a number, got a {type(exponent).__name__}")
    if (
        not is_float(a.data.dtype) and isinstance(exponent, numbers.Integral) and exponent >= 0
    ):  # integers stay integers
        a = as_integers(a)
        as_constant("pow", exponent, a.data)  # it fits
        return Pow.apply(a, exponent=int(exponent))
    return Pow.apply(as_floats(a), exponent=float(exponent))


def neg(a: V) -> V:
    """-a."""
    return Neg.apply(*not_masks("neg", a))


def exp(a: V) -> V:
    """e ** a."""
    return Exp.apply(as_floats(a))


def log(a: V) -> V:
    """The natural logarithm of a."""
    return Log.apply(as_floats(a))


def power_of(base: float, a: V) -> V:
    """base ** a, for a positive number `base`."""
    if not isinstance(base, numbers.Real) or not base > 0:  # its ln p is needed
        raise ValueError(f"power_of: the base must be a positive number, got {base!r}")
    if not is_float(a.data.dtype) and isinstance(base, numbers.Integral):
        a = as_integers(a)
        as_constant("power_of", base, a.data)  # it fits
        return PowerOf.apply(a, base=int(base))
    return PowerOf.apply(as_floats(a), base=float(base))


def abs(a: V) -> V:
    """The absolute value of a."""
    return Abs.apply(a)


def clamp(a: V, min: float | None = None, max: float | None = None) -> V:
    """a, but at least `min` and at most `max`, numbers or None, as ``torch.clamp``."""
    for name, bound in (("min", min), ("max", max)):
        if bound is not None and not isinstance(bound, numbers.Real):
            raise TypeError(f"clamp: {name} must be a number or None, got a {type(bound).__name__}")
    if min is None and max is None:
        raise ValueError("clamp: give min, max or both")
    whole = all(bound is None or isinstance(bound, numbers.Integral) for bound in (min, max))
    if whole and a.data.dtype.kind in "iu":
        limits = np.iinfo(a.data.dtype)
        if (min is not None and min > limits.max) or (max is not None and max < limits.min):
            what = f"clamp: the bounds {min} and {max} leave nothing of {a.data.dtype}"
            raise TypeError(f"{what}, which holds {limits.min} to {limits.max}; convert it with .astype(...)")
    return Clamp.apply(a if whole else as_floats(a), low=min, high=max)


class ResidualAdd(Function):
    takes_bfloat16 = True

    def forward(self, x, y):
        return self.run(residual_add_forward, x, y)

    def backward(self, grad_out):
        return grad_out, grad_out  # one array twice: backward() copies it before anybody writes into it


def residual_add_forward(x: Array, y: Array) -> Array:
    """x + y."""
    return x + y


class Add(Function):
    takes_bfloat16 = True

    def forward(self, a, b):
        self.shapes = a.shape, b.shape
        if BFLOAT16 not in (a.dtype, b.dtype):
            return a + b  # NumPy broadcasts
        if a.dtype == b.dtype and a.shape == b.shape:  # without float32 copies
            return self.run(residual_add_forward, a, b)
        return narrow(wide(a) + wide(b))

    def backward(self, grad_out):
        # grad_out itself where nothing was broadcast
        return tuple(unbroadcast(grad_out, shape) for shape in self.shapes)


class Sub(Function):
    def forward(self, a, b):
        self.shapes = a.shape, b.shape
        return a - b

    def backward(self, grad_out):
        need_a, need_b = self.needs_input_grad  # a constant beside the tensor needs none
        return (
            unbroadcast(grad_out, self.shapes[0]) if need_a else None,
            unbroadcast(-grad_out, self.shapes[1]) if need_b else None,
        )


class Mul(Function):
    def forward(self, a, b):
        need_a, need_b = self.needs_input_grad  # b = 2 needs none: then a need not be kept
        self.shapes = a.shape, b.shape
        self.save_for_backward(*([b] if need_a else []), *([a] if need_b else []))  # the other one may change
        return a * b

    def backward(self, grad_out):
        need_a, need_b = self.needs_input_grad
        a, b = self.saved[-1], self.saved[0]  # where one is needed, both names are that one; the other is unused
        return (
            unbroadcast(grad_out * b, self.shapes[0]) if need_a else None,
            unbroadcast(grad_out * a, self.shapes[1]) if need_b else None,
        )


class Div(Function):
    def forward(self, a, b):
        self.shapes = a.shape, b.shape
        self.save_for_backward(b, *([a] if self.needs_input_grad[1] else []))  # else a may change
        return a / b

    def backward(self, grad_out):
        b, *a = self.saved
        need_a, need_b = self.needs_input_grad
        return (
            unbroadcast(grad_out / b, self.shapes[0]) if need_a else None,
            unbroadcast(-grad_out * (a[0] / b / b), self.shapes[1]) if need_b else None,  # b * b may overflow
        )


class Pow(Function):
    def forward(self, a, exponent):
        self.save_for_backward(a)
        self.exponent = exponent
        return a**exponent

    def backward(self, grad_out):
        (a,) = self.saved
        if self.exponent == 0:  # 0 * a^-1 would be NaN at a = 0
            return np.zeros_like(a)
        return grad_out * self.exponent * a ** (self.exponent - 1)


class Neg(Function):
    def forward(self, a):
        return -a

    def backward(self, grad_out):
        return -grad_out


class Exp(Function):
    def forward(self, a):
        y = np.exp(a)
        self.save_for_backward(y)
        return y

    def backward(self, grad_out):
        (y,) = self.saved  # e^a is its own slope
        return grad_out * y


class Log(Function):
    def forward(self, a):
        self.save_for_backward(a)
        return np.log(a)

    def backward(self, grad_out):
        (a,) = self.saved
        return grad_out / a  # ln a has the slope 1/a


class PowerOf(Function):
    def forward(self, a, base):
        self.base = base
        y = np.power(a.dtype.type(base), a)  # the base in a's dtype, and the result, too
        self.save_for_backward(y)
        return y

    def backward(self, grad_out):
        (y,) = self.saved
        return grad_out * (y * y.dtype.type(math.log(self.base)))


class Abs(Function):
    def forward(self, a):
        self.save_for_backward(a)
        return np.abs(a)

    def backward(self, grad_out):
        (a,) = self.saved  # where a was positive or negative
        return grad_out * np.sign(a)  # 0 at 0


class Clamp(Function):
    def forward(self, a, low, high):
        self.save_for_backward(a)
        self.bounds = low, high
        return np.clip(a, low, high)  # None: no bound on that side

    def backward(self, grad_out):
        (a,) = self.saved
        low, high = self.bounds
        inside = np.ones_like(a, dtype=bool) if low is None else a >= low  # no lower bound: all are
        return np.where(inside if high is None else inside & (a <= high), grad_out, 0)  # inf * 0 would be NaN


def unbroadcast(grad: Array, shape: Shape) -> Array:
    """Sum `grad` over the axes that broadcasting stretched, back to `shape`."""
    if grad.shape == shape:  # nothing was stretched: the usual case
        return grad
    extra = grad.ndim - len(shape)  # axes that broadcasting put in front: (3,) beside (2, 3)
    # and those that it stretched from 1: (2, 1) beside (2, 3). reshape puts the 1 back
    stretched = tuple(extra + i for i, n in enumerate(shape) if n == 1 and grad.shape[extra + i] != 1)
    summed = total(wide(grad), (*range(extra), *stretched)).reshape(shape)
    return narrow(summed) if grad.dtype == BFLOAT16 else summed  # rounded once
