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
from ..machine.bfloat16 import round_, rounded
from ..machine.jit import jit
from . import matmul
from .lanes import Vector, clear, indices, lanes, pointer, transpose
from .micro_kernel import TILE_ROWS

SLICE = 1 << 10  # rows of words that are mirrored at once: 128 KB for a panel, in the second cache


def panels(name, matrix, wide, height):
    """Scratch panels of words (columns/wide, height, wide) of a matrix b, rounded to bfloat16.

    matrix: (weight, start, counts, steps, columns, column_step), as matmul.py's panels() describe it; wide: columns of
    a panel, a multiple of theirs.
    """
    weight, start, counts, steps, columns, column_step = matrix
    depth, count = math.prod(counts), -(-columns // wide)  # count: of panels
    out, sizes = memory.scratch(name, (count * height * wide,), np.uint32), (depth, columns, height, wide)
    least = max(1, threads.LEAST // max(1, depth * wide))  # panels
    if counts[:2] == (1, 1) and steps[2] == 1:  # the factors of a sum lie side by side
        threads.run_chunks(lambda *some: _mirror(weight, (start, column_step), out, sizes, some), count, least)
    elif counts[:2] == (1, 1) and column_step == 1:  # those of a row of b do
        threads.run_chunks(lambda *some: _pair(weight, (start, steps[2]), out, sizes, some), count, least)
    else:
        numbers = matmul.panels("pairs.numbers", *matrix)
        narrow = matmul.width(weight.dtype)
        threads.run_chunks(lambda *some: _pair_panels(numbers, narrow, out, sizes, some), count, least)
    return out


def _mirror(weight, place, out, sizes, numbers):
    halves = memory.scratch("pairs.halves", (2 * SLICE * sizes[-1],), np.uint16)
    _mirror_columns(weight, place, out, sizes, numbers, halves)


@jit
def _mirror_columns(weight, place, out, sizes, numbers, halves):
    """Panels of these numbers (start, stop), where b[k, j] = weight[place[0] + j*place[1] + k].

    What is rounded is in pairs then, as it should be: so words are mirrored, squares of them, in slices of SLICE rows.
    """
    (start, step), (depth, columns, height, wide) = place, sizes
    words, high = halves.view(np.uint32), lanes(out)
    for panel in range(numbers[0], numbers[1]):
        count, at = min(wide, columns - panel * wide), start + panel * wide * step
        for first in range(0, height, SLICE):
            rows, to = min(SLICE, height - first), (panel * height + first) * wide  # of words; where they go
            some = max(0, min(2 * rows, depth - 2 * first))  # numbers of a column that there are
            for j in range(wide):
                half = halves[2 * j * rows : 2 * (j + 1) * rows]
                there = some if j < count else 0
                number = weight[at + j * step + 2 * first : at + j * step + 2 * first + there]
                for k in range(there):
                    half[k] = rounded(number[k])
                half[there:] = 0
            for k in range(0, rows - rows % high, high):
                for j in range(0, wide, high):
                    transpose(words, j * rows + k, rows, out, to + k * wide + j, wide)
            for k in range(rows - rows % high, rows):
                for j in range(wide):
                    out[to + k * wide + j] = words[j * rows + k]


@jit
def _pair(weight, place, out, sizes, numbers):
    """Panels of these numbers (start, stop), where b[k, j] = weight[place[0] + k*place[1] + j]."""
    (start, row), (depth, columns, height, wide) = place, sizes
    for panel in range(numbers[0], numbers[1]):
        count, at, to = min(wide, columns - panel * wide), start + panel * wide, panel * height * wide
        if count < wide:
            clear(out, to, height * wide)
        whole = (depth + 1) // 2
        for k in range(whole):
            pair_rows(weight, (at + 2 * k * row, row, 2 * k + 1 < depth), out, to + k * wide, count)
        clear(out, to + whole * wide, (height - whole) * wide)


@jit
def _pair_panels(numbers, narrow, out, sizes, some):
    """Panels of words of these numbers (start, stop) from panels (depth, narrow) of float32, which may be too few."""
    depth, _, height, wide = sizes
    for panel in range(some[0], some[1]):
        for j in range(0, wide, narrow):
            at = (panel * wide + j) * depth  # where the panel of these columns begins
            there = depth if at < len(numbers) else 0  # its rows
            for k in range(height):
                to = (panel * height + k) * wide + j
                if 2 * k < there:
                    pair_rows(numbers, (at + 2 * k * narrow, narrow, 2 * k + 1 < there), out, to, narrow)
                else:
                    clear(out, to, narrow)


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

        x has the bits of bfloat16 numbers, or float32 numbers, which are rounded.
        """

        def emit(context, builder, signature, arguments):
            x_kind, y_kind = signature.args[0], signature.args[4]
            x_array, at, row, below, y_array, to = indices(context, builder, signature.args, arguments)
            size, word = x_kind.dtype.bitwidth // 8, ir.VectorType(ir.IntType(32), count)
            kind = ir.VectorType(context.get_value_type(x_kind.dtype), count)
            half = ir.Constant(word, [16] * count)

            def row_at(index):
                place = pointer(context, builder, x_kind, x_array, index, kind)
                value = builder.load(place, align=size, typ=kind)
                return builder.zext(round_(builder, value) if size == 4 else value, word)

            second = row_at(builder.add(at, builder.select(below, row, ir.Constant(row.type, 0))))
            second = builder.select(below, second, ir.Constant(word, None))
            value = builder.or_(row_at(at), builder.shl(second, half))
            builder.store(value, pointer(context, builder, y_kind, y_array, to, word), align=4)
            return context.get_dummy_value()

        return types.none(x, types.intp, types.intp, types.boolean, y, types.intp), emit

    return apply


_pair_vector, _pair_tile, _pair_number = (_pairing(count) for count in (Vector(types.uint32).lanes, TILE_ROWS, 1))
