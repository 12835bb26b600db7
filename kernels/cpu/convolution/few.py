"""Convolutions of a few pictures with kept weights: compiled work, and nothing but compiled work between the cores.

One picture is so little that what lies around the products counts: Python, waking a thread, copying. So each layer is
one call of a compiled function whose stages the threads share (machine/team.py).

1x1 windows are rows of a matrix as they lie. Others are copied together, a block at a time; or, where threads share
the filters, all of them first, once for all threads. How rows and filters are shared is gemm/shares.py's rule. Results
are those of im2col.py and pointwise.py, to the last bit: sums of the same products in the same order.
"""

import functools
import math

import numpy as np

from ..gemm.matmul import SUMMANDS, TILE_ROWS, multiply, panels, width
from ..gemm.shares import FEW_ROWS
from ..machine import memory, team, threads
from ..machine.jit import jit
from .epilogue import finish
from .windows import BLOCK_BYTES, LEAST_WINDOWS, copy_windows, filters_of

MOST_ROWS = 1 << 13  # places of all images; with more of them, what lies around the products does not count
BLOCK_NUMBERS = 1 << 17  # of y, 512 KB, which are in the second cache when the epilogue comes
IN_PLACE, AT_ONCE, IN_BLOCKS = range(3)  # how windows become rows of a matrix


def suits(images, geometry):
    """Whether it is so little work that what lies around the products counts."""
    rows = images * math.prod(geometry.out_size)
    return geometry.groups == 1 and 0 < rows <= MOST_ROWS and 0 not in (*geometry.size, geometry.channels)


def conv2d_forward(x, weight, bias, geometry, residual=None, relu=False, look=None):
    """y (N, OH, OW, OC) for x (N, H, W, C) and weight (OC, C, KH, KW).

    look (epilogue.py) is shown no block: it looks at all of y when it is asked for its results.
    """
    y, dtype = memory.empty((len(x), *geometry.out_size, geometry.filters), x.dtype), x.dtype
    form, numbers, tables, size, filters = _plan(len(x), geometry, dtype, threads.threads())
    b = panels("pointwise.b" if form == IN_PLACE else "im2col.b", weight, *filters)
    x, y_flat = x.reshape(-1), y.reshape(-1)
    col = x if form == IN_PLACE else memory.scratch("few.col", (size,), dtype)
    epilogue = epilogue_of(bias, residual, relu, dtype)
    threads.run_compiled(_multiply_windows, *tables, (x, col, b, y_flat, numbers, tuple(geometry), epilogue))
    return y


def epilogue_of(bias, residual, relu, dtype):
    """(bias, residual, relu) for ``finish_columns``."""
    nothing = _nothing(dtype)
    return nothing if bias is None else bias, nothing if residual is None else residual.reshape(-1), relu


@functools.cache
def _nothing(dtype):
    return np.zeros(0, dtype)


@functools.lru_cache(1024)
def _plan(images, geometry, dtype, count):
    """(Form, (form, depth, filters, rows of a block), (table of windows, table of products), numbers of col, where the
    filters' numbers are)."""
    rows, depth, filters = images * math.prod(geometry.out_size), math.prod(geometry.taps), geometry.filters
    depth, wide = depth * geometry.channels, width(dtype)
    plain = geometry.taps == geometry.stride == (1, 1) and geometry.before == geometry.after == (0, 0)
    by_rows = rows >= FEW_ROWS * count or filters < wide * count
    form = IN_PLACE if plain else IN_BLOCKS if by_rows else AT_ONCE
    windows = team.table(rows, count, 1) if form == AT_ONCE else np.zeros((0, 3), np.int64)
    if by_rows:
        products = [(start, stop, 0, filters, number) for start, stop, number in team.table(rows, count, TILE_ROWS)]
        block = max(FEW_ROWS, BLOCK_NUMBERS // filters)
        if not plain:
            block = max(LEAST_WINDOWS, BLOCK_BYTES // (depth * dtype.itemsize))
    else:
        products = [(0, rows, first, last, number) for first, last, number in team.table(filters, count, wide)]
        block = rows
    size = 0 if plain else rows * depth if form == AT_ONCE else len(products) * block * depth
    return form, (form, depth, filters, block), (windows, np.array(products)), size, filters_of(geometry, 0)


@jit
def _multiply_windows(boxes, of_windows, of_products, arguments):
    failed = team.stage(boxes, _copy, of_windows, arguments)
    return failed | team.stage(boxes, _multiply, of_products, arguments)


@jit
def _copy(limits, arguments):
    """Windows limits[0] ... limits[1] to their place in col."""
    x, col, _, _, (_, depth, _, _), geometry, _ = arguments
    copy_windows(x, col[limits[0] * depth :], limits[0], limits[1], 0, geometry)


@jit
def _multiply(limits, arguments):
    """Rows limits[0] ... limits[1] of y, their columns limits[2] ... limits[3]."""
    x, col, b, y, (form, depth, filters, block), geometry, epilogue = arguments
    first, columns = limits[2], limits[3] - limits[2]
    for start in range(limits[0], limits[1], block):
        count, at = min(block, limits[1] - start), start * depth
        if form == IN_BLOCKS:
            at = limits[4] * block * depth
            copy_windows(x, col[at:], start, start + count, 0, geometry)
        c = y, start * filters + first, filters
        multiply((col, at, depth), (b, first * depth), c, (count, depth, columns), SUMMANDS)
        finish_columns(c, (count, columns), first, epilogue)


@jit
def finish_columns(c, size, first, epilogue):
    """epilogue.py's `finish`, for filters from `first` on; what there is none of has no numbers."""
    bias, residual, relu = epilogue
    some = bias[first : first + size[1]]
    if len(bias) and len(residual):
        finish(c, size, some, residual, relu)
    elif len(bias):
        finish(c, size, some, None, relu)
    elif len(residual):
        finish(c, size, None, residual, relu)
    elif relu:
        finish(c, size, None, None, relu)
