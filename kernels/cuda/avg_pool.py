"""Launches avg_pool.cu; mirrors minicnn/ops/avg_pool.py."""

from .launch import empty, load
from .windows import before, behind, fill

cu = load("avg_pool.cu")


def avg_pool2d_forward(x, kernel, stride, padding, out_size, count_include_pad, divisor_override):
    """y (N, C, OH, OW) = the sum of each window / divisor (OH, OW)."""
    y = empty(x, (*x.shape[:2], *out_size))
    geometry = *kernel, *stride, *before(padding), *behind(padding), count_include_pad, divisor_override or 0
    return fill(cu.avg_pool2d_forward, y, [x], x.shape[2:], out_size, *geometry)


def avg_pool2d_backward(grad_out, x_shape, kernel, stride, padding, count_include_pad, divisor_override):
    """grad_x (N, C, H, W): each pixel sums grad_out / divisor over the windows that it is in."""
    grad_x = empty(grad_out, x_shape)
    geometry = *kernel, *stride, *before(padding), *behind(padding), count_include_pad, divisor_override or 0
    return fill(cu.avg_pool2d_backward, grad_x, [grad_out], x_shape[2:], grad_out.shape[2:], *geometry)
