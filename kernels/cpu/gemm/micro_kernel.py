"""The micro-kernel of a matrix product: the innermost loop of every convolution here, written out for LLVM.

    c (12, 32) = a (12, depth) @ b (depth, 32)        32 numbers: two vectors of 16 float32, with AVX-512

In NumPy, where a row of `sums` and a row of b are two registers each:

    sums = np.zeros((12, 32))            # 24 registers: the register tile
    for k in range(depth):               # a step:
        b_k = b[k]                       # 2 registers, 2 loads
        for i in range(12):
            a_ik = a[i, k]               # 1 register with that number in all lanes, 12 loads
            sums[i] += a_ik * b_k        # 24 multiply-adds of vectors
    c[...] = sums                        # or c += sums

So a step loads 14 times and does 24 multiply-adds. A core commonly does two of each in a cycle: the loads take no time
of their own, if a and b lie in the first cache. With a single row there would be 3 loads for 2 multiply-adds; with more
than 14, more sums than registers: 12 rows take 24 + 2 + 1 = 27 of 32. Where a processor has 16, a register tile has 6
rows and takes 12 + 2 + 1 = 15.

Numba has no vectors, and no registers to promise: an *intrinsic* builds the instructions one by one, in the language of
LLVM (lanes.py). Of matrices of words, which are pairs of bfloat16 numbers (pairs.py), a step takes two numbers of each
row: both products are added to the sum (dot.py).

Source    Goto, van de Geijn, "Anatomy of high-performance matrix multiplication", 2008; Van Zee, van de Geijn, "BLIS: a
          framework for rapidly instantiating BLAS functionality", 2015
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .dot import add_products
from .lanes import REGISTERS, Vector, indices, multiply_add, pointer, prefetch

TILE_ROWS = 12 if REGISTERS == 32 else 6  # rows of a register tile; each is two vectors


def _micro_kernel(rows):
    """The intrinsic that works out `rows` x 2 vectors of c."""

    @intrinsic
    def apply(context, a, runs, b, depth, c, more):
        """The loop above for matrices in 1-D arrays; each argument that is a tuple says where a matrix lies:

            a = (array, at, row, step)    element (i, k) is array[at + i*row + k*step]: step is 1, or the distance of
                                          a's rows if it is the transpose of a that counts
            b = (array, at, next)         element (k, j) is array[at + k*width + j]: a panel (matmul.py), `width` two
                                          vectors; `next` is where the panel begins that will be wanted after this one
            c = (array, at, row)          what was there is added to if `more`, else overwritten
            runs = (count, apart)         a row of a (of a window of an image: stem.py) may be `count` runs of `depth`
                                          numbers, `apart` from each other: number k of run r is at
                                          array[at + i*row + r*apart + k*step], its row of b is number r*depth + k

        Meanwhile numbers that come next are fetched: those of a behind this register tile into the first cache, and
        half a panel from b's `next` on into the second.
        """

        def emit(context, builder, signature, arguments):
            elements = [
                _elements(context, builder, kind, value) for kind, value in zip(signature.args, arguments, strict=True)
            ]
            (a, at, row, step), (runs, run), (b, b_at, b_next), (depth,), (c, c_at, c_row), (more,) = elements
            a_kind, b_kind, c_kind = (signature.args[i].types[0] for i in (0, 2, 4))
            vector, sum_vector = (context.get_value_type(Vector(kind.dtype)) for kind in (a_kind, c_kind))
            count, size = vector.count, a_kind.dtype.bitwidth // 8  # lanes; bytes of a number
            add = add_products if isinstance(a_kind.dtype, types.Integer) else multiply_add

            def plus(start, number, factor):
                factor = factor if isinstance(factor, ir.Value) else ir.Constant(at.type, factor)
                return builder.add(start, builder.mul(number, factor))

            def place_in_a(index):
                return pointer(context, builder, a_kind, a, index, vector.element)

            def place_in_b(index):
                return pointer(context, builder, b_kind, b, index, vector)

            def place_in_c(i, j):
                index = plus(plus(c_at, c_row, i), ir.Constant(at.type, j), 1)
                return pointer(context, builder, c_kind, c, index, sum_vector)

            # the sums begin at 0, and c is fetched meanwhile: it is not needed before the last step
            places = [place_in_c(i, j) for i in range(rows) for j in (0, count)]
            for place in places:
                prefetch(builder, place, for_writing=True)
            sums = [cgutils.alloca_once(builder, sum_vector) for _ in places]  # LLVM makes registers of them
            for total in sums:
                builder.store(ir.Constant(sum_vector, None), total)
            with cgutils.for_range(builder, runs) as outer:
                a_run, passed = _hidden(builder, plus(at, outer.index, run)), builder.mul(outer.index, depth)
                behind = plus(a_run, row, rows)  # the first row of a below this register tile
                with cgutils.for_range(builder, depth) as inner:
                    at_k, k = plus(a_run, inner.index, step), builder.add(passed, inner.index)
                    # `rows` numbers ahead in each step: after `depth` steps, all that the next register tile reads
                    prefetch(builder, place_in_a(plus(behind, inner.index, rows)))
                    prefetch(builder, place_in_b(plus(b_next, k, count)), level=2)
                    b_k = [place_in_b(plus(b_at, plus(ir.Constant(at.type, j), k, 2), count)) for j in (0, 1)]
                    b_k = [builder.load(place, align=size, typ=vector) for place in b_k]  # 2 registers
                    for i in range(rows):
                        a_ik = builder.load(place_in_a(plus(at_k, row, i)), typ=vector.element)
                        a_ik = _in_all_lanes(builder, a_ik, vector)  # 1 register, for two multiply-adds
                        for total, value in zip(sums[2 * i : 2 * i + 2], b_k, strict=True):
                            old = builder.load(total, typ=sum_vector)
                            builder.store(add(builder, a_ik, value, old), total)
            with builder.if_then(more):  # c += sums: old ones are added
                for total, place in zip(sums, places, strict=True):
                    old = builder.load(place, align=size, typ=sum_vector)
                    builder.store(builder.fadd(old, builder.load(total, typ=sum_vector)), total)
            for total, place in zip(sums, places, strict=True):
                builder.store(builder.load(total, typ=sum_vector), place, align=size)
            return context.get_dummy_value()

        return types.none(a, runs, b, types.intp, c, types.boolean), emit

    return apply


def _elements(context, builder, kind, value):
    """The elements of an argument that is a tuple, or the argument itself alone; integers as intp."""
    kinds, values = (kind.types, cgutils.unpack_tuple(builder, value)) if hasattr(kind, "types") else ([kind], [value])
    return indices(context, builder, kinds, values)


def _hidden(builder, index):
    """`index`, in a way that LLVM cannot see through.

    Else it would keep a pointer for each row of a from run to run, more of them than there are registers.
    """
    return builder.asm(ir.FunctionType(index.type, [index.type]), "", "=r,0", [index], False)


def _in_all_lanes(builder, number, vector):
    """A vector with `number` in each lane: put into the first one, and spread by a shuffle whose indices are all 0."""
    zero = ir.Constant(ir.IntType(32), 0)
    nothing = ir.Constant(vector, ir.Undefined)
    mask = ir.Constant(ir.VectorType(zero.type, vector.count), [0] * vector.count)
    return builder.shuffle_vector(builder.insert_element(nothing, number, zero), nothing, mask)


@intrinsic
def copy_row(context, x, at, y, to):
    """y[to : to+TILE_ROWS] = x[at : at+TILE_ROWS]."""

    def emit(context, builder, signature, arguments):
        x, at, y, to = indices(context, builder, signature.args, arguments)
        kind, size = signature.args[0], signature.args[0].dtype.bitwidth // 8  # size: bytes of a number
        row = ir.VectorType(context.get_value_type(kind.dtype), TILE_ROWS)
        value = builder.load(pointer(context, builder, kind, x, at, row), align=size, typ=row)
        builder.store(value, pointer(context, builder, signature.args[2], y, to, row), align=size)
        return context.get_dummy_value()

    return types.none(x, types.intp, y, types.intp), emit


tile_of_many, tile_of_4, tile_of_1 = _micro_kernel(TILE_ROWS), _micro_kernel(4), _micro_kernel(1)
