"""A tile of a matrix product, in registers: the innermost loop of every convolution here, written out for LLVM.

    c (12, 32) = a (12, depth) @ b (depth, 32)        32 numbers: two vectors of 16 float32, with AVX-512

In NumPy, where a row of `sums` and a row of b are two registers each:

    sums = np.zeros((12, 32))            # 24 registers
    for k in range(depth):               # a step:
        b_k = b[k]                       # 2 registers, 2 loads
        for i in range(12):
            a_ik = a[i, k]               # 1 register with that number in all lanes, 12 loads
            sums[i] += a_ik * b_k        # 24 multiply-adds of vectors
    c[...] = sums                        # or c += sums

So a step loads 14 times and does 24 multiply-adds. A core commonly does two of each in a cycle: the loads take no time
of their own, if a and b lie in the first cache. With a single row there would be 3 loads for 2 multiply-adds; with more
than 14, more sums than registers: 12 rows take 24 + 2 + 1 = 27 of 32. Where a processor has 16, a tile has 6 rows and
takes 12 + 2 + 1 = 15.

Numba has no vectors, and no registers to promise: an *intrinsic* builds the instructions one by one, in the language of
LLVM (lanes.py).

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
        """The loop above for 1-D arrays, in which an element of the matrices is found at

            a[at + i*row + k*step]      step is 1, or the distance of a's rows if it is the transpose of a that counts
            b[b_at + k*width + j]       a panel (matmul.py), `width` two vectors
            c[c_at + i*c_row + j]       what was there is added to if `more`, else overwritten

        A row of a may come in several pieces (a window of an image: stem.py): `runs` of `depth` numbers, `run` apart.
        The k-th of piece r is then at a[at + i*row + r*run + k*step], its row of b the one numbered r*depth + k.

        Meanwhile numbers that come next are fetched: those of a behind this tile into the first cache, and from
        b[b_next] on half a panel into the second.
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

            def place_in_c(i, j):
                index = plus(plus(c_at, c_row, i), ir.Constant(at.type, j), 1)
                return pointer(context, builder, signature.args[10], c, index, vector)

            places = [place_in_c(i, j) for i in range(rows) for j in (0, count)]
            for place in places:
                prefetch(builder, place, for_writing=True)
            sums = [cgutils.alloca_once(builder, vector) for _ in places]  # LLVM makes registers of them
            for total in sums:
                builder.store(ir.Constant(vector, None), total)
            with cgutils.for_range(builder, runs) as outer:
                a_run, passed = _hidden(builder, plus(at, outer.index, run)), builder.mul(outer.index, depth)
                behind = plus(a_run, row, rows)
                with cgutils.for_range(builder, depth) as inner:
                    at_k, k = plus(a_run, inner.index, step), builder.add(passed, inner.index)
                    prefetch(builder, place_in_a(plus(behind, inner.index, rows)))
                    prefetch(builder, place_in_b(plus(b_next, k, count)), level=2)
                    b_k = [place_in_b(plus(b_at, plus(ir.Constant(at.type, j), k, 2), count)) for j in (0, 1)]
                    b_k = [builder.load(place, align=size, typ=vector) for place in b_k]
                    for i in range(rows):
                        a_ik = builder.load(place_in_a(plus(at_k, row, i)), typ=vector.element)
                        a_ik = _in_all_lanes(builder, a_ik, vector)
                        for total, value in zip(sums[2 * i : 2 * i + 2], b_k, strict=True):
                            old = builder.load(total, typ=vector)
                            builder.store(multiply_add(builder, a_ik, value, old), total)
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
