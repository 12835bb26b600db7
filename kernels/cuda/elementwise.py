"""Launches kernels over arrays of one shape, number by number, in the order that these have in memory."""

import math

from minicnn.kernels.arguments import filled, is_channels_last, nchw_view, nhwc_view

from .launch import THREADS, blocks
from .layout import channels_last

VECTOR = 16  # bytes that a thread takes at a time: elementwise.cuh


def grid(array):
    """Thread blocks for a thread for each vector of the array."""
    return blocks(math.ceil(array.nbytes / VECTOR))


def elementwise(kernel, *arrays, out=None, numbers=()):
    """The array that an element-wise kernel makes of arrays of one shape, written into `out` if that is not None.

    The kernel takes them, the result, their size, and after these the `numbers`. The first array's order in memory, C
    order or channels-last, is the result's, too; an array of the other order is copied.
    """
    first = arrays[0]
    launch = kernel[grid(first), THREADS]
    if first.flags.c_contiguous or not is_channels_last(first):
        return filled(out, first, lambda y: launch(*arrays, y, first.size, *numbers))
    arrays = [nhwc_view(channels_last(array)) for array in arrays]
    return nchw_view(filled(nhwc_view(out), arrays[0], lambda y: launch(*arrays, y, first.size, *numbers)))
