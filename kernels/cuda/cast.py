"""Launches cast.cu; mirrors minicnn/ops/cast.py. Images become bfloat16 in the order of memory that it has on a GPU."""

import math

from minicnn.kernels.arguments import (
    empty,
    empty_channels_last,
    is_channels_last,
    nchw_view,
    nhwc_view,
    takes_bfloat16,
)
from minicnn.precision import BFLOAT16

from .launch import THREADS, CudaFile, blocks, contiguous
from .layout import channels_last

cu = CudaFile("cast.cu")
VECTOR = 8  # numbers that a thread converts at once
FEW = 16  # channels that one thread may go through


@takes_bfloat16
def cast_forward(x, dtype):
    """y = x in that dtype; one of the two is bfloat16, the other float32 (of float64, CuPy converts)."""
    if x.dtype == "float64" or dtype == "float64":
        return x.astype(dtype)
    if dtype != BFLOAT16:
        return _flat(cu.widen, x, dtype)
    pixels = math.prod(x.shape[2:])
    if x.ndim == 4 and not is_channels_last(x) and x.shape[1] <= FEW and 0 < len(x) * pixels < 2**31:
        y = empty_channels_last(x, x.shape, dtype)
        size = len(x) * pixels
        cu.narrow_images[blocks(size), THREADS](x, nhwc_view(y), x.shape[1], pixels, size)
        return y
    return _flat(cu.narrow, channels_last(x), dtype)


def _flat(kernel, x, dtype):
    """x converted by a kernel that goes over memory, in the order in which it lies there."""
    if is_channels_last(x) and not x.flags.c_contiguous:
        return nchw_view(_flat(kernel, nhwc_view(x), dtype))
    x = contiguous(x)
    y = empty(x, x.shape, dtype)
    kernel[blocks(math.ceil(x.size / VECTOR)), THREADS](x, y, x.size)
    return y
