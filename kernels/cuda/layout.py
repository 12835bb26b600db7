"""Launches layout.cu: images in the order of memory that bfloat16 has on a GPU."""

import math

from minicnn.kernels.arguments import empty_channels_last, is_channels_last, nchw_view, nhwc_view

from .launch import CudaFile, contiguous

kernels = CudaFile("layout.cu")
TILE, ROWS = 32, 8  # as in layout.cu
MOST_IMAGES = 65535  # of a grid; a thread block goes on to the next ones


def channels_last(array):
    """An array (N, C, H, W) channels-last in memory: itself if it is, else a copy made by one kernel (two where memory
    in C order has gaps). One with another number of axes comes back in C order."""
    if array.ndim != 4 or not array.size:
        return contiguous(array)
    if is_channels_last(array):
        return array
    if array.strides[1] == array.itemsize and array.shape[1] > 1:  # some channels of images that are channels-last
        return nchw_view(contiguous(nhwc_view(array)))
    n, channels, *size = array.shape
    pixels, y = math.prod(size), empty_channels_last(array, array.shape)
    grid = math.ceil(pixels / TILE), math.ceil(channels / TILE), min(n, MOST_IMAGES)
    kernels.swap_axes[grid, (TILE, ROWS)](array, nhwc_view(y), n, channels, pixels)
    return y
