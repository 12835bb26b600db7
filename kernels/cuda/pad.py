"""Launches pad.cu; mirrors minicnn/ops/pad.py."""

from minicnn.kernels.padding import by_fours
from minicnn.ops.pad import padded_shape

from .launch import THREADS, CudaFile, blocks, contiguous, empty

cu = CudaFile("pad.cu")


def pad_forward(x, padding, value):
    """y, of x's shape and (before, after) more on each axis."""
    return by_fours(_pad_four, contiguous(x), padding, value)


def _pad_four(x, padding, value):
    y = empty(x, padded_shape(x.shape, padding))
    befores = [before for before, _ in padding]
    cu.pad_forward[blocks(y.size), THREADS](x, y, *x.shape, *y.shape[1:], *befores, y.size, value)
    return y
