"""Launches max_pool.cu; mirrors minicnn/ops/max_pool.py."""

from minicnn.kernels.arguments import takes_bfloat16
from minicnn.precision import BFLOAT16

from .launch import CudaFile
from .windows import empty_ordered, launch, lies_last, ordered

cu = CudaFile("max_pool.cu")


@takes_bfloat16
def max_pool2d_forward(x, windows):
    """y (N, C, OH, OW): the maximum of each window."""
    last = lies_last(x)
    y = empty_ordered(x, (*x.shape[:2], *windows.out_size), last)
    return launch(cu.max_pool2d_forward, y, [ordered(x, last), y], last, *_numbers(x.shape, windows))


@takes_bfloat16
def max_pool2d_forward_and_winners(x, windows):
    """(y, winners): in the same pass, the tap u*KW + v that won each window; uint8 if that fits, else int32."""
    one_byte, last = windows.kernel[0] * windows.kernel[1] <= 256, lies_last(x)
    y = empty_ordered(x, (*x.shape[:2], *windows.out_size), last)
    winners = empty_ordered(x, y.shape, last, "uint8" if one_byte else "int32")
    kernel = cu.max_pool2d_forward_and_winners if one_byte else cu.max_pool2d_forward_and_winners_wide
    return launch(kernel, y, [ordered(x, last), y, winners], last, *_numbers(x.shape, windows)), winners


@takes_bfloat16
def max_pool2d_backward(grad_out, winners, x_shape, windows):
    """grad_x (N, C, H, W): each pixel collects the gradients of the windows that it won."""
    last = lies_last(winners) or grad_out.dtype == BFLOAT16  # as forward has laid them
    grad_x = empty_ordered(grad_out, x_shape, last)
    kernel = cu.max_pool2d_backward if winners.dtype == "uint8" else cu.max_pool2d_backward_wide
    return launch(kernel, grad_x, [ordered(grad_out, last), winners, grad_x], last, *_numbers(x_shape, windows))


def _numbers(x_shape, windows):
    sizes = *x_shape[2:], *windows.out_size
    return *sizes, *windows.kernel, *windows.stride, *windows.before, *windows.dilation
