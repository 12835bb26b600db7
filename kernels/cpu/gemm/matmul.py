"""GEMM, the product of matrices that lie as convolutions have them: the walk around the micro-kernel.

    multiply           c (rows, columns) = a (rows, depth) @ b (depth, columns)
    multiply_windows   the same for windows of an image that are nowhere copied together (stem.py)

transposed.py multiplies by the transpose of a.

A product that goes through all of a or b for every few results waits for memory. So both are cut into slices as large
as a cache (*cache blocks*), which are used as often as possible while they are there. `multiply`, in NumPy, for a c of
zeros:

    for start in range(0, rows, block):                        # 32 KB of a (or 256), in the second cache
        for j in range(0, columns, 32):                        # a panel of b
            for k in range(0, depth, 256):                     # 256 rows of it: 32 KB, in the first cache
                for i in range(start, min(start + block, rows), 12):  # 12 KB of a, in the first; micro_kernel.py
                    c[i : i + 12, j : j + 32] += a[i : i + 12, k : k + 256] @ b[k : k + 256, j : j + 32]

Where a has more than 1024 columns, its cache block is 256 rows by 256 columns, and the loop over k goes round that over
j: else a cache block would have few rows, and b, which is then too large for a cache, come out of memory for each.

b is *packed* into *panels* of 32 columns (2 vectors), each in the order in which the micro-kernel reads it: row by row,
(depth, 32).

Why not BLAS? It must pack both operands at every call, as it cannot know them. Here weights are packed once for many
rows, or come out of a transform in that order (winograd.py), and a is read as it lies. What that saves counts most in
small products, such as the 36 of a Winograd convolution.

Rounding: shorter sums round less, so a long one is cut into sums of SUMMANDS (256) products, which are then added up.
Not so in multiply_windows. For a last panel with fewer than 32 columns c has no room: its register tiles are worked out
beside it, and then copied in part. How rows are shared among threads changes nothing: each number is the sum of the
same products in the same order.

The sizes are for first caches of 48 KB and second ones of 2 MB; in smaller ones results are the same, and come later.

All arrays are 1-D. A matrix in one is a tuple (array, where it begins, how far its rows are apart); a panel, whose rows
follow one another, is (array, where it begins).
"""

import functools
import math

import numpy as np
from numba import types

from ..machine import memory, threads
from ..machine.jit import jit
from ..machine.kept import kept, plain
from .lanes import Vector, clear, copy, lanes, transpose
from .micro_kernel import TILE_ROWS, tile_of_1, tile_of_4, tile_of_many

CACHE_BLOCK = 1 << 13  # numbers of a: 32 KB. All of b passes by for each, out of the second cache
SMALL_B = 1 << 18  # numbers of b that stay there, 1 MB: for more, or for few of a, cache blocks are 8 times as large
DEEP = 1 << 10  # products in a sum: for longer ones, cache blocks are cut along k, too
SUMMANDS = 256  # of a sum, and rows of a panel that are used together: 256 * 32 numbers are 32 KB


@functools.cache
def width(dtype):
    """How many columns a panel has: two vectors of `dtype`."""
    return 2 * Vector(types.float32 if dtype == np.float32 else types.float64).lanes


def padded(columns, dtype):
    """`columns` rounded up to whole panels."""
    return columns + -columns % width(dtype)


