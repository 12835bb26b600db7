"""Sums of float32 numbers that stay right over millions of them: what the other pages sum with.

A float32 number has 24 binary digits. Added one by one, 4,000,000 times 0.1 is 384,524: the sum is soon so large that
most of a small number falls off its end. Each addition may cost half of the last digit, 6e-8 of the sum so far.
A *run* is numbers that lie side by side in memory. Within a run NumPy adds neighbours first ("pairwise"), so that small
numbers meet small sums. But it adds run to run, and numbers that lie apart, one after the other. Therefore here

    up to FEW runs      are added as NumPy does, in float32
    more long runs      are summed one by one in float32, and their sums are added in float64
    more short ones     are cut into pieces of PIECE values; a piece is summed in float32, and so are up to PIECE of
                        their sums, but more of them in float64

The three are wrong by at most 8e-6, 4e-6 and 2e-6 of the sum of absolute values; by 2e-6, 1e-6 and 1e-6 where the
values are alike, and 1e-7 where they differ at random. On the GPU float64 costs no time: memory decides.
"""

import math

import numpy as np

from ..device import device_of
from ..types import Array, Shape

FEW = 128  # runs for which pieces would take longer than the sum itself
PIECE = 32  # values that are added one by one
WIDTH = 4096  # neighbouring columns that are summed together: their sums stay in the first-level cache


def total(x: Array, axes: Shape, keepdims: bool = False) -> Array:
    """The sum of x over a tuple of axes, in x's dtype; of float32 values as right as the page says."""
    count = _count(x, axes)
    if count <= FEW or x.dtype.char != "f":  # few numbers, or float64, which has digits enough
        return x.sum(axis=axes, keepdims=keepdims)
    if device_of(x) == "cuda":
        return x.sum(axis=axes, keepdims=keepdims, dtype=np.float64).astype(np.float32)
    axes = tuple(axis % x.ndim for axis in axes)
    run = _side_by_side(x, axes)  # the axes that a run goes along
    if count <= FEW * _count(x, run):  # few runs, each of which NumPy sums pairwise
        return x.sum(axis=axes, keepdims=keepdims)
    if _count(x, run) >= PIECE:  # many long runs: a sum of each, (N, C, H, W) over (0, 2, 3) -> (N, C, 1, 1)
        parts, rest = x.sum(axis=run, keepdims=True), None
    else:  # many short ones, or single values: pieces along the longest axis
        parts, rest = _in_pieces(x, max(axes, key=x.shape.__getitem__))
    dtype = np.float32 if _count(parts, axes) <= PIECE else np.float64
    result = parts.sum(axis=axes, keepdims=keepdims, dtype=dtype)
    if rest is not None:
        result = result + total(rest, axes, keepdims)  # fewer than PIECE * group rows
    return result.astype(np.float32, copy=False)


def mean(x: Array, axes: Shape, keepdims: bool = False) -> Array:
    """The mean of x over a tuple of axes, in x's dtype."""
    return total(x, axes, keepdims) / x.dtype.type(_count(x, axes))


def _count(x, axes):
    """How many values x has along `axes`."""
    count = 1
    for axis in axes:
        count *= x.shape[axis]
    return count


def _side_by_side(x, axes):
    """Those of `axes` whose values lie side by side, one axis within the other: NumPy sees them as a single axis."""
    order = range(x.ndim - 1, -1, -1)  # from the innermost axis outwards
    if not x.flags.c_contiguous:
        order = sorted(order, key=lambda axis: abs(x.strides[axis]))  # of a transposed array, by its strides
    run, span = (), None  # span: the bytes of the run so far, and so the stride of an axis that continues it
    for axis in order:
        if x.shape[axis] != 1:  # an axis of one step goes with any other
            stride = abs(x.strides[axis])
            if axis not in axes or (run and stride != span):  # it stays, or there is a gap
                break
            run += (axis,)
            span = stride * x.shape[axis]
    return run


def _in_pieces(x, axis):
    """The sums of pieces of PIECE values along `axis`, and what is left of x, which is less; None if nothing is.

    A piece goes down a column. Columns side by side are summed together: those of the axes behind, and of `group` rows,

        rows   0 2 4 6    1 3 5 7    8        two pieces of 4 where the group is 2, and what is left
    """
    before, length, after = x.shape[:axis], x.shape[axis], x.shape[axis + 1 :]
    if length < 2 * PIECE:
        return x.sum(axis=axis, keepdims=True), None  # one piece, not quite twice as long
    group = min(max(1, WIDTH // max(1, math.prod(after))), length // PIECE)  # rows side by side
    whole = length - length % (PIECE * group)  # rows that fill pieces
    ahead = (slice(None),) * axis  # for axis 2, x[(*ahead, rows)] is x[:, :, rows]
    columns = x[(*ahead, slice(whole))].reshape(*before, whole // (PIECE * group), PIECE, group, *after)
    # the axis of PIECE values goes; groups in one axis. The length is given: NumPy cannot find it if another one is 0
    parts = columns.sum(axis=axis + 1).reshape(*before, whole // PIECE, *after)
    return parts, (x[(*ahead, slice(whole, None))] if whole < length else None)
