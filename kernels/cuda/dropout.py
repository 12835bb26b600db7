"""Launches dropout.cu; mirrors minicnn/ops/dropout.py."""

import math

from minicnn.kernels.arguments import filled

from .launch import THREADS, CudaFile, blocks

cu = CudaFile("dropout.cu")


def dropout_forward(x, p, key, call, start, out):
    """y = x * mask / (1 - p), written into `out` if that is not None; x[0] gets number `start` of the stream."""
    grid, scale = blocks(math.ceil((start % 4 + x.size) / 4)), 0 if p == 1 else 1 / (1 - p)
    return filled(out, x, lambda y: cu.dropout_forward[grid, THREADS](x, y, x.size, p, scale, key, call, start))
