"""Matrix products for operands that lie as convolutions have them: the walk around the tile of tile.py.

    multiply              c (rows, columns) = a (rows, depth) @ b (depth, columns)
    multiply_transposed   c (rows, columns) (+)= a (depth, rows)^T @ b (depth, columns)
    ..._windows(...)      the same for windows of an image that are nowhere copied together (stem.py)

A product that goes through all of a or b for every few results waits for memory. So both are cut into pieces as large
as a cache, which are used as often as possible while they are there. `multiply`, in NumPy, for a c of zeros:

    for start in range(0, rows, block):                        # 32 KB of a (or 256), in the second cache
        for j in range(0, columns, 32):                        # a panel of b
            for k in range(0, depth, 256):                     # a piece of it: 32 KB, in the first cache
                for i in range(start, min(start + block, rows), 12):         # 12 KB of a, in the first; tile.py
                    c[i : i + 12, j : j + 32] += a[i : i + 12, k : k + 256] @ b[k : k + 256, j : j + 32]

b lies in *panels* of 32 columns (2 vectors), each in the order in which the tile reads it: row by row, (depth, 32). In
multiply_transposed `depth` counts the pixels of all images; c, a gradient of weights, is small beside a and b. So k
comes first, and both are put into order piece by piece:

    for k in range(0, depth, 256):
        for i in range(0, rows, 504):
            tiles = a[k : k + 256, i : i + 504].T.copy()       # 504 KB, in the second cache
            for j in range(0, columns, 32):
                panel = b[k : k + 256, j : j + 32].copy()      # 32 KB, in the first cache
                c[i : i + 504, j : j + 32] += tiles @ panel    # tile by tile

Why not BLAS? It must copy both operands into such an order at every call, as it cannot know them. Here weights are put
into panels once for many rows, or come out of a transform in that order (winograd.py), and a is read as it lies. What
that saves counts most in small products, such as the 36 of a Winograd convolution.

Rounding: shorter sums round less, so a long one is cut into sums of SUMMANDS (256) products, which are then added up.
Not so in multiply_windows, nor in `multiply` for a last panel with fewer than 32 columns: its tiles, for which c has no
room, are worked out beside it from end to end, and then copied in part. How rows are shared among threads changes
nothing: each number is the sum of the same products in the same order.

The sizes are for first caches of 48 KB and second ones of 2 MB; in smaller ones results are the same, and come later.

All arrays are 1-D: x begins at x[x_at], and its rows are x_row apart.
"""

import functools
import math

import numpy as np
from numba import types

from ..machine import memory, threads
from ..machine.jit import jit
from .lanes import Vector, clear, copy, lanes, load, store, transpose
from .tile import ROWS, copy_row, tile_of_1, tile_of_4, tile_of_many

BLOCK = 1 << 13  # numbers of a in a block: 32 KB. All of b passes by for each, out of the second cache
SMALL = 1 << 18  # numbers of b that stay there, 1 MB: for more, or for few of a, blocks are 8 times as large
SUMMANDS = 256  # of a sum, and rows of a piece of a panel: 32 KB
HEIGHT = 504  # rows of c for which multiply_transposed() puts a into tiles: 504 KB
FEW = 96  # columns of c; with fewer, that is not worth it, and a is read as it lies


@functools.cache
def width(dtype):
    """How many columns a panel has: two vectors of `dtype`."""
    return 2 * Vector(types.float32 if dtype == np.float32 else types.float64).lanes


def padded(columns, dtype):
    """`columns` rounded up to whole panels."""
    return columns + -columns % width(dtype)


