"""Linear (fully connected) layers and matrix products.

Shapes    linear  x (..., C)   weight (OC, C)   bias (OC,) or None   ->   y (..., OC)
          matmul  a (..., I, K)   b (..., K, J)   ->   y (..., I, J); the leading axes broadcast
Forward   linear  y = x @ weight^T + bias
          matmul  y = a @ b
Backward  linear  grad_x = grad_out @ weight     grad_weight = grad_out^T @ x     grad_bias = sum grad_out
          matmul  grad_a = grad_out @ b^T        grad_b = a^T @ grad_out
          (all leading axes are summed over where a gradient does not have them)
Saves     the two factors (of a weight also what weight_as_factor makes of it, here itself)
Mirrors   kernels/cpu/linear.py   kernels/numba_cuda/linear.py   kernels/cuda/linear.cu
Test      tests/ops/test_linear.py
Source    Rumelhart et al., "Learning representations by back-propagating errors", Nature 323, 1986
"""

import math
from typing import Any

from ..autograd import Function
from ..device import plain_array
from ..precision import ALL, float32, takes_bfloat16
from ..types import Array
from ..variable import V, Variable
from .arguments import check_tensors
from .arithmetic import unbroadcast
from .cast import as_factor
from .shape import squeeze, unsqueeze
from .summation import total


def linear(input: V, weight: Variable, bias: Variable | None = None) -> V:
    """input @ weight.T + bias, as ``torch.nn.functional.linear``."""
    check_tensors("linear", {"input": input, "weight": weight}, {"bias": bias})
    x, w = input.data.shape, weight.data.shape  # (..., C), (OC, C)
    if len(w) != 2:
        raise ValueError(f"linear: weight must be (OC, C), got shape {w}")
    if not x or x[-1] != w[1]:
        raise ValueError(f"linear: input of shape {x} must end in the {w[1]} features that weight {w} takes")
    if bias is not None and bias.data.shape != w[:1]:
        raise ValueError(f"linear: bias must have shape {w[:1]}, one per output of weight {w}, got {bias.data.shape}")
    return Linear.apply(as_factor(input), weight, bias)


class Linear(Function):
    takes_bfloat16 = float32_weights = True

    def forward(self, x, weight, bias):
        factor = weight_of_passes(self, x, weight)  # mostly the weight itself
        self.save_for_backward(x, weight, factor)
        return self.run(linear_forward, x, factor, bias)

    def backward(self, grad_out):
        x, _, factor = self.saved
        need_x, need_weight, need_bias = self.needs_input_grad  # a frozen weight needs none, nor do images
        return (
            self.run(linear_grad_x, grad_out, factor) if need_x else None,
            self.run(linear_grad_weight, grad_out, x) if need_weight else None,
            self.run(linear_grad_bias, grad_out) if need_bias else None,
        )


@float32(factors=(1,))
def linear_forward(x: Array, weight: Array, bias: Array | None) -> Array:
    """y (..., OC) = x @ weight^T + bias."""
    y = x @ weight.T  # (..., C) @ (C, OC)
    if bias is not None:
        y += bias  # (OC,), to each row
    return y


@float32(factors=(1,))
def linear_grad_x(grad_out: Array, weight: Array) -> Array:
    """grad_x (..., C) = grad_out @ weight."""
    return grad_out @ weight  # (..., OC) @ (OC, C)


@float32(results=ALL)
def linear_grad_weight(grad_out: Array, x: Array) -> Array:
    """grad_weight (OC, C) = grad_out^T @ x, summed over the leading axes."""
    rows = math.prod(x.shape[:-1])  # all leading axes as one: the product sums over it
    return grad_out.reshape(rows, grad_out.shape[-1]).T @ x.reshape(rows, x.shape[-1])  # (OC, rows) @ (rows, C)


@float32(results=ALL)
def linear_grad_bias(grad_out: Array) -> Array:
    """grad_bias (OC,) = grad_out summed over the leading axes."""
    return total(grad_out, tuple(range(grad_out.ndim - 1)))  # all axes but the last


def weight_of_passes(function: Function, x: Array, weight: Array, may_be_filled: bool = False) -> Array:
    """The weight as `function` multiplies it, forward and for grad_x: made once, where both come.

    may_be_filled: whether both know from x how many input channels it has, and need not be told by its shape
    """
    return function.run(weight_as_factor, x, weight, may_be_filled) if function.needs_input_grad[0] else weight


@takes_bfloat16
def weight_as_factor(x: Array, weight: Array, may_be_filled: bool) -> Array:
    """What the products of a weight beside x are handed in its place: here itself, which each of them rounds; elsewhere
    a bfloat16 copy in the order that the kernels read, with more channels, of zeros, if it `may_be_filled`."""
    return weight


def matmul(a: Any, b: Any) -> Any:
    """The product a @ b of matrices, stacks of them, or vectors, as ``numpy.matmul``; an array beside a Tensor is
    constant."""
    variable = a if isinstance(a, Variable) else b  # one side may be an array: array @ tensor
    check_tensors("matmul", {"b": variable})
    a, b = (v if isinstance(v, Variable) else variable.like(plain_array(v)) for v in (a, b))
    if a.data.ndim == 1 or b.data.ndim == 1:  # a vector is a row on the left, and a column on the right
        product = matmul(unsqueeze(a, 0) if a.data.ndim == 1 else a, unsqueeze(b, 1) if b.data.ndim == 1 else b)
        row = squeeze(product, -2) if a.data.ndim == 1 else product
        return squeeze(row, -1) if b.data.ndim == 1 else row
    if min(a.data.ndim, b.data.ndim) < 2 or a.data.shape[-1] != b.data.shape[-2]:
        raise ValueError(f"matmul: cannot multiply {a.data.shape} by {b.data.shape}: give (..., I, K) @ (..., K, J)")
    return MatMul.apply(a, b)


class MatMul(Function):
    def forward(self, a, b):
        self.save_for_backward(a, b)
        return a @ b  # both array libraries have it, so there is no mirror to run

    def backward(self, grad_out):
        a, b = self.saved
        need_a, need_b = self.needs_input_grad  # an array beside a Tensor needs none
        return (
            unbroadcast(grad_out @ b.swapaxes(-1, -2), a.shape) if need_a else None,  # (I, J) @ (J, K)
            unbroadcast(a.swapaxes(-1, -2) @ grad_out, b.shape) if need_b else None,  # (K, I) @ (I, J)
        )
