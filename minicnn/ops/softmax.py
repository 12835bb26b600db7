"""Softmax and its logarithm: scores into probabilities.

Shapes    x (any), dim: the axis of the classes   ->   y (the same)
Forward   softmax      y_i = e^(x_i - m) / sum_j e^(x_j - m)        with m = max_j x_j, so that nothing overflows
          log_softmax  y_i = x_i - m - log sum_j e^(x_j - m)
Backward  softmax      grad_x_i = y_i * (grad_out_i - sum_j grad_out_j y_j)
          log_softmax  grad_x_i = grad_out_i - e^(y_i) * sum_j grad_out_j
Saves     y
Mirrors   kernels/cpu/softmax.py   kernels/numba_cuda/softmax.py   kernels/cuda/softmax.cu
Test      tests/ops/test_softmax.py
Source    Bridle, "Probabilistic interpretation of feedforward classification network outputs", 1990
"""

import numpy as np

from ..autograd import Function
from .arguments import axis, check_tensors
from .summation import total


def softmax(input, dim):
    """Probabilities over the axis `dim`; they sum to 1."""
    return Softmax.apply(input, dim=_checked("softmax", input, dim))


def log_softmax(input, dim):
    """The logarithm of ``softmax``, exact where a probability itself would round to 0."""
    return LogSoftmax.apply(input, dim=_checked("log_softmax", input, dim))


class Softmax(Function):
    def forward(self, x, dim):
        self.dim = dim
        y = self.run(softmax_forward, x, dim)
        self.save_for_backward(y)
        return y

    def backward(self, grad_out):
        return self.run(softmax_backward, grad_out, *self.saved, self.dim)


class LogSoftmax(Function):
    def forward(self, x, dim):
        self.dim = dim
        y = self.run(log_softmax_forward, x, dim)
        self.save_for_backward(y)
        return y

    def backward(self, grad_out):
        return self.run(log_softmax_backward, grad_out, *self.saved, self.dim)


def softmax_forward(x, dim):
    """y = e^(x - max) / sum e^(x - max)."""
    e = np.exp(x - x.max(axis=dim, keepdims=True, initial=-np.inf))
    return e / total(e, (dim,), keepdims=True)


def softmax_backward(grad_out, y, dim):
    """grad_x = y * (grad_out - sum grad_out * y)."""
    return y * (grad_out - total(grad_out * y, (dim,), keepdims=True))


def log_softmax_forward(x, dim):
    """y = x - max - log sum e^(x - max)."""
    shifted = x - x.max(axis=dim, keepdims=True, initial=-np.inf)
    return shifted - np.log(total(np.exp(shifted), (dim,), keepdims=True))


def log_softmax_backward(grad_out, y, dim):
    """grad_x = grad_out - softmax * sum grad_out."""
    return grad_out - np.exp(y) * total(grad_out, (dim,), keepdims=True)


def _checked(op, x, dim):
    check_tensors(op, {"input": x})
    return axis(op, "dim", dim, x.data.shape)
