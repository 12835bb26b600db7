"""Dropout that draws its numbers on the way; mirrors minicnn/ops/dropout.py and philox_uniform of minicnn/random.py.

Nothing is stored and nothing is read but x: a number costs about 25 operations on integers (ten rounds make four of
them), all in registers. The rounds run over many counters at once, so that they fill the vector registers.
u >= p is decided on the 24 bits that u is made of: u = k * 2^-24 >= p exactly if k >= p * 2^24.
"""

import math

import numpy as np

from .machine import threads
from .machine.jit import jit
from .machine.layout import contiguous
from .machine.memory import empty

LANES = 64  # counters that go through the rounds together


def dropout_forward(x, p, key, call, out):
    """y = x * mask / (1 - p), written into `out` if that is not None."""
    y = out if out is not None and out.flags.carray else empty(x.shape, x.dtype)
    scale = x.dtype.type(0 if p == 1 else 1 / (1 - p))
    threshold = math.ceil(float(np.float32(p)) * 2**24)  # of 24 random bits
    values, result = contiguous(x).reshape(-1), y.reshape(-1)  # 1-D, in C order

    def work(start, stop):  # in units of LANES counters, four numbers each
        own = slice(start * LANES * 4, stop * LANES * 4)
        _drop(values[own], result[own], start * LANES, np.uint64(key), np.uint64(call), threshold, scale)

    units = math.ceil(x.size / (4 * LANES))  # a chunk is a number of whole ones
    threads.run_chunks(work, units, threads.LEAST // (64 * LANES))
    if out is None or out is y:
        return y
    out[...] = y
    return out


@jit
def _drop(x, y, first, key, call, threshold, scale):
    """y = x * scale where the upper 24 bits of a number reach the threshold, else x * 0; from counter `first` on."""
    low, high = np.uint64(0xFFFFFFFF), np.uint64(32)
    c0, c1 = np.empty(LANES, np.uint32), np.empty(LANES, np.uint32)
    c2, c3 = np.empty(LANES, np.uint32), np.empty(LANES, np.uint32)
    zero = x.dtype.type(0)
    for start in range(0, x.size, 4 * LANES):
        lowest = np.uint64(first + start // 4)  # a counter gives four numbers
        for i in range(LANES):
            counter = lowest + np.uint64(i)
            c0[i], c1[i], c2[i], c3[i] = counter & low, counter >> high, call & low, call >> high
        k0, k1 = key & low, key >> high  # the key's two words
        for _ in range(10):  # Philox's rounds
            for i in range(LANES):
                p0, p1 = np.uint64(0xD2511F53) * np.uint64(c0[i]), np.uint64(0xCD9E8D57) * np.uint64(c2[i])
                c0[i], c1[i] = (p1 >> high) ^ np.uint64(c1[i]) ^ k0, p1 & low
                c2[i], c3[i] = (p0 >> high) ^ np.uint64(c3[i]) ^ k1, p0 & low
            k0, k1 = (k0 + np.uint64(0x9E3779B9)) & low, (k1 + np.uint64(0xBB67AE85)) & low  # the next round's
        few, out = x[start : start + 4 * LANES], y[start : start + 4 * LANES]
        if len(few) == 4 * LANES:  # four numbers of each counter, written out
            for i in range(LANES):
                out[4 * i] = few[4 * i] * (scale if c0[i] >> 8 >= threshold else zero)
                out[4 * i + 1] = few[4 * i + 1] * (scale if c1[i] >> 8 >= threshold else zero)
                out[4 * i + 2] = few[4 * i + 2] * (scale if c2[i] >> 8 >= threshold else zero)
                out[4 * i + 3] = few[4 * i + 3] * (scale if c3[i] >> 8 >= threshold else zero)
        else:
            for i in range(len(few)):
                lane, word = i // 4, i % 4
                drawn = c0[lane] if word == 0 else c1[lane] if word == 1 else c2[lane] if word == 2 else c3[lane]
                out[i] = few[i] * (scale if drawn >> 8 >= threshold else zero)
