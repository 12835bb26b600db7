"""Launches max_pool.cu; mirrors minicnn/ops/max_pool.py."""

from .launch import empty, load
from .windows import before, fill

cu = load("max_pool.cu")


def max_pool2d_forward(x, kernel, stride, padding, dilation, out_size):
    """y (N, C, OH, OW): the maximum of each window."""
    y = empty(x, (*x.shape[:2], *out_size))
    return fill(cu.max_pool2d_forward, y, [x], x.shape[2:], out_size, *kernel, *stride, *before(padding), *dilation)


def max_pool2d_winners(x, y, kernel, stride, padding, dilation):
    """winners (N, C, OH, OW) uint8 (int32 where a window has more than 256 taps): for each window, the first tap
    u*KW + v that sees its maximum y."""
    one_byte = kernel[0] * kernel[1] <= 256
    winners = empty(x, y.shape, "uint8" if one_byte else "int32")
    run = cu.max_pool2d_winners if one_byte else cu.max_pool2d_winners_wide
    return fill(run, winners, [x], x.shape[2:], y.shape[2:], *kernel, *stride, *before(padding), *dilation)


def max_pool2d_forward_and_winners(x, kernel, stride, padding, dilation, out_size):
    """(y, winners)."""
    y = max_pool2d_forward(x, kernel, stride, padding, dilation, out_size)
    return y, max_pool2d_winners(x, y, kernel, stride, padding, dilation)


def max_pool2d_backward(grad_out, winners, x_shape, kernel, stride, padding, dilation):
    """grad_x (N, C, H, W): each pixel collects the gradients of the windows that it won."""
    grad_x, sizes = empty(grad_out, x_shape), (x_shape[2:], grad_out.shape[2:])
    run = cu.max_pool2d_backward if winners.dtype == "uint8" else cu.max_pool2d_backward_wide
    return fill(run, grad_x, [grad_out, winners], *sizes, *kernel, *stride, *before(padding), *dilation)
