"""Where an array's values lie in memory, and how a kernel gets to see them.

Channels-last: x (N, C, H, W) whose memory runs as (N, H, W, C). Its strides say so; NumPy's own functions work on it
as on any array, and element-wise results keep its layout. A kernel sees the memory as a C-contiguous, writeable array:

    channels_last(x)   (N, H, W, C)        behind_channels(y)   back to (N, C, H, W), a view
    rows(x)            (N*H*W, C)          flat(x, ...)         (N*H*W*C,), for element-wise work
"""

import math

import numpy as np

from . import memory, threads
from .bfloat16 import bits
from .jit import jit

SQUARE = 32  # numbers: 32 x 32 of them, read along one axis and written along the other, are 4 KB of the first cache


def channels_last(x):
    """x (N, C, ...) as (N, ..., C), C-contiguous and writeable: a view where x is channels-last already, or a copy."""
    moved = x.transpose(0, *range(2, x.ndim), 1)  # (N, C, ...) -> (N, ..., C), a view
    if _is_plain(moved):
        return moved
    if x.flags.c_contiguous and x.flags.aligned:  # NCHW in memory, which is usual: squares at a time
        return _transposed(x, moved.shape)
    y = memory.empty(moved.shape, x.dtype)
    out, given = bits(y), bits(moved)  # NumPy copies bfloat16 numbers one by one
    threads.run_chunks(lambda start, stop: np.copyto(out[start:stop], given[start:stop]), len(y))
    return y


def behind_channels(y):
    """(N, ..., C) as (N, C, ...), a view."""
    return y.transpose(0, y.ndim - 1, *range(1, y.ndim - 1))  # its strides are channels-last


def rows(x):
    """x (N, C, ...) as a C-contiguous matrix (values of a channel, C)."""
    return channels_last(x).reshape(-1, x.shape[1])


def flat(first, *others):
    """Arrays of one shape as 1-D ones whose elements correspond, in the order `first` has in memory.

    That is C order or channels-last; whatever lies otherwise is copied.
    """
    view = contiguous if first.ndim < 3 or _is_plain(first) else channels_last
    return [view(array).reshape(-1) for array in (first, *others)]


def empty_like(x, dtype=None):
    """An uninitialised array of x's shape, and its dtype or another, in the order that ``flat(x)`` has."""
    make = memory.empty if x.ndim < 3 or _is_plain(x) else memory.empty_images
    return make(x.shape, dtype or x.dtype)


def contiguous(x):
    """x in C order and writeable: itself or a copy; None stays None."""
    if x is None or _is_plain(x):
        return x
    y = memory.empty(x.shape, x.dtype)
    bits(y)[...] = bits(x)
    return y


def _is_plain(x):
    return x.flags.carray and type(x) is np.ndarray  # C-contiguous, aligned, writeable


def _transposed(x, shape):
    """A copy of x (N, C, ...), C-contiguous, as (N, ..., C)."""
    n, channels, pixels = len(x), x.shape[1], math.prod(x.shape[2:])
    y = memory.empty(shape, x.dtype)
    images = bits(contiguous(x)).reshape(n, channels, pixels)  # (N, C, P)
    out = bits(y).reshape(n, pixels, channels)  # (N, P, C)
    threads.run_chunks(lambda start, stop: _transpose(images[start:stop], out[start:stop]), n)
    return y


@jit
def _transpose(x, y):
    """y (N, P, C) = x (N, C, P) with the last two axes swapped."""
    n, channels, pixels = x.shape
    for i in range(n):
        for c0 in range(0, channels, SQUARE):  # square by square
            for p0 in range(0, pixels, SQUARE):
                for p in range(p0, min(p0 + SQUARE, pixels)):
                    for c in range(c0, min(c0 + SQUARE, channels)):
                        y[i, p, c] = x[i, c, p]
