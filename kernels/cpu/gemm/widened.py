"""Products of bfloat16 numbers without an instruction for them: factors are made float32 in the caches, and multiplied.

A bfloat16 number is the upper half of a float32 one: to widen it is to move it up by 16 bits. To do that in the
micro-kernel would take an instruction for each number of a in each of its steps, half as many as there are
multiply-adds, on the same two ports of the processor. So a cache block of a is widened once, in the second cache, for
all panels of b, and the micro-kernel is that of float32 (micro_kernel.py). Memory sees 2 bytes of a number, not 4.

b, the weights, are rounded to bfloat16 and packed as float32 panels (matmul.py): small next to a, and packed once.
Results are bit for bit those of the float32 product of the same numbers.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ..machine import memory, threads
from ..machine.bfloat16 import rounded
from ..machine.jit import jit
from . import matmul, transposed
from .lanes import Vector, clear, indices, lanes, pointer
from .matmul import SUMMANDS
from .micro_kernel import TILE_ROWS
from .transposed import PACKED_ROWS, transposed_times

WIDENED = 1 << 16  # numbers of a that are widened together: 256 KB, in the second cache


def panels(name, weight, start, counts, steps, columns, column_step):
    """As matmul.py's, of float32 `weight` rounded to bfloat16: the same panels of float32 numbers."""
    out = matmul.panels(name, weight, start, counts, steps, columns, column_step)
    threads.run_chunks(lambda first, last: round_in_place(out[first:last]), out.size, threads.LEAST)
    return out


@jit
def round_in_place(x):
    """Each number of x (float32) to the nearest bfloat16 one, as float32."""
    bits = x.view(np.uint32)
    for i in range(len(x)):
        bits[i] = np.uint32(rounded(x[i])) << np.uint32(16)


def multiply(a, b, c, size):
    """As in bfloat16.py."""
    space = memory.scratch("widened.rows", (max(WIDENED, TILE_ROWS * size[1]),), np.float32)  # a cache block of a
    _multiply(a, (b, 0), c, size, space)


@jit
def _multiply(a, b, c, size, space):
    (x, at, row), (y, c_at, c_row), (rows, depth, columns) = a, c, size
    block = len(space) // max(1, depth) // TILE_ROWS * TILE_ROWS  # rows, whole register tiles
    for start in range(0, rows, block):
        count = min(block, rows - start)  # rows of this cache block
        if row == depth:  # they follow one another
            _widen(x, at + start * row, space, 0, count * depth)
        else:
            for i in range(count):
                _widen(x, at + (start + i) * row, space, i * depth, depth)
        matmul.multiply((space, 0, depth), b, (y, c_at + start * c_row, c_row), (count, depth, columns), SUMMANDS)


def multiply_transposed(a, b, c, size, more):
    """As in bfloat16.py, by the walk of matmul.py's."""
    _multiply_transposed(a, b, c, size, more, transposed.transposing_space(np.dtype(np.float32)))


@jit
def _multiply_transposed(a, b, c, size, more, space):
    (x, at, a_row), (z, b_at, b_row), (y, c_at, c_row), (depth, rows, columns) = a, b, c, size
    wide = 2 * lanes(space)
    panel, tiles = space[: SUMMANDS * wide], space[SUMMANDS * wide :]
    for k in range(0, max(1, depth), SUMMANDS):
        height = min(SUMMANDS, depth - k)  # rows of both factors
        packed = tiles, 0, TILE_ROWS * height, TILE_ROWS  # (height, TILE_ROWS) one behind the other
        for i in range(0, rows, PACKED_ROWS):
            count = min(PACKED_ROWS, rows - i)  # rows of c
            _widen_tiles((x, at + k * a_row + i, a_row), tiles, height, count)
            for j in range(0, columns, wide):
                _widen_panel((z, b_at + k * b_row + j, b_row), panel, height, min(wide, columns - j))
                to = y, c_at + i * c_row + j, c_row
                transposed_times(packed, (1, 0), panel, count, height, to, more or k > 0)


@jit(forceinline=True)
def _widen_tiles(a, tiles, height, count):
    """a (height, count) as a row of register tiles' (height, TILE_ROWS), each in the order in which it is read."""
    x, at, row = a
    whole = count - count % TILE_ROWS  # rows of full register tiles
    for k in range(height):
        for i in range(0, whole, TILE_ROWS):
            _widen_row(x, at + k * row + i, tiles, i * height + k * TILE_ROWS)
        _widen(x, at + k * row + whole, tiles, whole * height + k * TILE_ROWS, count - whole)


@jit(forceinline=True)
def _widen_panel(b, panel, height, count):
    """The panel (height, width) of `count` columns of b, and zeros."""
    (x, at, row), high = b, lanes(panel)
    if count == 2 * high:  # a full panel: two vectors a row, no zeros
        for i in range(height):
            _widen_vector(x, at + i * row, panel, i * 2 * high)
            _widen_vector(x, at + i * row + high, panel, i * 2 * high + high)
        return
    clear(panel, 0, height * 2 * high)
    for i in range(height):
        _widen(x, at + i * row, panel, i * 2 * high, count)


@jit(forceinline=True)
def _widen(x, at, y, to, count):
    """y[to : to+count] = x[at : at+count], a vector at a time; the last one may repeat what the one before has done."""
    if count < lanes(y):
        for i in range(count):
            _widen_number(x, at + i, y, to + i)
        return
    for i in range(0, count, lanes(y)):
        i = min(i, count - lanes(y))
        _widen_vector(x, at + i, y, to + i)


def _widening(count):
    """The intrinsic that widens so many numbers side by side."""

    @intrinsic
    def apply(context, x, at, y, to):
        """y[to : to+count] = x[at : at+count], for the bits of bfloat16 numbers x and float32 y."""

        def emit(context, builder, signature, arguments):
            x_kind, _, y_kind, _ = signature.args
            x_array, at, y_array, to = indices(context, builder, signature.args, arguments)
            half, word, real = (ir.VectorType(kind, count) for kind in (ir.IntType(16), ir.IntType(32), ir.FloatType()))
            value = builder.load(pointer(context, builder, x_kind, x_array, at, half), align=2, typ=half)
            value = builder.shl(builder.zext(value, word), ir.Constant(word, [16] * count))
            place = pointer(context, builder, y_kind, y_array, to, real)
            builder.store(builder.bitcast(value, real), place, align=4)
            return context.get_dummy_value()

        return types.none(x, types.intp, y, types.intp), emit

    return apply


_widen_vector, _widen_row, _widen_number = (_widening(count) for count in (Vector(types.float32).lanes, TILE_ROWS, 1))
