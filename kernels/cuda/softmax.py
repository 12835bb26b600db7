"""Launches softmax.cu; mirrors minicnn/ops/softmax.py."""

import math

from .launch import THREADS, Kernel, contiguous, empty

_softmax_forward = Kernel("softmax.cu", "softmax_forward")
_softmax_backward = Kernel("softmax.cu", "softmax_backward")
_log_softmax_forward = Kernel("softmax.cu", "log_softmax_forward")
_log_softmax_backward = Kernel("softmax.cu", "log_softmax_backward")


def softmax_forward(x, dim):
    """y = e^(x - max) / sum e^(x - max)."""
    return _run(_softmax_forward, dim, x)


def softmax_backward(grad_out, y, dim):
    """grad_x = y * (grad_out - sum grad_out * y)."""
    return _run(_softmax_backward, dim, grad_out, y)


def log_softmax_forward(x, dim):
    """y = x - max - log sum e^(x - max)."""
    return _run(_log_softmax_forward, dim, x)


def log_softmax_backward(grad_out, y, dim):
    """grad_x = grad_out - softmax * sum grad_out."""
    return _run(_log_softmax_backward, dim, grad_out, y)


def _run(kernel, dim, *arrays):
    """A kernel with a warp for each row of scores along the axis `dim`."""
    shape = arrays[0].shape
    classes, inner = shape[dim], math.prod(shape[dim % len(shape) + 1 :])
    rows = math.prod(shape) // max(1, classes)
    out = empty(arrays[0], shape)
    kernel(math.ceil(rows * 32 / THREADS), THREADS, *map(contiguous, arrays), out, rows, classes, inner)
    return out
