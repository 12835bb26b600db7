"""Negative log-likelihood: cross-entropy of what are logarithms of probabilities already.

Shapes    x (N, C) or (N, C, d1, d2, ...), target (N,) or (N, d1, d2, ...): integers in [0, C)
          ->   loss (), or the shape of target with reduction="none"
Forward   loss_n = -w_t * x[n,t]                        t = the target, w = the classes' weights (1 by default)
          "sum": sum_n loss_n     "mean": sum_n loss_n / sum_n w_t
Backward  grad_x[n,c] = -g_n * w_t where c = t, else 0  g_n = grad_out, divided by sum_n w_t for "mean"
          A target equal to ignore_index contributes to neither, nor does one of a class that weighs 0.
Saves     copies of target and of the weights, which must not change in between, and x's shape
Note      nll_loss(log_softmax(x, 1)) is cross_entropy(x), which is one op: it writes one array of x's size less
Mirrors   kernels/cpu/nll_loss.py   kernels/numba_cuda/nll_loss.py   kernels/cuda/nll_loss.cu
Test      tests/ops/test_nll_loss.py
"""

from typing import Any

import numpy as np

from ..autograd import Function
from ..device import to_device
from ..types import Array, Shape
from ..variable import V
from .labels import checked_labels
from .summation import total


def nll_loss(input: V, target: Any, weight: Any = None, *, ignore_index: int = -100, reduction: str = "mean") -> V:
    """The loss of log-probabilities (N, C, ...), as ``torch.nn.functional.nll_loss``: behind ``log_softmax``.

    The other arguments, and the errors, are those of ``cross_entropy``.
    """
    return NLLLoss.apply(input, **checked_labels("nll_loss", input, target, weight, ignore_index, reduction))


class NLLLoss(Function):
    float32_result = True

    def forward(self, x, target, weight, ignore_index, reduction):
        self.x_shape = x.shape
        self.target = to_device(self.constant(target), self.device)  # a copy that must not change; where x is
        weight = None if weight is None else to_device(self.constant(weight), self.device)
        self.options = weight, ignore_index
        loss, total_weight = self.run(nll_loss_forward, x, self.target, *self.options)  # (N, ...), ()
        self.divisor = total_weight if reduction == "mean" else x.dtype.type(1)
        return loss if reduction == "none" else total(loss, tuple(range(loss.ndim))) / self.divisor

    def backward(self, grad_out):
        return self.run(nll_loss_backward, grad_out / self.divisor, self.x_shape, self.target, *self.options)


def nll_loss_forward(x: Array, target: Array, weight: Array | None, ignore_index: int) -> tuple[Array, Any]:
    """(loss of each target, the sum of the targets' weights)."""
    label, weights = _weights(target, weight, ignore_index, x.dtype)  # (N, 1, ...), (N, ...)
    of_label = np.take_along_axis(x, label, axis=1).squeeze(1)  # (N, ...)
    return _product(-of_label, weights), total(weights, tuple(range(weights.ndim)))


def nll_loss_backward(
    grad_loss: Array, x_shape: Shape, target: Array, weight: Array | None, ignore_index: int
) -> Array:
    """grad_x, of x's shape; grad_loss is () or one number for each target."""
    label, weights = _weights(target, weight, ignore_index, grad_loss.dtype)
    grad_x = np.zeros(x_shape, grad_loss.dtype)
    np.put_along_axis(grad_x, label, np.expand_dims(_product(-grad_loss, weights), 1), axis=1)
    return grad_x


def _weights(target, weight, ignore_index, dtype):
    """(each label with an axis for the classes, the weight of its class); an ignored one is class 0 and weighs 0."""
    counted = target != ignore_index
    label = np.where(counted, target, 0)
    return np.expand_dims(label, 1), counted.astype(dtype) if weight is None else counted * weight[label]


def _product(values, weights):
    """values * weights, but 0 where the weight is, whatever the value: minus infinity, a class that cannot be."""
    return np.multiply(values, weights, where=weights != 0, out=np.zeros_like(weights))
