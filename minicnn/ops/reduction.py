"""Reductions: the sum, the mean, the maximum or the minimum over some axes, or over all of them.

Shapes    x (any)   dim: None (all axes), an int or a tuple of them (max, min: one)   ->   y without those axes, or with
          length 1 there if keepdim
Dtypes    y has x's, but: sums of booleans and of integers are int64 (of uint64: uint64), so that they count and do not
          wrap round at 256; their means are float32
Forward   sum   y = sum x     mean  y = sum x / M     max, min  y = the largest, the smallest x
Backward  sum   every x receives grad_out     mean  every x receives grad_out / M
          max   along an axis, the first of the largest receives grad_out, the others nothing; of all elements, the
                largest share it, as in PyTorch; min likewise
Saves     max, min: where they stand
Rounding  float32 sums and means are within 1e-6 of float64's over any number of values (summation.py)
Mirrors   none: plain array reductions, on either array library
Test      tests/ops/test_reduction.py
"""

import math
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from ..autograd import Function
from ..device import as_array, full
from ..types import Shape
from ..variable import V, Variable
from . import summation
from .arguments import axis, distinct_axes

Dim: TypeAlias = int | Shape | None  # an axis, several, or all of them


def sum(x: V, dim: Dim = None, keepdim: bool = False) -> V:
    """The sum over the axes `dim`."""
    return Sum.apply(x, axes=axes_of("sum", x, dim), keepdim=keepdim)


def mean(x: V, dim: Dim = None, keepdim: bool = False) -> V:
    """The mean over the axes `dim`; ValueError if there is nothing to average over."""
    axes = axes_of("mean", x, dim)
    if any(x.data.shape[axis] == 0 for axis in axes):
        raise ValueError(f"mean: nothing to average over dim {dim} of shape {x.data.shape}")
    return Mean.apply(x, axes=axes, keepdim=keepdim)


class Extreme(NamedTuple):
    """What ``max`` and ``min`` give along one axis: ``values, indices = x.max(dim=1)``."""

    values: Any  # Tensors, both
    indices: Any


def max(x: V, dim: int | None = None, keepdim: bool = False) -> V | Any:
    """The largest of all, or along the axis `dim` an Extreme, as ``torch.max``; NaN counts as the largest."""
    return _extreme("max", x, dim, keepdim)


def min(x: V, dim: int | None = None, keepdim: bool = False) -> V | Any:
    """The smallest, otherwise as ``max``; NaN counts as the smallest."""
    return _extreme("min", x, dim, keepdim)


def place(op: str, x: V, dim: int | None, keepdim: bool) -> V:
    """Where the first of the largest ("argmax") or of the smallest ("argmin") stands: int64, outside the graph."""
    at = None if dim is None else axis(op, "dim", dim, x.data.shape)
    if (x.data.size if at is None else x.data.shape[at]) == 0:
        raise ValueError(f"{op}: no values over dim {dim} of shape {x.data.shape}")
    places = getattr(x.data, op)(axis=at, keepdims=True)  # an array, where x is: without axes NumPy would make a number
    return x.like(places if keepdim else places.squeeze(at))


def _extreme(op, x, dim, keepdim):
    if isinstance(dim, Variable):
        raise TypeError(f"{op}: dim is a Tensor; minicnn.{op}imum(a, b) compares two, element by element")
    axes = axes_of(op, x, dim)
    if dim is not None and len(axes) != 1:
        raise ValueError(f"{op}: dim must be one axis or None, got {dim}")
    if x.data.size == 0:
        raise ValueError(f"{op}: no values over dim {dim} of shape {x.data.shape}")
    if dim is None:
        return ExtremeOfAll.apply(x, largest=op == "max", keepdim=keepdim)
    find = x.data.argmax if op == "max" else x.data.argmin  # both find the first one, or the first NaN
    winners = as_array(find(axis=axes[0], keepdims=True))  # length 1 along the axis, for take_along_axis
    values = Pick.apply(x, winners=winners, axis=axes[0], keepdim=keepdim, why=op)
    return Extreme(values, x.like(winners if keepdim else winners.squeeze(axes[0])))  # indices are outside the graph


class Sum(Function):
    def forward(self, x, axes, keepdim):
        self.x_shape, self.axes = x.shape, axes
        if x.dtype.kind == "f":
            return summation.total(x, axes, keepdim)
        return x.sum(axis=axes, keepdims=keepdim, dtype=np.uint64 if x.dtype == np.uint64 else np.int64)

    def backward(self, grad_out):
        # (N, C, H, W) summed over (2, 3): (N, C) -> (N, C, 1, 1) -> (N, C, H, W), a view that repeats
        return np.broadcast_to(_keepdims(grad_out, self.x_shape, self.axes), self.x_shape)


class Mean(Function):
    def forward(self, x, axes, keepdim):
        self.x_shape, self.axes = x.shape, axes
        if x.dtype.kind == "f":
            return summation.mean(x, axes, keepdim)
        return x.mean(axis=axes, keepdims=keepdim).astype(np.float32)

    def backward(self, grad_out):
        count = math.prod(self.x_shape[axis] for axis in self.axes)  # M
        return np.broadcast_to(_keepdims(grad_out / count, self.x_shape, self.axes), self.x_shape)


class ExtremeOfAll(Function):
    """The largest, or the smallest, of all."""

    def forward(self, x, largest, keepdim):
        y = x.max(keepdims=keepdim) if largest else x.min(keepdims=keepdim)
        self.winners = x == y if (y == y).all() else x != x  # NaN is not equal to itself
        return y

    def backward(self, grad_out):
        share = grad_out / self.winners.sum().astype(grad_out.dtype)
        return np.where(self.winners, share, grad_out.dtype.type(0))


class Pick(Function):
    """Some elements along an axis: those at the indices `winners`, of which each stands there once.

    why: "max" or "min" where they are these, for those who listen (``export/``)."""

    def forward(self, x, winners, axis, keepdim, why=None):
        self.x_shape, self.axis = x.shape, axis
        # a copy: the caller has these, and may change them
        self.winners = winners.copy() if self.needs_input_grad[0] else winners
        picked = np.take_along_axis(x, winners, axis)
        return picked if keepdim else picked.squeeze(axis)

    def backward(self, grad_out):
        grad_x = full(grad_out, self.x_shape, 0)  # zeros, where grad_out lives
        np.put_along_axis(grad_x, self.winners, grad_out.reshape(self.winners.shape), self.axis)
        return grad_x


def _keepdims(reduced, x_shape, axes):
    """`reduced` with length 1 at the axes that were summed away."""
    return reduced.reshape([1 if axis in axes else n for axis, n in enumerate(x_shape)])  # (N, C) -> (N, C, 1, 1)


def axes_of(op: str, x: Variable, dim: Dim) -> Shape:
    """dim as a tuple of axes counted from 0."""
    if isinstance(dim, (tuple, list)) and not dim:  # PyTorch: of no axes, all; NumPy: none at all
        dim = None
    dims = range(x.data.ndim) if dim is None else (dim if isinstance(dim, (tuple, list)) else (dim,))
    return distinct_axes(op, "dim", dims, x.data.shape)
