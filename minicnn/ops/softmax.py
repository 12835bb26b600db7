"""Softmax and its logarithm: scores into probabilities.

Shapes    x (any), dim: the axis of the classes   ->   y (the same)
Forward   softmax      y_i = e^(x_i - m) / sum_j e^(x_j - m)        with m = max_j x_j, so that nothing overflows
          log_softmax  y_i = x_i - m - log sum_j e^(x_j - m)
Backward  softmax      grad_x_i = y_i * (grad_out_i - sum_j grad_out_j y_j)   as d y_j / d x_i = y_j * ([i = j] - y_i)
          log_softmax  grad_x_i = grad_out_i - e^(y_i) * sum_j grad_out_j     as d y_j / d x_i = [i = j] - e^(y_i)
Saves     y
Mirrors   kernels/cpu/softmax.py   kernels/numba_cuda/softmax.py   kernels/cuda/softmax.cu
Test      tests/ops/test_softmax.py
Source    Bridle, "Probabilistic interpretation of feedforward classification network outputs", 1990
"""

import numpy as np

from ..autograd import Function
from ..types import Array
from ..variable import V
from .arguments import axis, check_tensors
from .summation import total


def softmax(input: V, dim: int) -> V:
    """Probabilities over the axis `dim`; they sum to 1."""
    return Softmax.apply(input, dim=_checked("softmax", input, dim))


def log_softmax(input: V, dim: int) -> V:
    """The logarithm of ``softmax``, exact where a probability itself would round to 0."""
    return LogSoftmax.apply(input, dim=_checked("log_softmax", input, dim))


class Softmax(Function):
    float32_result = True

    def forward(self, x, dim):
        self.dim = dim
        y = self.run(softmax_forward, x, dim)
        self.save_for_backward(y)
        return y

    def backward(self, grad_out):
        return self.run(softmax_backward, grad_out, *self.saved, self.dim)


def softmax_forward(x: Array, dim: int) -> Array:
    """y = e^(x - max) / sum e^(x - max)."""
    e = np.exp(x - x.max(axis=dim, keepdims=True, initial=-np.inf))  # in [0, 1]; `initial` is for an axis of length 0
    return e / total(e, (dim,), keepdims=True)  # with dim=1: (N, C) / (N, 1)


def softmax_backward(grad_out: Array, y: Array, dim: int) -> Array:
    """grad_x = y * (grad_out - sum grad_out * y)."""
    return y * (grad_out - total(grad_out * y, (dim,), keepdims=True))  # with dim=1: (N, C) * ((N, C) - (N, 1))


class LogSoftmax(Function):
    float32_result = True

    def forward(self, x, dim):
        self.dim = dim
        y = self.run(log_softmax_forward, x, dim)
        self.save_for_backward(y)
        return y

    def backward(self, grad_out):
        return self.run(log_softmax_backward, grad_out, *self.saved, self.dim)


def log_softmax_forward(x: Array, dim: int) -> Array:
    """y = x - max - log sum e^(x - max)."""
    shifted = x - x.max(axis=dim, keepdims=True, initial=-np.inf)  # at most 0, and 0 somewhere: the sum is at least 1
    return shifted - np.log(total(np.exp(shifted), (dim,), keepdims=True))


def log_softmax_backward(grad_out: Array, y: Array, dim: int) -> Array:
    """grad_x = grad_out - softmax * sum grad_out."""
    return grad_out - np.exp(y) * total(grad_out, (dim,), keepdims=True)  # e^y is the softmax


def _checked(op, x, dim):
    """dim counted from 0, if x is a Tensor that has this axis."""
    check_tensors(op, {"input": x})
    return axis(op, "dim", dim, x.data.shape)  # -1 is the last axis: counted from 0 here
