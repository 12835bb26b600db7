"""A tile of a matrix product, in registers: the innermost loop of every convolution here, written out for LLVM.

    c (rows, 2 vectors) = a (rows, depth) @ b (depth, 2 vectors)

Each step takes one k of the depth: 12 numbers a[i..i+12, k], each copied into all lanes of a register, and 32 numbers
b[k, j..j+32] in two registers, and adds their 12 x 32 products to 24 registers that keep the sums. With the one for a
and the two for b that makes 27 of 32 (half as many rows where a processor has 16). So 2 * 12 * 32 operations come for
44 numbers read, and the two adders of a core are busy all the time if those lie in the first cache.

Numba has no vectors, and no registers to promise: an *intrinsic* builds the instructions one by one, in the language of
LLVM.

Source    Goto, van de Geijn, "Anatomy of high-performance matrix multiplication", 2008; Van Zee, van de Geijn, "BLIS: a
          framework for rapidly instantiating BLAS functionality", 2015
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .lanes import REGISTERS, Vector, indices, multiply_add, pointer, prefetch

ROWS = 12 if REGISTERS == 32 else 6


def _tile(rows):
    """The intrinsic that works out `rows` x 2 vectors of c."""

    @intrinsic
    def apply(context, a, at, row, step, run, runs, b, b_at, b_next, depth, c, c_at, c_row, more):
        """c[c_at + i*c_row + j] = (its own value if `more`) + sum of a[at + i*row + k] * b[b_at + k*width + j] over k.

        The depth comes in `runs`: the k-th of the first is at k*step in a, the next run begins `run` after it, and so
        on; b goes on without a gap. Meanwhile the next tile of a comes nearer, and half a panel from b[b_next] on.
        """

        def emit(context, builder, signature, arguments):
            arguments = indices(context, builder, signature, arguments)
            a, at, row, step, run, runs, b, b_at, b_next, depth, c, c_at, c_row, more = arguments
            vector = context.get_value_type(Vector(signature.args[0].dtype))
            count, size = vector.count, signature.args[0].dtype.bitwidth // 8

            def plus(start, number, factor):
                factor = factor if isinstance(factor, ir.Value) else ir.Constant(at.type, factor)
                return builder.add(start, builder.mul(number, factor))

            def place_in_a(index):
                return pointer(context, builder, signature.args[0], a, index, vector.element)

            def place_in_b(index):
                return pointer(context, builder, signature.args[6], b, index, vector)

            places = [
                pointer(
                    context,
                    builder,
                    signature.args[10],
                    c,
                    plus(plus(c_at, c_row, i), ir.Constant(at.type, j), 1),
                    vector,
                )
                for i in range(rows)
                for j in (0, count)
            ]
            for place in places:
                prefetch(builder, place, for_writing=True)
            sums = [cgutils.alloca_once(builder, vector) for _ in places]  # LLVM makes registers of them
            for total in sums:
                builder.store(ir.Constant(vector, None), total)
            with cgutils.for_range(builder, runs) as outer:
                a_run, passed = _hidden(builder, plus(at, outer.index, run)), builder.mul(outer.index, depth)
                ahead = plus(a_run, row, rows)
                with cgutils.for_range(builder, depth) as inner:
                    a_k, k = plus(a_run, inner.index, step), builder.add(passed, inner.index)
                    prefetch(builder, place_in_a(plus(ahead, inner.index, rows)))
                    prefetch(builder, place_in_b(plus(b_next, k, count)), level=2)
                    right = [place_in_b(plus(b_at, plus(ir.Constant(at.type, j), k, 2), count)) for j in (0, 1)]
                    right = [builder.load(place, align=size, typ=vector) for place in right]
                    for i in range(rows):
                        left = builder.load(place_in_a(plus(a_k, row, i)), typ=vector.element)
                        left = _in_all_lanes(builder, left, vector)
                        for total, value in zip(sums[2 * i : 2 * i + 2], right, strict=True):
                            old = builder.load(total, typ=vector)
                            builder.store(multiply_add(builder, left, value, old), total)
            with builder.if_then(more):
                for total, place in zip(sums, places, strict=True):
                    old = builder.load(place, align=size, typ=vector)
                    builder.store(builder.fadd(old, builder.load(total, typ=vector)), total)
            for total, place in zip(sums, places, strict=True):
                builder.store(builder.load(total, typ=vector), place, align=size)
            return context.get_dummy_value()

        i = types.intp
        return types.none(a, i, i, i, i, i, b, i, i, i, c, i, i, types.boolean), emit

    return apply


def _hidden(builder, index):
    """`index`, in a way that LLVM cannot see through.

    Else it would keep a pointer for each row of a from run to run, more of them than there are registers.
    """
    return builder.asm(ir.FunctionType(index.type, [index.type]), "", "=r,0", [index], False)


def _in_all_lanes(builder, number, vector):
    zero = ir.Constant(ir.IntType(32), 0)
    nothing = ir.Constant(vector, ir.Undefined)
    mask = ir.Constant(ir.VectorType(zero.type, vector.count), [0] * vector.count)
    return builder.shuffle_vector(builder.insert_element(nothing, number, zero), nothing, mask)


@intrinsic
def copy_row(context, x, at, y, to):
    """y[to : to+ROWS] = x[at : at+ROWS]."""

    def emit(context, builder, signature, arguments):
        x, at, y, to = indices(context, builder, signature, arguments)
        kind, size = signature.args[0], signature.args[0].dtype.bitwidth // 8
        row = ir.VectorType(context.get_value_type(kind.dtype), ROWS)
        value = builder.load(pointer(context, builder, kind, x, at, row), align=size, typ=row)
        builder.store(value, pointer(context, builder, signature.args[2], y, to, row), align=size)
        return context.get_dummy_value()

    return types.none(x, types.intp, y, types.intp), emit


tile_of_many, tile_of_4, tile_of_1 = _tile(ROWS), _tile(4), _tile(1)
