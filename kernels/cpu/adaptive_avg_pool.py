"""Adaptive average-pooling: other windows, the same sums; mirrors minicnn/ops/adaptive_avg_pool.py."""

import numpy as np

from .avg_pool import average, average_backward


def adaptive_avg_pool2d_forward(x, out_size):
    """y (N, C, OH, OW): the averages of windows that divide the image evenly."""
    return average(x, out_size, *_adaptive(x.shape[2:], out_size))


def adaptive_avg_pool2d_backward(grad_out, x_shape):
    """grad_x (N, C, H, W): each pixel sums its share of the windows that it is in."""
    return average_backward(grad_out, x_shape, *_adaptive(x_shape[2:], grad_out.shape[2:]))


def _adaptive(size, out_size):
    """The same for windows that divide the image evenly."""
    spans = [
        np.array([(i * length // out, -(-(i + 1) * length // out)) for i in range(out)], np.int64).reshape(out, 2)
        for length, out in zip(size, out_size, strict=True)
    ]
    return *spans, np.outer(*(span[:, 1] - span[:, 0] for span in spans))
