"""Launches max_pool.cu; mirrors minicnn/ops/max_pool.py."""

from .launch import CudaFile, empty
from .windows import launch

cu = CudaFile("max_pool.cu")


def max_pool2d_forward(x, windows):
    """y (N, C, OH, OW): the maximum of each window."""
    y = empty(x, (*x.shape[:2], *windows.out_size))
    return launch(cu.max_pool2d_forward, y, [x, y], x.shape, y.shape, *_numbers(windows))


def max_pool2d_forward_and_winners(x, windows):
    """(y, winners): in the same pass, the tap u*KW + v that won each window; uint8 if that fits, else int32."""
    one_byte = windows.kernel[0] * windows.kernel[1] <= 256
    y = empty(x, (*x.shape[:2], *windows.out_size))
    winners = empty(x, y.shape, "uint8" if one_byte else "int32")
    kernel = cu.max_pool2d_forward_and_winners if one_byte else cu.max_pool2d_forward_and_winners_wide
    return launch(kernel, y, [x, y, winners], x.shape, y.shape, *_numbers(windows)), winners


def max_pool2d_backward(grad_out, winners, x_shape, windows):
    """grad_x (N, C, H, W): each pixel collects the gradients of the windows that it won."""
    grad_x = empty(grad_out, x_shape)
    kernel = cu.max_pool2d_backward if winners.dtype == "uint8" else cu.max_pool2d_backward_wide
    return launch(kernel, grad_x, [grad_out, winners, grad_x], x_shape, grad_out.shape, *_numbers(windows))


def _numbers(windows):
    return *windows.kernel, *windows.stride, *windows.before, *windows.dilation