def panels(name, weight, start, counts, steps, columns, column_step):
    """Scratch panels of the matrix b (depth, columns) whose rows are numbered by three indices.

    b[(i, j, k), l] = weight[start + (i, j, k) @ steps + l*column_step] for (i, j, k) in range(counts), of weight flat;
    a row of panels (columns/width, depth, width), where zeros fill up the last.
    """
    depth, wide = math.prod(counts), width(weight.dtype)
    out = memory.scratch(name, (padded(columns, weight.dtype) * depth,), weight.dtype)

    def work(first, last):
        square = memory.scratch("matmul.square", (wide * wide // 2,), weight.dtype)
        _fill_panels(weight, start, *counts, *steps, columns, column_step, square, out, first, last)

    threads.run_shares(work, padded(columns, weight.dtype) // wide, least=max(1, threads.LEAST // max(1, depth * wide)))
    return out


@jit
def _fill_panels(weight, start, n1, n2, n3, step1, step2, step3, columns, column_step, square, out, first, last):
    wide, high = 2 * lanes(weight), lanes(weight)
    area = n1 * n2
    depth = area * n3
    for panel in range(first, last):
        count, row = min(wide, columns - panel * wide), panel * depth * wide
        at = start + panel * wide * column_step
        if count < wide:
            clear(out, row, depth * wide)
        whole = 0
        if count == wide and step3 == area and step2 == 1 and (n1 == 1 or step1 == n2):
            # a filter's weights, (k, i, j), are one piece of memory: squares of them and of filters are mirrored
            whole = depth - depth % high
            for f in range(0, whole, high):
                transpose(weight, at + f, column_step, square, 0, wide)
                transpose(weight, at + f + high * column_step, column_step, square, high, wide)
                for k in range(high):
                    to = (f + k) % area * n3 + (f + k) // area
                    copy(square, k * wide, out, row + to * wide, wide)
        for k in range(whole // area, n3):
            for i in range(n1):
                for j in range(n2):
                    source, to = at + i * step1 + j * step2 + k * step3, row + ((i * n2 + j) * n3 + k) * wide
                    if column_step == 1:
                        copy(weight, source, out, to, count)
                    else:
                        for n in range(count):
                            out[to + n] = weight[source + n * column_step]


@jit(forceinline=True)
def _times_panel(a, at, row, run, runs, b, b_at, rows, depth, c, c_at, c_row, more):
    """c (+)= a @ b for one panel: the tiles below each other. The last may work out rows of the one before again.

    Arguments as in tile.py. Each two tiles fetch the next panel of b (or the next piece of this one) ahead of its time.
    """
    i = 0
    while i < rows:
        b_next = b_at + (2 + i // ROWS % 2) * depth * runs * lanes(a)  # behind this panel, one half and the other
        if i + ROWS <= rows:
            tile_of_many(a, at + i * row, row, 1, run, runs, b, b_at, b_next, depth, c, c_at + i * c_row, c_row, more)
            i += ROWS
        elif i + 4 <= rows or (rows >= 4 and not more):  # nothing may be added twice
            i = min(i, rows - 4)
            tile_of_4(a, at + i * row, row, 1, run, runs, b, b_at, b_next, depth, c, c_at + i * c_row, c_row, more)
            i += 4
        else:
            tile_of_1(a, at + i * row, row, 1, run, runs, b, b_at, b_next, depth, c, c_at + i * c_row, c_row, more)
            i += 1


@jit(forceinline=True)
def _times_partial_panel(a, at, row, run, runs, b, b_at, rows, depth, c, c_at, c_row, columns, edge):
    """The same for a last panel of which c has only so many `columns`: by way of `edge`, room for a tile."""
    wide = 2 * lanes(a)
    for i in range(0, rows, ROWS):
        height = min(ROWS, rows - i)
        _times_panel(a, at + i * row, row, run, runs, b, b_at, height, depth, edge, 0, wide, False)
        for k in range(height):
            copy(edge, k * wide, c, c_at + (i + k) * c_row, columns)


@jit(forceinline=True)
def multiply(a, at, row, b, b_at, c, c_at, c_row, rows, depth, columns, summands):
    """c = a @ b, for b in panels; a begins at a[at], its rows are `row` apart, and so on for c.

    summands: how many products are added up before their sum is added to others': SUMMANDS, or fewer.
    """
    wide = 2 * lanes(a)
    edge = np.empty(ROWS * wide, a.dtype)
    block = BLOCK if depth * columns <= SMALL and depth * rows > 8 * BLOCK else 8 * BLOCK
    block = max(ROWS, block // max(1, depth) // ROWS * ROWS)
    for start in range(0, rows, block):
        count = min(block, rows - start)
        for j in range(0, columns, wide):
            a_i, b_j, to = at + start * row, b_at + j * depth, c_at + start * c_row + j
            if j + wide > columns:
                _times_partial_panel(a, a_i, row, 0, 1, b, b_j, count, depth, c, to, c_row, columns - j, edge)
                continue
            for k in range(0, max(1, depth), summands):
                some = min(summands, depth - k)
                _times_panel(a, a_i + k, row, 0, 1, b, b_j + k * wide, count, some, c, to, c_row, k > 0)


@jit
def multiply_windows(a, row, line, run, runs, b, c, c_at, c_row, c_line, lines, rows, depth, columns):
    """The same for rows that are the windows of an image, in which each row of a window is a run of `depth` numbers.

    There are `lines` times `rows` of them: windows are `row` apart, lines `line`, runs `run`; in c, rows and lines are
    c_row and c_line apart.
    """
    wide = 2 * lanes(a)
    edge = np.empty(ROWS * wide, a.dtype)
    for j in range(0, columns, wide):
        b_j = j * depth * runs
        for i in range(lines):
            to = c_at + i * c_line + j
            if j + wide <= columns:
                _times_panel(a, i * line, row, run, runs, b, b_j, rows, depth, c, to, c_row, False)
            else:
                _times_partial_panel(a, i * line, row, run, runs, b, b_j, rows, depth, c, to, c_row, columns - j, edge)


def transposing_space(dtype):
    """Scratch for multiply_transposed: a panel and tiles of SUMMANDS numbers each."""
    return memory.scratch("matmul.space", (SUMMANDS * (width(dtype) + HEIGHT),), dtype)


@jit(forceinline=True)
def _transposed_times(a, at, group, step, run, runs, b, rows, depth, c, c_at, c_row, more):
    """c (+)= a^T @ b for one panel: the rows of a tile are side by side in a, tiles `group` apart."""
    for i in range(0, rows, ROWS):
        left, tile, to = min(ROWS, rows - i), at + i // ROWS * group, c_at + i * c_row
        if left == ROWS:
            tile_of_many(a, tile, 1, step, run, runs, b, 0, 0, depth, c, to, c_row, more)
            continue
        done = 0
        while done + 4 <= left:
            tile_of_4(a, tile + done, 1, step, run, runs, b, 0, 0, depth, c, to + done * c_row, c_row, more)
            done += 4
        while done < left:
            tile_of_1(a, tile + done, 1, step, run, runs, b, 0, 0, depth, c, to + done * c_row, c_row, more)
            done += 1


@jit(forceinline=True)
def multiply_transposed(a, at, a_row, b, b_at, b_row, c, c_at, c_row, depth, rows, columns, more, space):
    """c (rows, columns) = (c if `more`) + a^T @ b for a (depth, rows) and b (depth, columns).

    c has room for whole panels: c_row >= columns rounded up. space: transposing_space(dtype).
    """
    wide = 2 * lanes(a)
    panel, tiles = space[: SUMMANDS * wide], space[SUMMANDS * wide :]
    for k in range(0, max(1, depth), SUMMANDS):
        height = min(SUMMANDS, depth - k)
        for i in range(0, rows, HEIGHT):
            count = min(HEIGHT, rows - i)
            start = at + k * a_row + i
            if columns >= FEW:
                _copy_tiles(a, start, a_row, tiles, height, count)
            for j in range(0, columns, wide):
                copy_panel(b, b_at + k * b_row + j, b_row, panel, 0, height, min(wide, columns - j), wide)
                to, add = c_at + i * c_row + j, more or k > 0
                if columns >= FEW:
                    _transposed_times(tiles, 0, ROWS * height, ROWS, 0, 1, panel, count, height, c, to, c_row, add)
                else:
                    _transposed_times(a, start, ROWS, a_row, 0, 1, panel, count, height, c, to, c_row, add)


@jit
def multiply_windows_transposed(a, row, line, run, runs, b, c, c_row, lines, rows, depth, columns, panel):
    """c (runs*depth, columns) += windows^T @ b, for windows as in multiply_windows and b (lines*rows, columns).

    panel: scratch for lines * rows * width numbers.
    """
    wide = 2 * lanes(a)
    for j in range(0, columns, wide):
        copy_panel(b, j, columns, panel, 0, lines * rows, min(wide, columns - j), wide)
        for i in range(runs):
            to = i * depth * c_row + j
            _transposed_times(a, i * run, ROWS, row, line, lines, panel, depth, rows, c, to, c_row, True)


@jit(forceinline=True)
def _copy_tiles(a, at, row, tiles, height, count):
    """a (height, count) in tiles of ROWS columns: a row of (height, ROWS), each as it is read."""
    whole = count - count % ROWS
    for k in range(height):
        for i in range(0, whole, ROWS):
            copy_row(a, at + k * row + i, tiles, i * height + k * ROWS)
        copy(a, at + k * row + whole, tiles, whole * height + k * ROWS, count - whole)


@jit(forceinline=True)
def copy_panel(b, at, row, panel, to, height, count, wide):
    """The panel (height, wide) of so many columns of b, and zeros."""
    if count == wide:
        for i in range(height):
            store(panel, to + i * wide, wide // 2, 0, 2, load(b, at + i * row, wide // 2, 2, 0, 2))
        return
    clear(panel, to, height * wide)
    for i in range(height):
        copy(b, at + i * row, panel, to + i * wide, count)


@jit
def add_rows(c, c_at, c_row, rows, bias):
    """c (rows, columns) += bias (columns,)."""
    for i in range(rows):
        for j in range(len(bias)):
            c[c_at + i * c_row + j] += bias[j]
