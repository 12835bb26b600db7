"""Launches adaptive_avg_pool.cu; mirrors minicnn/ops/adaptive_avg_pool.py."""

from .launch import empty, load
from .windows import fill

cu = load("adaptive_avg_pool.cu")


def adaptive_avg_pool2d_forward(x, out_size):
    """y (N, C, OH, OW): the averages of windows that divide the image evenly."""
    return fill(cu.adaptive_avg_pool2d_forward, empty(x, (*x.shape[:2], *out_size)), [x], x.shape[2:], out_size)


def adaptive_avg_pool2d_backward(grad_out, x_shape):
    """grad_x (N, C, H, W): each pixel sums its share of the windows that it is in."""
    return fill(cu.adaptive_avg_pool2d_backward, empty(grad_out, x_shape), [grad_out], x_shape[2:], grad_out.shape[2:])
