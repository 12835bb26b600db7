"""Order along an axis: sort, the k largest, running sums.

Shapes    x (any), dim: an axis   ->   values and indices (as x; of topk, k long at dim); cumsum y (as x)
Dtypes    values have x's, indices are int64; running sums of integers and of booleans are int64
Forward   sort   the values in order, and where each stood; equal ones stay as they were, NaN counts as the largest
          topk   the first k of them           cumsum  y_i = x_0 + ... + x_i
Backward  sort, topk  each value's gradient goes to where it stood     cumsum  grad_x_i = g_i + g_i+1 + ... + g_last
Saves     sort, topk: the indices
Mirrors   none: plain array functions, on either array library
Test      tests/ops/test_order.py
"""

from typing import Any, NamedTuple

import numpy as np

from ..autograd import Function
from ..settings import flag, whole
from ..types import Array
from ..variable import V
from .arguments import axis, check_tensors
from .reduction import Pick


class Ordered(NamedTuple):
    """What ``sort`` and ``topk`` give: ``values, indices = x.sort()``."""

    values: Any  # Tensors, both
    indices: Any


def sort(x: V, dim: int = -1, descending: bool = False) -> Ordered:
    """The values along `dim` in order, and their indices, as ``torch.sort``."""
    check_tensors("sort", {"input": x})
    dim = axis("sort", "dim", dim, x.data.shape)
    return _picked(x, _order(x.data, dim, flag("sort", "descending", descending)), dim)


def topk(x: V, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Ordered:
    """The k largest (or smallest) along `dim`, in order, and their indices; sorted=False gives them in order, too."""
    check_tensors("topk", {"input": x})
    dim = axis("topk", "dim", dim, x.data.shape)
    k = whole("topk", "k", k, 0, x.data.shape[dim])
    order = _order(x.data, dim, flag("topk", "largest", largest))
    return _picked(x, order[tuple(slice(k) if i == dim else slice(None) for i in range(order.ndim))], dim)


def cumsum(x: V, dim: int) -> V:
    """Running sums along `dim`."""
    check_tensors("cumsum", {"input": x})
    return CumSum.apply(x, dim=axis("cumsum", "dim", dim, x.data.shape))


class CumSum(Function):
    def forward(self, x, dim):
        self.dim = dim
        return x.cumsum(axis=dim, dtype=x.dtype if x.dtype.kind == "f" else np.int64)

    def backward(self, grad_out):
        return np.flip(np.flip(grad_out, self.dim).cumsum(axis=self.dim), self.dim)  # sums from behind


def _order(array: Array, dim: int, descending: bool) -> Array:
    """Indices along `dim` that put the values in order; of equal ones the first comes first."""
    if not descending:
        return array.argsort(axis=dim, kind="stable")
    return array.shape[dim] - 1 - np.flip(np.flip(array, dim).argsort(axis=dim, kind="stable"), dim)


def _picked(x, order, dim):
    return Ordered(Pick.apply(x, winners=order, axis=dim, keepdim=True), x.like(order))
