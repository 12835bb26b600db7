"""Launches dropout.cu; mirrors minicnn/ops/dropout.py."""

import math

from .launch import THREADS, Kernel, blocks, contiguous, empty

_forward = Kernel("dropout.cu", "dropout_forward")


def dropout_forward(x, p, key, call, out):
    """y = x * mask / (1 - p), written into `out` if that is not None."""
    y = out if out is not None and out.flags.c_contiguous else empty(x, x.shape)
    scale = 0 if p == 1 else 1 / (1 - p)
    _forward(blocks(math.ceil(x.size / 4)), THREADS, contiguous(x), y, x.size, p, scale, key, call)
    if out is None or out is y:
        return y
    out[...] = y
    return out
