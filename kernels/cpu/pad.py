"""Padding, one pass that writes each number once; mirrors minicnn/ops/pad.py.

Rows of the result are copied, with what is before and behind them; in whichever order the array lies in memory, since
channels-last pictures only have their axes in another order.
"""

import math

import numpy as np

from minicnn.kernels.padding import by_fours
from minicnn.precision import takes_bfloat16

from .machine import threads
from .machine.bfloat16 import bits
from .machine.jit import jit
from .machine.layout import behind_channels, channels_last, contiguous
from .machine.memory import empty


@takes_bfloat16
def pad_forward(x, padding, value):
    """y, of x's shape and (before, after) more on each axis."""
    value = bits(np.asarray(value, x.dtype))[()]  # as an element of the arrays that the loop gets
    if x.ndim < 3 or x.flags.c_contiguous:
        return by_fours(_pad_four, contiguous(x), padding, value)
    images, channels, *sizes = padding
    return behind_channels(by_fours(_pad_four, channels_last(x), (images, *sizes, channels), value))


def _pad_four(x, shape, befores, value):
    y = empty(shape, x.dtype)
    given, out = bits(x), bits(y)
    rows, length = math.prod(y.shape[:-1]), y.shape[-1]
    threads.run_chunks(lambda i, j: _pad_rows(given, out, befores, value, i, j), rows, threads.LEAST // max(1, length))
    return y


@jit
def _pad_rows(x, y, befores, value, start, stop):
    """Rows [start, stop) of y (A, B, C, D): those inside of x copied, with `value` at both ends; the others filled."""
    _, B, C, D = y.shape
    first = min(max(befores[3], 0), D)  # of the numbers of a row that are copied
    last = max(first, min(befores[3] + x.shape[3], D))  # and where they end
    place_a, place_b, place_c = start // C // B, start // C % B, start % C
    for _ in range(start, stop):
        a, b, c = place_a - befores[0], place_b - befores[1], place_c - befores[2]
        out = y[place_a, place_b, place_c]
        if 0 <= a < x.shape[0] and 0 <= b < x.shape[1] and 0 <= c < x.shape[2]:
            kept = x[a, b, c, first - befores[3] :]
            for d in range(first):
                out[d] = value
            for d in range(last - first):
                out[first + d] = kept[d]
            for d in range(last, D):
                out[d] = value
        else:
            out[:] = value
        place_c += 1  # the next row
        if place_c == C:
            place_b, place_c = place_b + 1, 0
            if place_b == B:
                place_a, place_b = place_a + 1, 0
