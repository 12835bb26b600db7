"""Dropout: y = x * mask / (1 - p), with the mask worked out where it is needed and never stored; mirrors
minicnn/ops/dropout.py. It is its own gradient.

Threads   one for every block of the cipher, which gives 4 words, in a grid-stride loop: element i is number n = start +
          i of the stream and takes word n % 4 of block n / 4, upper 24 bits: the very numbers of philox_uniform in
          minicnn/random.py. The first and the last block may have words that nobody takes
Memory    a thread's 4 elements are neighbours, its neighbours' the next ones; no shared memory, no barrier
Launch    thread blocks of THREADS, ceil((start % 4 + size) / 4 / THREADS) of them
Bound by  memory: 1 read and 1 write an element; 10 rounds of 2 multiplications for every 4 elements

y may be x itself (inplace=True): a thread reads its elements before it writes them.
"""

import math

import numpy as np

from minicnn.kernels.arguments import filled

from .launch import THREADS, T, blocks, cuda, device, float32, folded, int64, kernel, uint64

# Words of 32 bits, each in 64: what is above is cut off with LOW. (With an int, Numba would make a uint64 a float.)
LOW, HALF, UPPER_24 = np.uint64(0xFFFFFFFF), np.uint64(32), np.uint64(8)
MULTIPLY_0, MULTIPLY_1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
ADD_0, ADD_1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
STEP = np.float32(2**-24)


def dropout_forward(x, p, key, call, start, out):
    """y = x * mask / (1 - p), written into `out` if that is not None; x[0] gets number `start` of the stream."""
    scale = 0 if p == 1 else 1 / (1 - p)
    launch = dropout_forward_kernel[blocks(math.ceil((start % 4 + x.size) / 4)), THREADS]
    return filled(out, x, lambda y: launch(folded(x, 1), folded(y, 1), p, scale, key, call, start))


@kernel
def dropout_forward_kernel(x: T[:], y: T[:], p: float32, scale: T, key: uint64, call: uint64, start: int64):
    """`scale` is 1 / (1 - p), or 0 for p = 1."""
    zero = x.dtype.type(0)
    skip = start % 4  # words of the first block that are before element 0
    for quad in range(cuda.grid(1), (skip + x.size + 3) // 4, cuda.gridsize(1)):  # [0, ceil((skip + size) / 4))
        words = philox(key, call, np.uint64(start // 4 + quad))
        for e in range(4):
            i = quad * 4 + e - skip
            if 0 <= i < x.size:
                u = np.float32(words[e] >> UPPER_24) * STEP  # [0, 1)
                y[i] = x[i] * (scale if u >= p else zero)


@device
def philox(key, call, block):
    """Four words of Philox4x32 with 10 rounds (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011),
    which encrypts the counter (block number, call) with the key."""
    c0, c1, c2, c3 = block & LOW, block >> HALF, call & LOW, call >> HALF
    k0, k1 = key & LOW, key >> HALF
    for _ in range(10):
        product_0, product_1 = MULTIPLY_0 * c0, MULTIPLY_1 * c2
        c0, c1, c2, c3 = (product_1 >> HALF) ^ c1 ^ k0, product_1 & LOW, (product_0 >> HALF) ^ c3 ^ k1, product_0 & LOW
        k0, k1 = (k0 + ADD_0) & LOW, (k1 + ADD_1) & LOW
    return c0, c1, c2, c3
