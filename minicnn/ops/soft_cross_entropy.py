"""Cross-entropy of soft targets: how many nats a prediction is away from given probabilities of all classes.

Shapes    logits x and target t (N, C) or (N, C, d1, d2, ...)   ->   loss (), or (N, d1, ...) with reduction="none"
          each t[n] has no number below 0, and sums to 1 over the classes
Forward   loss_n = -sum_c p[n,c] * logp[n,c]                        logp = log_softmax(x)
          p[n,c] = w_c * ((1 - s) * t[n,c] + s/C)                   s = label_smoothing, w = the classes' weights (1)
          "sum": sum_n loss_n       "mean": their mean, with weights, too: sum_n loss_n / N, as PyTorch has it
Backward  grad_x[n,c] = g_n * (q_n * softmax(x)[n,c] - p[n,c])      q_n = sum_c p[n,c]: 1 without weights
          since loss_n = -sum_c p_c x_c + q_n log sum_j e^x_j, and that logarithm has the softmax as its slope
          g_n = grad_out, divided by N for "mean"
          With t = onehot it is the cross-entropy of a label. With t = l * onehot_a + (1-l) * onehot_b, of two pictures
          that are mixed, it is l times that of the one label and 1-l times that of the other.
Saves     logp, and copies of target and of the weights (p is made again from them), which must not change in between
Mirrors   none of its own: log_softmax has kernels everywhere, and the rest is three passes that both array libraries do
Test      tests/ops/test_soft_cross_entropy.py
Source    Szegedy et al., "Rethinking the Inception architecture for computer vision", CVPR 2016, section 7
"""

from typing import Any

import numpy as np

from ..autograd import Function
from ..device import array_module, to_device
from ..types import Array
from ..variable import V, Variable
from .softmax import log_softmax_forward
from .summation import total


def soft_cross_entropy(
    input: V, target: Variable | Array, label_smoothing: float, count: int | None, **options: Any
) -> V:
    """``cross_entropy`` of probabilities. options: what ``labels.checked_probabilities`` returns; count: what the sum
    of the losses is divided by, or None: by what `reduction` says."""
    return SoftCrossEntropy.apply(input, target=target, label_smoothing=label_smoothing, count=count, **options)


class SoftCrossEntropy(Function):
    float32_result = True

    def forward(self, x, target, weight, reduction, label_smoothing, count):
        self.target = to_device(self.constant(target), self.device)  # a copy that must not change; where x is
        weight = None if weight is None else to_device(self.constant(weight), self.device)
        self.options = weight, label_smoothing
        logp = self.run(log_softmax_forward, x, 1)
        loss = soft_cross_entropy_forward(logp, self.target, *self.options)  # (N, ...)
        self.save_for_backward(logp)
        self.divisor = {"none": 1, "sum": 1, "mean": loss.size}[reduction] if count is None else count
        return loss if reduction == "none" else total(loss, tuple(range(loss.ndim))) / self.divisor

    def backward(self, grad_out):
        return soft_cross_entropy_backward(grad_out / self.divisor, *self.saved, self.target, *self.options)


def soft_cross_entropy_forward(logp: Array, target: Array, weight: Array | None, label_smoothing: float) -> Array:
    """The loss of each row, (N, ...), of the logarithms of probabilities (N, C, ...)."""
    p = _target_weights(target, weight, label_smoothing)
    each = p * array_module(p).where(p != 0, logp, 0)  # 0 * -inf, a class that cannot be, is 0 here
    return -total(each, (1,))


def soft_cross_entropy_backward(
    grad_loss: Array, logp: Array, target: Array, weight: Array | None, label_smoothing: float
) -> Array:
    """grad_x like logp; grad_loss is () or one number for each row."""
    p = _target_weights(target, weight, label_smoothing)
    g = grad_loss if grad_loss.ndim == 0 else np.expand_dims(grad_loss, 1)  # (N, 1, ...)
    return g * (np.exp(logp) * total(p, (1,), keepdims=True) - p)  # in short: softmax - target


def _target_weights(target, weight, label_smoothing):
    """p of the formula, (N, C, ...): what each class's -logp is weighted with."""
    p = target
    if label_smoothing:
        p = (1 - label_smoothing) * p + label_smoothing / p.shape[1]
    return p if weight is None else p * weight.reshape(-1, *[1] * (p.ndim - 2))
