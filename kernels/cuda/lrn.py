"""Launches lrn.cu; mirrors minicnn/ops/lrn.py."""

import math

from .launch import THREADS, Kernel, blocks, contiguous, empty

_scale = Kernel("lrn.cu", "local_response_norm_scale")
_forward = Kernel("lrn.cu", "local_response_norm_forward")
_backward = Kernel("lrn.cu", "local_response_norm_backward")


def local_response_norm_forward(x, size, alpha, beta, k):
    """y = x * s^-beta."""
    y = empty(x, x.shape)
    _forward(blocks(x.size), THREADS, contiguous(x), y, *_window(x, size), alpha / size, beta, k)
    return y


def local_response_norm_backward(grad_out, x, size, alpha, beta, k):
    """grad_x: what passes straight through, minus x times what it did to its neighbours."""
    grad_out, x = contiguous(grad_out), contiguous(x)
    s, grad_x = empty(x, x.shape), empty(x, x.shape)
    _scale(blocks(x.size), THREADS, x, s, *_window(x, size), alpha / size, k)
    _backward(blocks(x.size), THREADS, grad_out, x, s, grad_x, *_window(x, size), alpha / size, beta)
    return grad_x


def _window(x, size):
    """(elements, C, inner, channels before, channels after): a window longer than C sees no more than all of them."""
    channels = x.shape[1]
    before, after = min(size // 2, channels), min((size - 1) // 2, channels)
    return x.size, channels, math.prod(x.shape[2:]), before, after
