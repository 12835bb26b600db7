"""Sums of float32 numbers that stay right over millions of them: what the other pages sum with.

A float32 number has 24 binary digits. Added one by one, 4,000,000 times 0.1 is 384,524: the sum is soon so large that
most of a small number falls off its end. NumPy adds in pieces ("pairwise"), so that small numbers meet small sums, but
only along the axis whose values lie side by side in memory. Here it is pieces along any axis:

    few values                              added as they come, in float32
    the axes nearest in memory are summed   by NumPy's own pieces, in float32, and what remains in float64
    others are                              the longest of them in pieces of PIECE values, in float32, and what remains
                                            in float64

Float64 numbers have digits enough. On the GPU the array library sums in float64: memory decides how long it takes.
"""

import math

import numpy as np

from ..device import device_of

PIECE = 16  # values added one by one in float32: each may cost half of the last digit, all of them 9e-7 of the sum
FEW = 64  # values that are not worth more than one addition for each


def total(x, axes, keepdims=False):
    """The sum of x over a tuple of axes, in x's dtype: within 1e-6 of float64's, however many values there are."""
    axes = tuple(axis % x.ndim for axis in axes)
    if x.dtype != np.float32 or math.prod(x.shape[axis] for axis in axes) <= FEW:
        return x.sum(axis=axes, keepdims=keepdims)
    if device_of(x) == "cuda":
        return x.sum(axis=axes, keepdims=keepdims, dtype=np.float64).astype(np.float32)
    near = _nearest_in_memory(x, axes)
    if math.prod(x.shape[axis] for axis in near) < PIECE:
        parts = _in_pieces(x, max(axes, key=x.shape.__getitem__))
    elif len(near) < len(axes):
        parts = [x.sum(axis=near, keepdims=True)]
    else:
        return x.sum(axis=axes, keepdims=keepdims)
    remaining = math.prod(parts[0].shape[axis] for axis in axes)
    dtype = np.float32 if remaining <= FEW else np.float64
    result = parts[0].sum(axis=axes, keepdims=keepdims, dtype=dtype)
    for part in parts[1:]:
        result = result + part.sum(axis=axes, keepdims=keepdims, dtype=dtype)
    return result.astype(np.float32, copy=False)


def mean(x, axes, keepdims=False):
    """The mean of x over a tuple of axes, in x's dtype."""
    return total(x, axes, keepdims) / x.dtype.type(math.prod(x.shape[axis] for axis in axes))


def _nearest_in_memory(x, axes):
    """Those of `axes` whose values lie side by side, one axis within the other: NumPy sees them as a single axis."""
    near, span = [], None
    for stride, axis in sorted((abs(x.strides[axis]), axis) for axis in range(x.ndim) if x.shape[axis] != 1):
        if axis not in axes or (near and stride != span):
            break
        near.append(axis)
        span = stride * x.shape[axis]
    return tuple(near)


def _in_pieces(x, axis):
    """[the sums of PIECE values along `axis`, which are not neighbours: a row of results at a time; of the rest]."""
    before, length, after = x.shape[:axis], x.shape[axis], x.shape[axis + 1 :]
    whole = length // PIECE * PIECE
    ahead = (slice(None),) * axis
    pieces = x[(*ahead, slice(whole))].reshape(*before, PIECE, whole // PIECE, *after).sum(axis=axis)
    return [pieces, x[(*ahead, slice(whole, None))].sum(axis=axis, keepdims=True)] if whole < length else [pieces]
