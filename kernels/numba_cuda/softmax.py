"""Softmax and its logarithm over the middle axis of x (outer, C, inner), scores into probabilities; mirrors
minicnn/ops/softmax.py.

Threads   a thread block for each of the outer * inner rows of C scores; its threads take scores t, t + THREADS, ...
Memory    coalesced where inner = 1, the scores of a classifier; otherwise neighbouring threads read `inner` apart
Shared    one number for each thread, for the maximum and the sums (reduction.py): every thread reaches the barriers
          there, with scores or without
Launch    grid outer * inner, block THREADS
Bound by  memory: the scores are read two or three times (the second time from a cache) and written once

The maximum is subtracted first, so that nothing overflows. A row with a NaN is NaN all through.
"""

import math

import numpy as np

from minicnn.kernels.arguments import around

from .launch import THREADS, T, contiguous, cuda, device, empty, exp, kernel, log
from .reduction import add, block_max, block_sum

INFINITY = np.float32(math.inf)
T3 = T[:, :, :]  # (outer, C, inner)


def softmax_forward(x, dim):
    """y = e^(x - max) / sum e^(x - max)."""
    return _rows(softmax_forward_kernel, dim, x)


def softmax_backward(grad_out, y, dim):
    """grad_x = y * (grad_out - sum grad_out * y)."""
    return _rows(softmax_backward_kernel, dim, grad_out, y)


def log_softmax_forward(x, dim):
    """y = x - max - log sum e^(x - max)."""
    return _rows(log_softmax_forward_kernel, dim, x)


def log_softmax_backward(grad_out, y, dim):
    """grad_x = grad_out - softmax * sum grad_out."""
    return _rows(log_softmax_backward_kernel, dim, grad_out, y)


def _rows(kernel, dim, *arrays):
    """What a kernel makes of arrays of one shape, with a thread block for each row of scores along the axis `dim`."""
    shape = outer, _, inner = around(arrays[0].shape, dim)
    out = empty(arrays[0], arrays[0].shape)
    kernel[outer * inner, THREADS](*(contiguous(array).reshape(shape) for array in (*arrays, out)))
    return out


@device
def largest_and_sum(x, n, i, partial):
    """The largest score of row (n, i), and the sum of e^(score - largest)."""
    largest = x.dtype.type(-INFINITY)
    for c in range(cuda.threadIdx.x, x.shape[1], THREADS):  # [0, C)
        largest = max(largest, x[n, c, i])
    largest = block_max(largest, partial)
    total, lost = x.dtype.type(0), x.dtype.type(0)
    for c in range(cuda.threadIdx.x, x.shape[1], THREADS):
        total, lost = add(total, lost, exp(x[n, c, i] - largest))
    return largest, block_sum(total, partial)


@kernel
def softmax_forward_kernel(x: T3, y: T3):
    """y = e^(x - largest) / sum of e^(x - largest)."""
    partial = cuda.shared.array(THREADS, x.dtype)
    n, i = cuda.blockIdx.x // x.shape[2], cuda.blockIdx.x % x.shape[2]  # [0, outer), [0, inner)
    largest, total = largest_and_sum(x, n, i, partial)
    for c in range(cuda.threadIdx.x, x.shape[1], THREADS):  # [0, C)
        y[n, c, i] = exp(x[n, c, i] - largest) / total


@kernel
def log_softmax_forward_kernel(x: T3, y: T3):
    """y = x - largest - log sum of e^(x - largest)."""
    partial = cuda.shared.array(THREADS, x.dtype)
    n, i = cuda.blockIdx.x // x.shape[2], cuda.blockIdx.x % x.shape[2]  # [0, outer), [0, inner)
    largest, total = largest_and_sum(x, n, i, partial)
    for c in range(cuda.threadIdx.x, x.shape[1], THREADS):  # [0, C)
        y[n, c, i] = x[n, c, i] - largest - log(total)


@kernel
def softmax_backward_kernel(grad_out: T3, y: T3, grad_x: T3):
    """grad_x = y * (grad_out - sum of grad_out * y)."""
    partial = cuda.shared.array(THREADS, y.dtype)
    n, i = cuda.blockIdx.x // y.shape[2], cuda.blockIdx.x % y.shape[2]  # [0, outer), [0, inner)
    total, lost = y.dtype.type(0), y.dtype.type(0)
    for c in range(cuda.threadIdx.x, y.shape[1], THREADS):  # [0, C)
        total, lost = add(total, lost, grad_out[n, c, i] * y[n, c, i])
    total = block_sum(total, partial)
    for c in range(cuda.threadIdx.x, y.shape[1], THREADS):
        grad_x[n, c, i] = y[n, c, i] * (grad_out[n, c, i] - total)


@kernel
def log_softmax_backward_kernel(grad_out: T3, y: T3, grad_x: T3):
    """grad_x = grad_out - e^y * sum of grad_out."""
    partial = cuda.shared.array(THREADS, y.dtype)
    n, i = cuda.blockIdx.x // y.shape[2], cuda.blockIdx.x % y.shape[2]  # [0, outer), [0, inner)
    total, lost = y.dtype.type(0), y.dtype.type(0)
    for c in range(cuda.threadIdx.x, y.shape[1], THREADS):  # [0, C)
        total, lost = add(total, lost, grad_out[n, c, i])
    total = block_sum(total, partial)
    for c in range(cuda.threadIdx.x, y.shape[1], THREADS):
        grad_x[n, c, i] = grad_out[n, c, i] - exp(y[n, c, i]) * total