def panels(name, weight, start, counts, steps, columns, column_step):
    """Scratch panels of the matrix b (depth, columns) whose rows are numbered by three indices; of an immutable weight,
    they are kept (machine/kept.py).

    b[(i, j, k), l] = weight[start + (i, j, k) @ steps + l*column_step] for (i, j, k) in range(counts), of weight flat;
    a row of panels (columns/width, depth, width), where zeros fill up the last.
    """

    def make(space):
        depth, wide = math.prod(counts), width(weight.dtype)
        count = padded(columns, weight.dtype) // wide  # panels
        out, flat = space(name, (count * depth * wide,), weight.dtype), plain(weight).reshape(-1)

        def work(first, last):  # of the panels
            square = memory.scratch("matmul.square", (wide * wide // 2,), weight.dtype)
            _fill_panels((flat, start, column_step), counts, steps, columns, square, out, (first, last))

        threads.run_chunks(work, count, least=max(1, threads.LEAST // max(1, depth * wide)))
        return out

    return kept(weight, (name, start, counts, steps, columns, column_step), make)


@jit
def _fill_panels(source, counts, steps, columns, square, out, numbers):
    """Panels numbers[0] ... numbers[1] of panels(); source: (weight, start, column_step)."""
    weight, start, column_step = source
    (n1, n2, n3), (step1, step2, step3) = counts, steps
    wide, high = 2 * lanes(weight), lanes(weight)  # columns of a panel; numbers of a vector
    area, depth = n1 * n2, n1 * n2 * n3  # taps of a filter, and its weights
    for panel in range(numbers[0], numbers[1]):
        count, row = min(wide, columns - panel * wide), panel * depth * wide  # its columns; where it begins in `out`
        at = start + panel * wide * column_step  # where its first column begins in `weight`
        if count < wide:
            clear(out, row, depth * wide)
        # where a filter's weights (k, i, j) follow one another in memory, squares of them and of filters are mirrored
        in_squares = count == wide and step3 == area and step2 == 1 and (n1 == 1 or step1 == n2)
        whole = depth - depth % high if in_squares else 0
        for f in range(0, whole, high):
            # square (high, wide): row n is weight f + n of `wide` filters, two vectors of them
            transpose(weight, at + f, column_step, square, 0, wide)
            transpose(weight, at + f + high * column_step, column_step, square, high, wide)
            for k in range(high):  # in memory a filter is (k, i, j), in a panel (i, j, k)
                to = (f + k) % area * n3 + (f + k) // area
                copy(square, k * wide, out, row + to * wide, wide)
        # what is left of a filter, or all of it: row by row of the panel
        for k in range(whole // area, n3):
            for i in range(n1):
                for j in range(n2):
                    from_, to = at + i * step1 + j * step2 + k * step3, row + ((i * n2 + j) * n3 + k) * wide
                    if column_step == 1:
                        copy(weight, from_, out, to, count)
                    else:
                        for n in range(count):
                            out[to + n] = weight[from_ + n * column_step]


@jit(forceinline=True)
def _times_panel(a, runs, b, rows, depth, c, more):
    """c (+)= a @ b for one panel: register tiles below each other. The last may work out rows of the one before again.

    Arguments as in micro_kernel.py. Two register tiles fetch what follows in b ahead of its time, a half each.
    """
    (x, at, row), (panel, b_at), (y, c_at, c_row) = a, b, c
    i = 0
    while i < rows:  # the register tiles' rows, from the top
        b_i = panel, b_at, b_at + (2 + i // TILE_ROWS % 2) * depth * runs[0] * lanes(x)  # and behind it: a half each
        if i + TILE_ROWS <= rows:
            tile_of_many((x, at + i * row, row, 1), runs, b_i, depth, (y, c_at + i * c_row, c_row), more)
            i += TILE_ROWS
        elif i + 4 <= rows or (rows >= 4 and not more):  # moved up where rows overlap: nothing may be added twice
            i = min(i, rows - 4)
            tile_of_4((x, at + i * row, row, 1), runs, b_i, depth, (y, c_at + i * c_row, c_row), more)
            i += 4
        else:
            tile_of_1((x, at + i * row, row, 1), runs, b_i, depth, (y, c_at + i * c_row, c_row), more)
            i += 1


@jit(forceinline=True)
def _times_partial_panel(a, runs, b, size, c, edge, summands):
    """The same for a last panel that c has fewer columns of; edge: a register tile; size: (rows, depth, columns)."""
    (x, at, row), (y, c_at, c_row), (rows, depth, columns) = a, c, size
    wide = 2 * lanes(x)
    for i in range(0, rows, TILE_ROWS):
        height = min(TILE_ROWS, rows - i)
        for k in range(0, max(1, depth), summands):
            a_k, b_k, some = (x, at + i * row + k, row), (b[0], b[1] + k * wide), min(summands, depth - k)
            _times_panel(a_k, runs, b_k, height, some, (edge, 0, wide), k > 0)
        for k in range(height):
            copy(edge, k * wide, y, c_at + (i + k) * c_row, columns)


@jit(forceinline=True)
def multiply(a, b, c, size, summands):
    """c = a @ b for matrices a and c, and b in panels, one behind the other; size: (rows, depth, columns).

    summands: how many products are added up before their sum is added to others': SUMMANDS, or fewer.
    """
    (x, at, row), (packed, b_at), (y, c_at, c_row), (rows, depth, columns) = a, b, c, size
    wide = 2 * lanes(x)
    edge = np.empty(TILE_ROWS * wide, y.dtype)  # a register tile: 1.5 KB
    # few rows of a deep a would fill a cache block, and all of b pass by for them: SUMMANDS numbers at a time
    slice_ = max(1, depth if depth <= DEEP else summands)
    # a small b comes out of the second cache each time: then a's cache block may be small, and stay in the first
    block = CACHE_BLOCK if depth * columns <= SMALL_B and depth * rows > 8 * CACHE_BLOCK else 8 * CACHE_BLOCK
    block = max(TILE_ROWS, block // slice_ // TILE_ROWS * TILE_ROWS)  # rows, whole register tiles
    for start in range(0, rows, block):
        count = min(block, rows - start)  # rows of this cache block
        for first in range(0, max(1, depth), slice_):
            for j in range(0, columns, wide):
                a_i, b_j, to = at + start * row, b_at + j * depth, c_at + start * c_row + j  # of block `start`, panel j
                if j + wide <= columns:
                    for k in range(first, max(1, min(first + slice_, depth)), summands):
                        some = min(summands, depth - k)  # rows of the panel: at most 32 KB of it
                        b_k = packed, b_j + k * wide
                        _times_panel((x, a_i + k, row), (1, 0), b_k, count, some, (y, to, c_row), k > 0)
                elif first == 0:  # c ends inside this panel: a whole register tile would overwrite its next row
                    sizes = count, depth, columns - j
                    _times_partial_panel((x, a_i, row), (1, 0), (packed, b_j), sizes, (y, to, c_row), edge, summands)


@jit
def multiply_windows(frame, distances, b, c, counts):
    """The same for rows that are the windows of an image, in which each row of a window is a run of `depth` numbers.

    counts: (runs of a window, lines, windows in each line, depth, columns); distances: how far apart in `frame` are
    (windows, lines, runs); c: (array, where it begins, how far apart its rows are, and its lines).
    """
    (runs, lines, rows, depth, columns), (row, line, run), (y, c_at, c_row, c_line) = counts, distances, c
    wide = 2 * lanes(frame)
    edge = np.empty(TILE_ROWS * wide, y.dtype)
    for j in range(0, columns, wide):
        b_j = b, j * depth * runs
        for i in range(lines):
            a_i, c_i = (frame, i * line, row), (y, c_at + i * c_line + j, c_row)  # the windows of line i, its results
            if j + wide <= columns:
                _times_panel(a_i, (runs, run), b_j, rows, depth, c_i, False)
            else:
                _times_partial_panel(a_i, (runs, run), b_j, (rows, depth, columns - j), c_i, edge, max(1, depth))
