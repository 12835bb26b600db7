"""Matrices of bfloat16 numbers as words, each a pair of them: the order that instructions for bfloat16 read.

Such an instruction multiplies words of 32 bits, and adds both products to one sum. So a pair must be neighbours in the
sum: numbers 2k and 2k+1 of a row of a, and of a column of b. In a they are neighbours as it lies. In b they stand one
below the other, and two rows of it make a row of words (Intel calls that VNNI order):

    b   00 01 02 03 ...  31        a panel of 32 columns      (00 10) (01 11) (02 12) ... (031 131)
        10 11 12 13 ... 131                                   (20 30) (21 31) (22 32) ... (231 331)
        20 21 22 23 ... 231
        30 31 32 33 ... 331        in memory 00 10 01 11 02 12 ...: the lower half of a word comes first

Where rows are missing, at the end of an odd depth, or columns, in the last panel, zeros are put.
"""

import math

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ..machine import memory, threads
from ..machine.jit import jit
from . import matmul
from .lanes import Vector, clear, indices, lanes, pointer
from .micro_kernel import TILE_ROWS
from .widened import round_in_place


def panels(name, matrix, wide, height):
    """Scratch panels of words (columns/wide, height, wide) of a matrix b, rounded to bfloat16.

    matrix: (weight, start, counts, steps, columns, column_step), as matmul.py's panels() describe it; wide: columns of
    a panel, a multiple of theirs.
    """
    weight, _, counts, _, columns, _ = matrix
    depth, narrow = math.prod(counts), matmul.width(weight.dtype)
    numbers = matmul.panels("pairs.numbers", *matrix)
    count, size = -(-columns // wide), height * wide  # panels; words of one
    out = memory.scratch(name, (count * size,), np.uint32)

    def work(first, last):  # of the panels
        for panel in range(first, last):
            here = numbers[panel * wide * depth : (panel + 1) * wide * depth]
            round_in_place(here)
            _pair_panels(here.view(np.uint32), (depth, narrow), out[panel * size : (panel + 1) * size], (height, wide))

    threads.run_chunks(work, count, least=max(1, threads.LEAST // max(1, depth * wide)))
    return out


@jit
def _pair_panels(numbers, shape, words, words_shape):
    """words (height, panel) from panels (depth, wide) of bfloat16 numbers as float32, which may be too few."""
    (depth, wide), (height, panel) = shape, words_shape
    for j in range(0, panel, wide):
        at = j * depth  # where the panel of these columns begins
        there = depth if at < len(numbers) else 0  # its rows
        for k in range(height):
            if 2 * k < there:
                pair_rows(numbers, (at + 2 * k * wide, wide, 2 * k + 1 < there), words, k * panel + j, wide)
            else:
                clear(words, k * panel + j, wide)


@jit(forceinline=True)
def pack_panel(b, panel, size):
    """The panel (steps, wide) of words of b, bits of bfloat16, and zeros; size: (rows, columns, steps, wide)."""
    (x, at, row), (rows, columns, steps, wide) = b, size
    if columns < wide or 2 * steps > rows:
        clear(panel, 0, steps * wide)
    for k in range((rows + 1) // 2):
        pair_rows(x, (at + 2 * k * row, row, 2 * k + 1 < rows), panel, k * wide, columns)


@jit(forceinline=True)
def pack_tiles(a, tiles, height, count):
    """a (height, count), bits, as a row of register tiles' (height/2, TILE_ROWS) words, in the order they are read."""
    x, at, row = a
    steps, whole = (height + 1) // 2, count - count % TILE_ROWS  # rows of full register tiles
    for k in range(steps):
        below = 2 * k + 1 < height
        for i in range(0, whole, TILE_ROWS):
            _pair_tile(x, at + 2 * k * row + i, row, below, tiles, i * steps + k * TILE_ROWS)
        rest = at + 2 * k * row + whole, row, below
        pair_rows(x, rest, tiles, whole * steps + k * TILE_ROWS, count - whole)


@jit(forceinline=True)
def pair_rows(x, pair, y, to, count):
    """y[to : to+count]: words of two rows; pair: (where the first begins, how far the next is, whether it is there)."""
    at, row, below = pair
    if count < lanes(y):
        for i in range(count):
            _pair_number(x, at + i, row, below, y, to + i)
        return
    for i in range(0, count, lanes(y)):
        i = min(i, count - lanes(y))  # the last vector may repeat what the one before has done
        _pair_vector(x, at + i, row, below, y, to + i)


def _pairing(count):
    """The intrinsic that makes so many words side by side."""

    @intrinsic
    def apply(context, x, at, row, below, y, to):
        """y[to+i] = (x[at+i], x[at+row+i]), or (x[at+i], 0) unless `below`: then nothing there is read.

        x has the bits of bfloat16 numbers, or of float32 numbers whose lower ones are 0.
        """

        def emit(context, builder, signature, arguments):
            x_kind, y_kind = signature.args[0], signature.args[4]
            x_array, at, row, below, y_array, to = indices(context, builder, signature.args, arguments)
            bits = x_kind.dtype.bitwidth
            kind, word = (ir.VectorType(ir.IntType(size), count) for size in (bits, 32))
            half = ir.Constant(word, [16] * count)

            def row_at(index):
                place = pointer(context, builder, x_kind, x_array, index, kind)
                value = builder.load(place, align=bits // 8, typ=kind)
                return builder.lshr(value, half) if bits == 32 else builder.zext(value, word)

            second = row_at(builder.add(at, builder.select(below, row, ir.Constant(row.type, 0))))
            second = builder.select(below, second, ir.Constant(word, None))
            value = builder.or_(row_at(at), builder.shl(second, half))
            builder.store(value, pointer(context, builder, y_kind, y_array, to, word), align=4)
            return context.get_dummy_value()

        return types.none(x, types.intp, types.intp, types.boolean, y, types.intp), emit

    return apply


_pair_vector, _pair_tile, _pair_number = (_pairing(count) for count in (Vector(types.uint32).lanes, TILE_ROWS, 1))
