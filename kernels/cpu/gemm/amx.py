"""Products of bfloat16 numbers by AMX: the walk around the tiles (tiles.py), 32 x 32 sums at a time.

`multiply`, in NumPy, for a c of zeros:

    for start in range(0, rows, block):                                # 128 KB of a, in the second cache
        for j in range(0, columns, 32):                                # a panel of b (pairs.py)
            for k in range(0, depth, 512):                             # 512 rows of it: 32 KB, in the first cache
                for i in range(start, min(start + block, rows), 32):   # the 2 x 2 tiles of c
                    c[i : i + 32, j : j + 32] += a[i : i + 32, k : k + 512] @ b[k : k + 512, j : j + 32]

a is read as it lies. Tiles are whole: so rows that are fewer than 32, or end before their last 32 numbers do, are
copied first, with zeros behind. (Zeros in b alone would not do: what lies behind a row of a may be NaN.) Where c has
no room for 32 x 32 sums they are worked out beside it.

In `multiply_transposed` both factors are packed, slice by slice, as in matmul.py. Two rows of b make one of words, and
so do two of a; these are then turned (lanes.py: transpose), as a tile of a has its numbers side by side.

A sum goes on from slice to slice: the instruction adds up 32 products before it adds them to it, so that a sum of 8192
products has no more roundings one after the other than one of 256 elsewhere.
"""

import math

import numpy as np

from ..machine import memory
from ..machine.jit import jit
from . import pairs
from .lanes import copy, lanes, transpose
from .pairs import pack_panel
from .tiles import configure, multiply_tiles, release

ROWS, COLUMNS = 32, 32  # of c, for which 2 x 2 tiles have the sums
DEPTH = 32  # products of a step: a row of a tile of a
SLICE = 512  # rows of a panel that are used together: 512 * 32 numbers of 2 bytes are 32 KB
CACHE_BLOCK = 1 << 16  # numbers of a: 128 KB
PACKED_ROWS = 512  # of c, for which multiply_transposed() packs a: 512 * 512 numbers are 512 KB, in the second cache


def panels(name, weight, start, counts, steps, columns, column_step):
    """As in bfloat16.py: panels of words, whole tiles."""
    return pairs.panels(
        name, (weight, start, counts, steps, columns, column_step), COLUMNS, _deep(math.prod(counts)) // 2
    )


def multiply(a, b, c, size):
    """As in bfloat16.py."""
    rows, depth, _ = size
    deep = _deep(depth)
    block = max(ROWS, CACHE_BLOCK // deep // ROWS * ROWS)  # rows that are in the second cache together
    space = memory.scratch("amx.rows", (min(block, rows + ROWS) * deep,), np.uint16)
    _multiply(a, b, c, size, (deep, block), space, _edge())


@jit
def _multiply(a, b, c, size, blocks, space, edge):
    """blocks: (depth in whole tiles, rows of a cache block); space: for so many rows of so many numbers."""
    (x, at, row), (y, c_at, c_row), (rows, depth, columns), (deep, block) = a, c, size, blocks
    configure()
    for start in range(0, rows, block):
        count = min(block, rows - start)
        in_place = count - count % ROWS if deep == depth else 0  # rows that are read where they lie
        _copy_rows((x, at + (start + in_place) * row, row), space, (count - in_place, depth, deep))
        for j in range(0, columns, COLUMNS):
            for k in range(0, deep, SLICE):
                b_k = b, (j * deep + k * COLUMNS) // 2  # in words
                steps = min(SLICE, deep - k) // DEPTH
                for i in range(0, count, ROWS):
                    a_i = (
                        (x, at + (start + i) * row + k, row)
                        if i < in_place
                        else (space, (i - in_place) * deep + k, deep)
                    )
                    to = y, c_at + (start + i) * c_row + j, c_row
                    _multiply_into((min(ROWS, count - i), min(COLUMNS, columns - j)), a_i, b_k, to, steps, k > 0, edge)
    release()


def multiply_transposed(a, b, c, size, more):
    """As in bfloat16.py."""
    space = memory.scratch("amx.space", (SLICE // 2 * (ROWS + COLUMNS + PACKED_ROWS),), np.uint32)
    _multiply_transposed(a, b, c, size, more, space, _edge())


@jit
def _multiply_transposed(a, b, c, size, more, space, edge):
    (x, at, a_row), (z, b_at, b_row), (y, c_at, c_row), (depth, rows, columns) = a, b, c, size
    half = SLICE // 2 * ROWS  # words of a panel
    panel, upright, turned = space[:half], space[half : 2 * half], space[2 * half :]  # 32 KB, 32 KB, 512 KB
    configure()
    for k in range(0, max(1, depth), SLICE):
        height = min(SLICE, depth - k)  # rows of both factors
        words = max(DEPTH, height + -height % DEPTH) // 2  # of a row of a^T, whole tiles
        for i in range(0, rows, PACKED_ROWS):
            count = min(PACKED_ROWS, rows - i)  # rows of c
            for n in range(0, count, ROWS):
                some = height, min(ROWS, count - n), words, ROWS
                pack_panel((x, at + k * a_row + i + n, a_row), upright, some)
                _turn(upright, turned, n * words, words)
            for j in range(0, columns, COLUMNS):
                some = height, min(COLUMNS, columns - j), words, COLUMNS
                pack_panel((z, b_at + k * b_row + j, b_row), panel, some)
                for n in range(0, count, ROWS):
                    a_n, to = (turned, n * words, words), (y, c_at + (i + n) * c_row + j, c_row)
                    steps, some = words * 2 // DEPTH, (min(ROWS, count - n), COLUMNS)
                    _multiply_into(some, a_n, (panel, 0), to, steps, more or k > 0, edge)
    release()


@jit(forceinline=True)
def _multiply_into(size, a, b, c, steps, more, edge):
    """c (size) = (c if `more`) + a (32, 32*steps) @ b; edge: room for 32 x 32 sums, where c has less."""
    (rows, columns), (y, at, row) = size, c
    if rows == ROWS and columns == COLUMNS:
        multiply_tiles(a, b, c, steps, more)
        return
    if more:
        for i in range(rows):
            copy(y, at + i * row, edge, i * COLUMNS, columns)
    multiply_tiles(a, b, (edge, 0, COLUMNS), steps, more)
    for i in range(rows):
        copy(edge, i * COLUMNS, y, at + i * row, columns)


@jit(forceinline=True)
def _copy_rows(a, space, size):
    """Rows of a (rows, depth), one behind the other, each with zeros behind it up to a length of `deep`."""
    (x, at, row), (rows, depth, deep) = a, size
    for i in range(rows):
        copy(x, at + i * row, space, i * deep, depth)
        space[i * deep + depth : (i + 1) * deep] = 0


@jit(forceinline=True)
def _turn(upright, turned, to, words):
    """turned (32, words), from place `to` on, is upright (words, 32) with its axes swapped."""
    side = lanes(upright)
    for k in range(0, words, side):  # square by square
        for n in range(0, ROWS, side):
            transpose(upright, k * ROWS + n, ROWS, turned, to + n * words + k, words)


def _deep(depth):
    """`depth` in whole tiles, one at least."""
    return max(DEPTH, depth + -depth % DEPTH)


def _edge():
    return memory.scratch("amx.edge", (ROWS * COLUMNS,), np.float32)
