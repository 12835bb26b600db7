"""A matrix times a vector, y = w @ x: what a fully connected layer does to one picture.

Each number of w is used once, so all depends on how soon w comes out of memory: of AlexNet's layers that is 234 MB. A
core asks for a cache line when it needs it, or when it has seen that lines follow each other; here it is asked for
AHEAD numbers before, into the second cache, in 4 rows at once. BLAS, which packs nothing here either, reads 26 GB/s on
two cores of the machine where this was tried, this loop 30, and a plain sum of numbers no more than that.

Operations    2 * rows * depth, of 4 * rows * depth bytes: bound by memory
Rounding      sums of each lane of two vectors, added up at the end, always in the same order
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ..machine import memory, team, threads
from ..machine.jit import jit
from .lanes import Vector, indices, lanes, multiply_add, pointer, prefetch

ROWS = 4  # of w at once: as many streams out of memory for each core
AHEAD = 512  # numbers: 2 KB of float32


def times_vector(w, x, bias):
    """w (rows, depth) @ x (depth,) + bias: (rows,); all C-contiguous, bias perhaps None."""
    y, table = memory.empty((len(w),), w.dtype), team.table(len(w), threads.threads(), ROWS)
    bias = y[:0] if bias is None else bias  # no bias has no numbers
    threads.run_compiled(_times_vector, table, (w.reshape(-1), x, y, bias))
    return y


@jit
def _times_vector(boxes, table, arguments):
    return team.stage(boxes, _rows_times, table, arguments)


@jit
def _rows_times(limits, arguments):
    """Rows limits[0] ... limits[1] of y."""
    w, x, y, bias = arguments
    whole = len(x) - len(x) % (2 * lanes(x))
    for first in range(limits[0], limits[1], ROWS):
        last = min(first + ROWS, limits[1])
        if last - first == ROWS:
            _four_dots(w, first * len(x), len(x), x, whole, y, first)
        else:
            y[first:last] = 0
        for i in range(first, last):
            for k in range(whole if last - first == ROWS else 0, len(x)):  # what is left of the row, or all of it
                y[i] += w[i * len(x) + k] * x[k]
            if len(bias):
                y[i] += bias[i]


@intrinsic
def _four_dots(context, w, at, row, x, count, y, to):
    """y[to + i] = the sum of w[at + i*row + k] * x[k] over k < count, for i < ROWS; count is even in vectors."""

    def emit(context, builder, signature, arguments):
        kinds = signature.args
        w, at, row, x, count, y, to = indices(context, builder, kinds, arguments)
        vector = context.get_value_type(Vector(kinds[0].dtype))
        number, size, zero = vector.element, kinds[0].dtype.bitwidth // 8, ir.Constant(vector, None)

        def plus(start, step, factor=1):
            step = step if isinstance(step, ir.Value) else ir.Constant(at.type, step)
            return builder.add(start, builder.mul(step, ir.Constant(at.type, factor)))

        sums = [cgutils.alloca_once_value(builder, zero) for _ in range(2 * ROWS)]  # LLVM makes registers of them
        with cgutils.for_range(builder, builder.udiv(count, ir.Constant(at.type, 2 * vector.count))) as loop:
            for half in (0, 1):
                k = plus(builder.mul(loop.index, ir.Constant(at.type, 2 * vector.count)), half * vector.count)
                factor = builder.load(pointer(context, builder, kinds[3], x, k, vector), align=size, typ=vector)
                for i in range(ROWS):
                    place = builder.add(plus(at, row, i), k)
                    prefetch(builder, pointer(context, builder, kinds[0], w, plus(place, AHEAD), vector), level=2)
                    value = builder.load(pointer(context, builder, kinds[0], w, place, vector), align=size, typ=vector)
                    total = sums[2 * i + half]
                    builder.store(multiply_add(builder, value, factor, builder.load(total, typ=vector)), total)
        for i in range(ROWS):
            total = builder.fadd(*(builder.load(sums[2 * i + half], typ=vector) for half in (0, 1)))
            lanes_ = [builder.extract_element(total, ir.Constant(ir.IntType(32), n)) for n in range(vector.count)]
            while len(lanes_) > 1:  # neighbours first
                lanes_ = [builder.fadd(a, b) for a, b in zip(lanes_[::2], lanes_[1::2], strict=True)]
            builder.store(lanes_[0], pointer(context, builder, kinds[5], y, plus(to, i), number))
        return context.get_dummy_value()

    i = types.intp
    return types.none(w, i, i, x, i, y, i), emit
