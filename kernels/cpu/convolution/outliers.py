"""Which images hold a number far larger than their others: winograd.py leaves those to im2col.py.

A Winograd convolution mixes all pixels of a tile, and takes away again what a window does not see. What is left of that
is rounding, of the tile's largest number: 3e-7 of it, in results that may have nothing to do with it. Among numbers of
one size nobody sees that. A pixel of 1e7 among ones would leave its neighbours no digits, and an infinity no number:

    error of results of 0.8 that do not see the pixel       1e4    1e5    1e7    1e30     inf, NaN
    by Winograd alone                                       2e-3   2e-2   1.8    3e22     NaN
    with its image left to im2col.py                        1e-6   1e-6   1e-6   1e-6     1e-6

The largest number of an image is known for next to nothing: `cut` in winograd_tiles.py has every number in a register,
and keeps the largest of each lane: 1 to 3 % of `cut`'s time, where a loop before it takes 15 %. What the others are
like is told by a sample of them, in 1 us.

Few numbers must be as large as that. Behind max-pooling and batch norm a fifth of the gradients are a thousand times as
large as the others, and training brings some channels down to 1e-20: nothing stands out there, as results are as large
as the larger numbers. Where one number in 4 is large, its neighbours' results are as by Winograd alone.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ..machine.bfloat16 import widened
from ..machine.jit import jit

LEAST, MOST, ONE_IN = 64, 256, 32  # how many numbers of an image are a sample: one in 32, but no fewer and no more


@jit
def mark_outliers(x, peaks, found):
    """found[n] = True for each image with a number that stands out; whether there is one.

    A number stands out if no more than one in 64 is at least 2**-11 of it (in float64: 2**-40), or no more than one in
    4 of those that are not 0 is 2**-14 of it (2**-43); or if it is NaN, infinite or nearly so.

    x: the images, flat, len(found) of them; peaks: some numbers of each, its largest among them. Numbers are compared
    by their bits, whose first ones are the power of 2: a factor of 2 is 1 << fraction there, infinity is above all
    numbers and NaN above infinity.
    """
    size, each = len(x) // len(found), len(peaks) // len(found)  # numbers of an image; peaks of it
    fraction, infinity = (23, 0xFF << 23) if peaks.itemsize == 4 else (52, 0x7FF << 52)
    far = fraction - 12 << fraction  # 11 or 40 powers of 2: rounding is then some 1e-3 of the others
    further = far + (3 << fraction)  # a factor of 8 more
    sample = min(max(size // ONE_IN, LEAST), MOST, size)
    some = False
    for n in range(len(found)):
        most = 0
        for i in range(n * each, (n + 1) * each):
            most = max(most, magnitude(peaks[i]))
        # bits of the numbers 2**-11 and 2**-14 times the largest one
        limits = max(most - far, 0), max(most - further, 0)
        odd = most >= infinity - far  # nearly infinite, infinite or NaN
        if not odd and most > 0 and _few(x, n * size, size, limits, sample):
            odd = _few(x, n * size, size, limits, size)  # a sample may be unlucky
        if odd:
            found[n] = some = True
    return some


@jit
def _few(x, start, size, limits, count):
    """Whether few of the numbers x[start : start+size] are above the limits, as far as `count` of them tell."""
    others, close, near, random = 0, 0, 0, 0
    for i in range(count):
        random = (random * 1664525 + 1013904223) & 0xFFFFFFFF  # pseudo-random, [0, 2**32)
        number = x[start + (random * size >> 32 if count < size else i)]  # of a sample, or of all in order
        value = magnitude(widened(number))
        others += value > 0
        close += value > limits[0]
        near += value > limits[1]
        if near * 4 > count and close * 64 > count:  # enough: the rest of them need no look
            return False
    return close * 64 <= count or near * 4 <= others  # the two rules of mark_outliers()


@intrinsic
def larger(context, most, values):
    """In each lane the largest of a vector and some others, all without their signs; a NaN is larger than anything.

    It compares bits, as integers (outliers.py): two instructions for a vector, and NaN needs no thought.
    """

    def emit(context, builder, signature, arguments):
        vector = context.get_value_type(most)
        integer = ir.VectorType(ir.IntType(most.dtype.bitwidth), vector.count)
        mask = ir.Constant(integer, [(1 << (most.dtype.bitwidth - 1)) - 1] * vector.count)
        total = builder.bitcast(arguments[0], integer)  # the same bits, seen as integers
        for value in cgutils.unpack_tuple(builder, arguments[1]):
            bits = builder.and_(builder.bitcast(value, integer), mask)
            total = builder.select(builder.icmp_unsigned(">", bits, total), bits, total)
        return builder.bitcast(total, vector)

    return most(most, values), emit


@intrinsic
def magnitude(context, number):
    """A number's bits without its sign, as an integer: of two numbers, the larger has the larger one."""
    integer = ir.IntType(number.bitwidth)

    def emit(context, builder, signature, arguments):
        mask = ir.Constant(integer, (1 << (number.bitwidth - 1)) - 1)
        bits = builder.and_(builder.bitcast(arguments[0], integer), mask)
        return context.cast(builder, bits, types.Integer.from_bitwidth(number.bitwidth, True), types.intp)

    return types.intp(number), emit
