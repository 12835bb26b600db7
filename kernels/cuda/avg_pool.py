"""Launches avg_pool.cu; mirrors minicnn/ops/avg_pool.py."""

from .launch import CudaFile, empty
from .windows import launch

cu = CudaFile("avg_pool.cu")


def avg_pool2d_forward(x, windows, count_include_pad, divisor_override):
    """y (N, C, OH, OW) = the sum of each window / divisor (OH, OW)."""
    y = empty(x, (*x.shape[:2], *windows.out_size))
    numbers = _numbers(windows, count_include_pad, divisor_override)
    return launch(cu.avg_pool2d_forward, y, [x, y], x.shape, y.shape, *numbers)


def avg_pool2d_backward(grad_out, x_shape, windows, count_include_pad, divisor_override):
    """grad_x (N, C, H, W): each pixel sums grad_out / divisor over the windows that it is in."""
    grad_x, numbers = empty(grad_out, x_shape), _numbers(windows, count_include_pad, divisor_override)
    return launch(cu.avg_pool2d_backward, grad_x, [grad_out, grad_x], x_shape, grad_out.shape, *numbers)


def _numbers(windows, count_include_pad, divisor_override):
    (top, bottom), (left, right) = windows.padding
    return *windows.kernel, *windows.stride, top, left, bottom, right, count_include_pad, divisor_override or 0
