"""Adaptive average-pooling: other windows, the same sums; mirrors minicnn/ops/adaptive_avg_pool.py."""

import functools

import numpy as np

from minicnn.precision import takes_bfloat16

from .avg_pool import average, average_backward


@takes_bfloat16
def adaptive_avg_pool2d_forward(x, out_size):
    """y (N, C, OH, OW): the averages of windows that divide the image evenly."""
    return average(x, *_extents(x.shape[2:], tuple(out_size)))


@takes_bfloat16
def adaptive_avg_pool2d_backward(grad_out, x_shape):
    """grad_x (N, C, H, W): each pixel sums what it receives from the windows that it is in."""
    return average_backward(grad_out, x_shape, *_extents(x_shape[2:], grad_out.shape[2:]))


@functools.lru_cache(1024)  # a network asks the same again with each batch
def _extents(size, out_size):
    """(rows (OH, 2), columns (OW, 2), divisor (OH, OW)): where each window starts and ends, and how many pixels it has.

    Window i goes from floor(i*H/OH) to ceil((i+1)*H/OH) - 1, columns likewise.
    """
    extents = [
        np.array([(i * length // out, -(-(i + 1) * length // out)) for i in range(out)], np.int64).reshape(out, 2)
        for length, out in zip(size, out_size, strict=True)
    ]
    return *extents, np.outer(*(extent[:, 1] - extent[:, 0] for extent in extents))
