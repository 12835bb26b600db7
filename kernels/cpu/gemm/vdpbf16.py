"""Products of bfloat16 numbers by vdpbf16ps (dot.py): the walk of matmul.py over matrices of words, pairs of numbers.

A row of a is read as it lies, seen as words: (rows, depth/2). That takes an even depth, and rows that begin at even
places; else they are copied, a cache block at a time, with a zero behind an odd one. b is packed in words (pairs.py).
In a transposed product two rows of each factor make one of words, slice by slice, as both are packed.

Sums are cut as in matmul.py: after 256 words, which are 512 products.
"""

import math

import numpy as np

from ..machine import memory
from ..machine.jit import jit
from . import matmul, pairs
from .lanes import copy, lanes
from .matmul import SUMMANDS
from .micro_kernel import TILE_ROWS
from .pairs import pack_panel, pack_tiles
from .transposed import PACKED_ROWS, transposed_times

COPIED = 1 << 16  # numbers of a that are copied together: 128 KB, in the second cache


def panels(name, weight, start, counts, steps, columns, column_step):
    """As in bfloat16.py: panels of words."""
    matrix = weight, start, counts, steps, columns, column_step
    return pairs.panels(name, matrix, matmul.width(weight.dtype), (math.prod(counts) + 1) // 2)


def multiply(a, b, c, size):
    """As in bfloat16.py."""
    (x, at, row), (y, c_at, c_row), (rows, depth, columns) = a, c, size
    words = (depth + 1) // 2  # of a row
    whole = x[: len(x) // 2 * 2].view(np.uint32)
    if (at | row | depth) % 2 == 0 and whole.flags.aligned:
        matmul.multiply((whole, at // 2, row // 2), (b, 0), c, (rows, words, columns), SUMMANDS)
        return
    block = max(TILE_ROWS, COPIED // max(1, 2 * words))
    for start in range(0, rows, block):
        count = min(block, rows - start)
        some = memory.scratch("vdpbf16.rows", (count * words * 2,), np.uint16)
        _copy_rows((x, at + start * row, row), some, count, depth)
        to = y, c_at + start * c_row, c_row
        matmul.multiply((some.view(np.uint32), 0, words), (b, 0), to, (count, words, columns), SUMMANDS)


@jit
def _copy_rows(a, some, rows, depth):
    """a (rows, depth), each row with a zero behind it where depth is odd."""
    (x, at, row), apart = a, depth + depth % 2
    for i in range(rows):
        some[(i + 1) * apart - 1 : (i + 1) * apart] = 0
        copy(x, at + i * row, some, i * apart, depth)


def multiply_transposed(a, b, c, size, more):
    """As in bfloat16.py."""
    space = memory.scratch("vdpbf16.space", (SUMMANDS * (matmul.width(np.float32) + PACKED_ROWS),), np.uint32)
    _multiply_transposed(a, b, c, size, more, space)


@jit
def _multiply_transposed(a, b, c, size, more, space):
    (x, at, a_row), (z, b_at, b_row), (y, c_at, c_row), (depth, rows, columns) = a, b, c, size
    wide = 2 * lanes(space)
    panel, tiles = space[: SUMMANDS * wide], space[SUMMANDS * wide :]  # 32 KB, first cache; 516 KB, second cache
    for k in range(0, max(1, depth), 2 * SUMMANDS):
        height = min(2 * SUMMANDS, depth - k)  # rows of both factors
        steps = (height + 1) // 2  # rows of words
        packed = tiles, 0, TILE_ROWS * steps, TILE_ROWS  # (steps, TILE_ROWS) one behind the other
        for i in range(0, rows, PACKED_ROWS):
            count = min(PACKED_ROWS, rows - i)  # rows of c
            pack_tiles((x, at + k * a_row + i, a_row), tiles, height, count)
            for j in range(0, columns, wide):
                some = height, min(wide, columns - j), steps, wide
                pack_panel((z, b_at + k * b_row + j, b_row), panel, some)
                to = y, c_at + i * c_row + j, c_row
                transposed_times(packed, (1, 0), panel, count, steps, to, more or k > 0)
