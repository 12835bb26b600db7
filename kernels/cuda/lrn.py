"""Launches lrn.cu; mirrors minicnn/ops/lrn.py."""

import math

from minicnn.kernels.arguments import empty, folded_shape, nhwc_view, takes_bfloat16
from minicnn.precision import wide_dtype

from .launch import THREADS, CudaFile, blocks
from .windows import empty_ordered, lies_last, ordered

cu = CudaFile("lrn.cu")
SHORT, CHANNELS = 5, 8  # channels of a window that fits into a thread's registers, and those that it works on: lrn.cu


@takes_bfloat16
def local_response_norm_forward(x, size, alpha, beta, k, groups):
    """y = x * s^-beta."""
    (x, y), given, last = _laid_out([x], groups)
    numbers = *_reach(size, given[1]), alpha / size, beta, k
    if size <= SHORT:
        count, sizes = _chunks(*given)
        cu.local_response_norm_forward[blocks(count), THREADS](*_seen([x, y], last), count, *sizes, *numbers)
    else:
        sizes = x.size, *given[1:]
        cu.local_response_norm_forward_long[blocks(x.size), THREADS](*_seen([x, y], last), *sizes, *numbers)
    return y


@takes_bfloat16
def local_response_norm_backward(grad_out, x, size, alpha, beta, k, groups):
    """grad_x: what passes straight through, minus x times what it did to its neighbours."""
    (x, grad_out, grad_x), given, last = _laid_out([x, grad_out], groups)
    reach, arrays = _reach(size, given[1]), _seen([grad_out, x, grad_x], last)
    if size <= SHORT:
        count, sizes = _chunks(*given)
        numbers = *reach, alpha / size, beta, k
        cu.local_response_norm_backward[blocks(count), THREADS](*arrays, count, *sizes, *numbers)
        return grad_x
    grad_out, x, out = arrays
    s, launch, sizes = empty(x, x.shape, wide_dtype(x.dtype)), (blocks(x.size), THREADS), (x.size, *given[1:], *reach)
    cu.local_response_norm_scale_long[launch](x, s, *sizes, alpha / size, k)
    cu.local_response_norm_backward_long[launch](grad_out, x, s, out, *sizes, alpha / size, beta)
    return grad_x


def _laid_out(arrays, groups):
    """The arrays, all in C order or channels-last, and one for the result; (outer, C, inner); which order it is."""
    x = arrays[0]
    last = x.ndim == 4 and lies_last(x)
    n, channels, inner = folded_shape(x.shape, 3)
    outer, inner = (n * inner, 1) if last else (n, inner)
    arrays = [*(ordered(array, last) for array in arrays), empty_ordered(x, x.shape, last)]
    return arrays, (outer * groups, channels // groups, inner), last


def _seen(arrays, last):
    """As the kernel takes them."""
    return [nhwc_view(array) for array in arrays] if last else arrays


def _chunks(outer, channels, inner):
    """(threads, (C, inner, chunks of channels)), the last two as Divisors take them."""
    chunks = math.ceil(channels / CHANNELS)
    return outer * chunks * inner, (channels, max(1, inner), max(1, chunks))


def _reach(size, channels):
    """Channels (before, after) that a window has; one longer than C sees no more than C."""
    return min(size // 2, channels), min((size - 1) // 2, channels)
