"""The Euclidean norm over some axes, or over all of them: the length of a vector.

Shapes    x (any)   dim: None (all axes), an int or a tuple of them   ->   y without those axes, or with length 1 there
Forward   y = sqrt(sum x^2), of x divided by its largest value, so that no square overflows or vanishes
Backward  grad_x = grad_out * x / y: the direction of x; 0 where y is 0, which has no direction
Saves     x, y
Mirrors   none: plain array reductions, on either array library
Test      tests/ops/test_order.py
"""

import numpy as np

from ..autograd import Function
from ..device import full
from ..types import Array, Shape
from ..variable import V, is_float
from .arguments import check_tensors
from .reduction import Dim, axes_of
from .summation import total


def norm(x: V, dim: Dim = None, keepdim: bool = False) -> V:
    """The square root of the sum of squares over the axes `dim`, or over all."""
    check_tensors("norm", {"input": x})
    if not is_float(x.data.dtype):
        raise TypeError(f"norm: the input is {x.data.dtype}, not float32 or float64; convert it with .float()")
    return Norm.apply(x, axes=axes_of("norm", x, dim), keepdim=keepdim)


class Norm(Function):
    def forward(self, x, axes: Shape, keepdim):
        self.axes = axes
        y = length(x, axes)
        self.save_for_backward(x, y)
        return y if keepdim else y.squeeze(axes)

    def backward(self, grad_out):
        x, y = self.saved
        grad = grad_out.reshape(y.shape) / np.where(y == 0, y.dtype.type(np.inf), y)  # x / inf: 0
        return grad * x


def length(x: Array, axes: Shape) -> Array:
    """The norm over these axes, each of which stays, with length 1."""
    kept = tuple(1 if d in axes else n for d, n in enumerate(x.shape))
    largest = np.abs(x).max(axis=axes, keepdims=True) if x.size else full(x, kept, 0)  # the length of nothing
    scale = np.where((largest == 0) | ~np.isfinite(largest), x.dtype.type(1), largest)
    return scale * np.sqrt(total((x / scale) ** 2, axes, keepdims=True))
