"""bfloat16 in compiled loops: one loop for float32, float64 and bfloat16 arrays.

Numba has no bfloat16. Kernels get such an array as what it is in memory, whole numbers of 16 bits (``bits``), each the
upper half of a float32 number:

    float32     seeeeeee emmmmmmm mmmmmmmm mmmmmmmm     1 bit for the sign, 8 for the exponent, 23 digits
    bfloat16    seeeeeee emmmmmmm                       the same exponent, 7 digits

A loop names what it reads and what it writes, and is then right for all three kinds of arrays:

    for i in range(x.size):
        v = widened(x[i])                               # float32 of 16 bits; any other number is itself
        y[i] = narrowed(0 if v <= 0 else v, y)          # rounded once, where y holds 16 bits

    real(x)             the type to compute in: np.float32 of a bfloat16 array, else x's own; np.empty(n, real(x))
    widened(element)    the number that an array's element stands for, exactly
    narrowed(v, y)      the number v as an element of the array y
    rounded(v)          the float32 number v as the 16 bits of a bfloat16 one

These are instructions in the loop, no calls: vectors of 16 numbers take one for ``widened`` after the load, and some
eight for ``rounded``, so a loop over large arrays waits for memory. Written as a Numba function, ``rounded`` would take
1.5 times as long: Numba adds whole numbers of 32 bits in 64.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from minicnn.precision import BFLOAT16

from .jit import jit

WORD, HALF, REAL = ir.IntType(32), ir.IntType(16), ir.FloatType()
# LLVM takes vectors of 256 bits where a processor has 512, too, lest its clock slow down; but a loop that rounds is of
# many instructions for each number in memory, and is sooner done with half as many
VECTORS = '"prefer-vector-width"="512"'


def bits(array):
    """A bfloat16 array as whole numbers of 16 bits, a view; any other, or None, as it is."""
    return array.view(np.uint16) if array is not None and array.dtype == BFLOAT16 else array


@intrinsic
def real(context, array):
    """The type in which a loop computes with the numbers of `array`."""
    return types.NumberClass(real_of(array.dtype))(array), lambda context, *of_call: context.get_dummy_value()


@intrinsic
def widened(context, element):
    """float32 of the 16 bits of a bfloat16 number; a number of any other type is itself."""
    if element != types.uint16:
        return element(element), lambda context, builder, signature, arguments: arguments[0]
    return types.float32(element), lambda context, builder, signature, arguments: widen(builder, *arguments)


@intrinsic
def rounded(context, number):
    """The 16 bits of the bfloat16 number nearest to a float32 one, of two as near the even one.

    NaN stays NaN; what is nearer to 2^128 than to the largest number becomes infinite.
    """
    signature = types.uint16(types.float32)  # another number is made float32 first
    return signature, lambda context, builder, signature, arguments: round_(builder, *arguments)


@intrinsic
def narrowed(context, number, array):
    """`number` as an element of `array`."""

    def emit(context, builder, signature, arguments):
        return round_(builder, arguments[0]) if array.dtype == types.uint16 else arguments[0]

    return array.dtype(real_of(array.dtype), array), emit


@jit
def convert(x, y):
    """y = x, 1-D arrays of any two of the dtypes, rounded where y has fewer digits."""
    for i in range(x.size):
        y[i] = narrowed(widened(x[i]), y)


@jit
def nearest(x, y):
    """y (float32) = the bfloat16 numbers nearest to those of x, 1-D arrays that do not overlap."""
    for i in range(x.size):
        y[i] = widened(rounded(widened(x[i])))


def real_of(dtype):
    """The Numba type that numbers of `dtype` are computed with."""
    return types.float32 if dtype == types.uint16 else dtype


# The instructions, for the intrinsics here and those of vectors (gemm/lanes.py)


def widen(builder, half):
    """``widened`` of 16 bits, or of a vector of them."""
    words = _as_many(WORD, half)
    word = builder.shl(builder.zext(half, words), _all(words, 16))
    return builder.bitcast(word, _as_many(REAL, half))


def round_(builder, number):
    """``rounded`` of a float32 number, or of a vector of them."""
    set.add(builder.function.attributes, VECTORS)  # llvmlite's own `add` takes none that a processor defines
    words = _as_many(WORD, number)
    given = builder.bitcast(number, words)
    upper = builder.lshr(given, _all(words, 16))  # what is kept, not rounded yet
    odd = builder.and_(upper, _all(words, 1))
    # half of the last digit kept is added, a little less if that one is even: a carry reaches it where it should
    nearest = builder.lshr(builder.add(given, builder.add(odd, _all(words, 0x7FFF))), _all(words, 16))
    # of a NaN: its digits must not all be cut off, or it would be infinite
    quiet = builder.or_(upper, _all(words, 0x40))
    is_nan = builder.fcmp_unordered("uno", number, number)
    return builder.trunc(builder.select(is_nan, quiet, nearest), _as_many(HALF, number))


def _as_many(kind, value):
    """The type of as many numbers of that kind as `value` has side by side."""
    return ir.VectorType(kind, value.type.count) if isinstance(value.type, ir.VectorType) else kind


def _all(kind, number):
    return kind([number] * kind.count) if isinstance(kind, ir.VectorType) else kind(number)
