"""Launches avg_pool.cu; mirrors minicnn/ops/avg_pool.py."""

from minicnn.kernels.arguments import takes_bfloat16

from .launch import CudaFile
from .windows import empty_ordered, launch, lies_last, ordered

cu = CudaFile("avg_pool.cu")


@takes_bfloat16
def avg_pool2d_forward(x, windows, count_include_pad, divisor_override):
    """y (N, C, OH, OW) = the sum of each window / divisor (OH, OW)."""
    last = lies_last(x)
    y = empty_ordered(x, (*x.shape[:2], *windows.out_size), last)
    numbers = _numbers(x.shape, windows, count_include_pad, divisor_override)
    return launch(cu.avg_pool2d_forward, y, [ordered(x, last), y], last, *numbers)


@takes_bfloat16
def avg_pool2d_backward(grad_out, x_shape, windows, count_include_pad, divisor_override):
    """grad_x (N, C, H, W): each pixel sums grad_out / divisor over the windows that it is in."""
    last = lies_last(grad_out)
    grad_x, numbers = (
        empty_ordered(grad_out, x_shape, last),
        _numbers(x_shape, windows, count_include_pad, divisor_override),
    )
    return launch(cu.avg_pool2d_backward, grad_x, [ordered(grad_out, last), grad_x], last, *numbers)


def _numbers(x_shape, windows, count_include_pad, divisor_override):
    sizes, ((top, bottom), (left, right)) = (*x_shape[2:], *windows.out_size), windows.padding
    pads = top, left, bottom, right
    return *sizes, *windows.kernel, *windows.stride, *pads, count_include_pad, divisor_override or 0
