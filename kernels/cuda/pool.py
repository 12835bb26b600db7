"""Launches pool.cu; mirrors minicnn/ops/pool.py."""

from .launch import THREADS, Kernel, blocks, contiguous, empty

_max_forward = Kernel("pool.cu", "max_pool2d_forward")
_max_winners = Kernel("pool.cu", "max_pool2d_winners")
_max_winners_wide = Kernel("pool.cu", "max_pool2d_winners_wide")
_max_backward = Kernel("pool.cu", "max_pool2d_backward")
_max_backward_wide = Kernel("pool.cu", "max_pool2d_backward_wide")
_avg_forward = Kernel("pool.cu", "avg_pool2d_forward")
_avg_backward = Kernel("pool.cu", "avg_pool2d_backward")
_adaptive_forward = Kernel("pool.cu", "adaptive_avg_pool2d_forward")
_adaptive_backward = Kernel("pool.cu", "adaptive_avg_pool2d_backward")


def max_pool2d_forward(x, kernel, stride, padding, dilation, out_size):
    """y (N, C, OH, OW): the maximum of each window."""
    y = empty(x, (*x.shape[:2], *out_size))
    return _run(_max_forward, y, [x], x.shape[2:], out_size, *kernel, *stride, *_before(padding), *dilation)


def max_pool2d_winners(x, y, kernel, stride, padding, dilation):
    """winners (N, C, OH, OW) uint8 (int32 where a window has more than 256 taps): for each window, the first tap
    u*KW + v that sees its maximum y."""
    one_byte = kernel[0] * kernel[1] <= 256
    winners = empty(x, y.shape, "uint8" if one_byte else "int32")
    run = _max_winners if one_byte else _max_winners_wide
    return _run(run, winners, [x], x.shape[2:], y.shape[2:], *kernel, *stride, *_before(padding), *dilation)


def max_pool2d_forward_and_winners(x, kernel, stride, padding, dilation, out_size):
    """(y, winners)."""
    y = max_pool2d_forward(x, kernel, stride, padding, dilation, out_size)
    return y, max_pool2d_winners(x, y, kernel, stride, padding, dilation)


def max_pool2d_backward(grad_out, winners, x_shape, kernel, stride, padding, dilation):
    """grad_x (N, C, H, W): each pixel collects the gradients of the windows that it won."""
    grad_x, sizes = empty(grad_out, x_shape), (x_shape[2:], grad_out.shape[2:])
    run = _max_backward if winners.dtype == "uint8" else _max_backward_wide
    return _run(run, grad_x, [grad_out, winners], *sizes, *kernel, *stride, *_before(padding), *dilation)


def avg_pool2d_forward(x, kernel, stride, padding, out_size, count_include_pad, divisor_override):
    """y (N, C, OH, OW) = the sum of each window / divisor (OH, OW)."""
    y = empty(x, (*x.shape[:2], *out_size))
    geometry = *kernel, *stride, *_before(padding), *_behind(padding), count_include_pad, divisor_override or 0
    return _run(_avg_forward, y, [x], x.shape[2:], out_size, *geometry)


def avg_pool2d_backward(grad_out, x_shape, kernel, stride, padding, count_include_pad, divisor_override):
    """grad_x (N, C, H, W): each pixel sums grad_out / divisor over the windows that it is in."""
    grad_x = empty(grad_out, x_shape)
    geometry = *kernel, *stride, *_before(padding), *_behind(padding), count_include_pad, divisor_override or 0
    return _run(_avg_backward, grad_x, [grad_out], x_shape[2:], grad_out.shape[2:], *geometry)


def adaptive_avg_pool2d_forward(x, out_size):
    """y (N, C, OH, OW): the averages of windows that divide the image evenly."""
    return _run(_adaptive_forward, empty(x, (*x.shape[:2], *out_size)), [x], x.shape[2:], out_size)


def adaptive_avg_pool2d_backward(grad_out, x_shape):
    """grad_x (N, C, H, W): each pixel sums its share of the windows that it is in."""
    return _run(_adaptive_backward, empty(grad_out, x_shape), [grad_out], x_shape[2:], grad_out.shape[2:])


def _run(kernel, out, arrays, size, out_size, *geometry):
    """`out`, filled: one thread for each of its elements."""
    kernel(blocks(out.size), THREADS, *map(contiguous, arrays), out, out.size, *size, *out_size, *geometry)
    return out


def _before(padding):
    """(top, left) of ((top, bottom), (left, right))."""
    return tuple(before for before, _ in padding)


def _behind(padding):
    """(bottom, right)."""
    return tuple(behind for _, behind in padding)
