"""Dropout that draws its numbers on the way; mirrors minicnn/ops/dropout.py and philox_uniform of minicnn/random.py.

Nothing is stored and nothing is read but x: a number costs about 25 operations on integers (ten rounds make four of
them), all in registers. The rounds run over many counters at once, so that they fill the vector registers.
u >= p is decided on the 24 bits that u is made of: u = k * 2^-24 >= p exactly if k >= p * 2^24.

A counter gives four numbers, and the first value may want any of them: number `start` of the stream.

    counters            | c       | c + 1   | c + 2   |      c = start // 4
    numbers wanted            x x   x x x x   x x x          the first is number skip = start % 4 of counter c
"""

import math

import numpy as np

from minicnn.precision import takes_bfloat16, wide_dtype

from .machine import threads
from .machine.bfloat16 import bits, narrowed, real, widened
from .machine.jit import jit
from .machine.layout import contiguous
from .machine.memory import empty

LANES = 64  # counters that go through the rounds together


@takes_bfloat16
def dropout_forward(x, p, key, call, start, out):
    """y = x * mask / (1 - p), written into `out` if that is not None; x[0] gets number `start` of the stream."""
    y = out if out is not None and out.flags.carray else empty(x.shape, x.dtype)
    scale = wide_dtype(x.dtype).type(0 if p == 1 else 1 / (1 - p))
    threshold = math.ceil(float(np.float32(p)) * 2**24)  # of 24 random bits
    values, result = bits(contiguous(x)).reshape(-1), bits(y).reshape(-1)  # 1-D, in C order
    counter, skip = divmod(start, 4)

    def work(first, stop):  # in units of LANES counters, four numbers each
        begin, end = first * LANES * 4 - skip, stop * LANES * 4 - skip  # begin < 0: numbers that nobody wants
        own = slice(max(0, begin), end)
        stream = np.uint64(key), np.uint64(call), counter + first * LANES
        _drop(values[own], result[own], *stream, max(0, -begin), threshold, scale)

    units = math.ceil((skip + x.size) / (4 * LANES))  # a chunk is a number of whole ones
    threads.run_chunks(work, units, threads.LEAST // (64 * LANES))
    if out is None or out is y:
        return y
    out[...] = y
    return out


@jit
def _drop(x, y, key, call, counter, skip, threshold, scale):
    """y = x * scale where the upper 24 bits of a number reach the threshold, else x * 0; x[0] gets number `skip` (0 to
    3) of that counter."""
    low, high = np.uint64(0xFFFFFFFF), np.uint64(32)
    c0, c1 = np.empty(LANES, np.uint32), np.empty(LANES, np.uint32)
    c2, c3 = np.empty(LANES, np.uint32), np.empty(LANES, np.uint32)
    zero = real(x)(0)
    for start in range(-skip, x.size, 4 * LANES):  # x[start], were it there, gets the first of these counters' numbers
        for i in range(LANES):
            own = np.uint64(counter + i)
            c0[i], c1[i], c2[i], c3[i] = own & low, own >> high, call & low, call >> high
        counter += LANES
        k0, k1 = key & low, key >> high  # the key's two words
        for _ in range(10):  # Philox's rounds
            for i in range(LANES):
                p0, p1 = np.uint64(0xD2511F53) * np.uint64(c0[i]), np.uint64(0xCD9E8D57) * np.uint64(c2[i])
                c0[i], c1[i] = (p1 >> high) ^ np.uint64(c1[i]) ^ k0, p1 & low
                c2[i], c3[i] = (p0 >> high) ^ np.uint64(c3[i]) ^ k1, p0 & low
            k0, k1 = (k0 + np.uint64(0x9E3779B9)) & low, (k1 + np.uint64(0xBB67AE85)) & low  # the next round's
        first, stop = max(0, start), min(start + 4 * LANES, x.size)
        if stop - first == 4 * LANES:  # four numbers of each counter, written out
            few, out = x[first:stop], y[first:stop]
            for i in range(LANES):
                out[4 * i] = narrowed(widened(few[4 * i]) * (scale if c0[i] >> 8 >= threshold else zero), y)
                out[4 * i + 1] = narrowed(widened(few[4 * i + 1]) * (scale if c1[i] >> 8 >= threshold else zero), y)
                out[4 * i + 2] = narrowed(widened(few[4 * i + 2]) * (scale if c2[i] >> 8 >= threshold else zero), y)
                out[4 * i + 3] = narrowed(widened(few[4 * i + 3]) * (scale if c3[i] >> 8 >= threshold else zero), y)
        else:
            for i in range(first, stop):
                lane, word = (i - start) // 4, (i - start) % 4
                drawn = c0[lane] if word == 0 else c1[lane] if word == 1 else c2[lane] if word == 2 else c3[lane]
                y[i] = narrowed(widened(x[i]) * (scale if drawn >> 8 >= threshold else zero), y)
