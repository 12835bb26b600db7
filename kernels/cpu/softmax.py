"""Softmax and its logarithm: each row of scores is read once into the cache; mirrors minicnn/ops/softmax.py.

A row, the scores along `dim`, is at most a few thousand numbers: its maximum, its sum and its result are three loops
over a cache. Scores (N, C, H, W) that are channels-last are rows as they stand. Sums are in double: values are added
one by one, however many there are.
"""

import math

import numpy as np

from minicnn.precision import wide_dtype

from .machine import threads
from .machine.bfloat16 import bits, real, widened
from .machine.jit import jit
from .machine.layout import contiguous
from .machine.memory import empty


def softmax_forward(x, dim):
    """y = e^(x - max) / sum e^(x - max)."""
    return _run(_softmax, dim, x)


def softmax_backward(grad_out, y, dim):
    """grad_x = y * (grad_out - sum grad_out * y)."""
    return _run(_softmax_backward, dim, y, grad_out)


def log_softmax_forward(x, dim):
    """y = x - max - log sum e^(x - max), in float32 of bfloat16 scores, too."""
    return _run(_log_softmax, dim, x)


def log_softmax_backward(grad_out, y, dim):
    """grad_x = grad_out - softmax * sum grad_out."""
    return _run(_log_softmax_backward, dim, y, grad_out)


def _run(kernel, dim, *arrays):
    """A kernel over matrices (rows, classes); the result has its classes last in memory, too."""
    moved = [contiguous(np.moveaxis(array, dim, -1)) for array in arrays]  # (..., classes), C-contiguous
    out = empty(moved[0].shape, wide_dtype(moved[0].dtype))
    classes = moved[0].shape[-1]
    matrices = [bits(array).reshape(math.prod(array.shape[:-1]), classes) for array in (*moved, out)]  # (rows, classes)
    threads.run_chunks(
        lambda start, stop: kernel(*(m[start:stop] for m in matrices)), len(matrices[0]), 1024 // max(1, classes)
    )
    return np.moveaxis(out, -1, dim)  # a view


@jit
def _softmax(x, y):
    for i in range(len(x)):
        row, result = x[i], y[i]
        largest, total = _largest(row), 0.0
        for c in range(len(row)):
            result[c] = np.exp(row[c] - largest)  # at most 1: no overflow
            total += result[c]
        divisor = x.dtype.type(total)  # the sum was in float64
        for c in range(len(row)):
            result[c] /= divisor


@jit
def _log_softmax(x, y):
    for i in range(len(x)):
        row, result = x[i], y[i]
        largest, total = _largest(row), 0.0
        for c in range(len(row)):
            total += np.exp(widened(row[c]) - largest)
        log_total = y.dtype.type(np.log(total))
        for c in range(len(row)):
            result[c] = widened(row[c]) - largest - log_total


@jit
def _softmax_backward(y, grad_out, grad_x):
    for i in range(len(y)):
        total = 0.0
        for c in range(y.shape[1]):
            total += grad_out[i, c] * y[i, c]
        dot = y.dtype.type(total)  # sum grad_out * y
        for c in range(y.shape[1]):
            grad_x[i, c] = y[i, c] * (grad_out[i, c] - dot)


@jit
def _log_softmax_backward(y, grad_out, grad_x):
    for i in range(len(y)):
        total = 0.0
        for c in range(y.shape[1]):
            total += grad_out[i, c]
        scale = y.dtype.type(total)  # sum grad_out
        for c in range(y.shape[1]):
            grad_x[i, c] = grad_out[i, c] - np.exp(y[i, c]) * scale  # e^y is the softmax


@jit
def _largest(row):
    """The largest of the row, -inf of an empty one. NaNs are passed over: they come back in the sum of exponentials."""
    largest = real(row)(-np.inf)
    for element in row:
        value = widened(element)
        if value > largest:
            largest = value
    return largest
