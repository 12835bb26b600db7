"""Smooth L1 loss: squares near the target, distances far from it, so that one wild number does not decide the gradient.

Shapes    x, target (any, but the same)   ->   loss (), or x's shape with reduction="none"
Forward   d = x - target
          l = d^2 / (2 * beta) where |d| < beta, else |d| - beta/2     the two and their slopes meet at |d| = beta
          "none": l     "sum": sum l     "mean": sum l / M             M: how many numbers there are
          beta = 0 leaves distances alone, the L1 loss
Backward  grad_x = g * d / beta where |d| < beta, else g * sign(d)     g: grad_out, divided by M for "mean"
          grad_target = -grad_x
Saves     x and target; not d, which would be a third array of their size
Mirrors   kernels/cpu/smooth_l1_loss.py   kernels/numba_cuda/smooth_l1_loss.py   kernels/cuda/smooth_l1_loss.cu
Test      tests/ops/test_smooth_l1_loss.py
Source    Girshick, "Fast R-CNN", ICCV 2015, section 2.3; Huber, "Robust estimation of a location parameter", 1964
"""

from typing import Any

import numpy as np

from ..autograd import Function
from ..settings import real
from ..types import Array
from ..variable import V
from .regression import checked_target
from .summation import total


def smooth_l1_loss(input: V, target: Any, reduction: str = "mean", beta: float = 1.0) -> V:
    """The mean of the page's l, as ``torch.nn.functional.smooth_l1_loss``; or the "sum", or each with "none".

    target  of input's shape and dtype: a Tensor, which may require a gradient, or an array
    ValueError for another shape, for a beta below 0, and for the mean of no numbers.
    """
    target = checked_target("smooth_l1_loss", input, target, reduction)
    beta = real("smooth_l1_loss", "beta", beta, at_least=0)
    return SmoothL1Loss.apply(input, target, reduction=reduction, beta=beta)


def l1_loss(input: V, target: Any, reduction: str = "mean") -> V:
    """The mean of the distances |input - target|, as ``torch.nn.functional.l1_loss``: smooth L1 with a beta of 0."""
    target = checked_target("l1_loss", input, target, reduction)
    return SmoothL1Loss.apply(input, target, reduction=reduction, beta=0.0)


class SmoothL1Loss(Function):
    float32_result = True

    def forward(self, x, target, reduction, beta):
        self.save_for_backward(x, target)
        self.beta, self.divisor = beta, x.dtype.type(x.size if reduction == "mean" else 1)
        loss = self.run(smooth_l1_loss_forward, x, target, beta)
        return loss if reduction == "none" else total(loss, tuple(range(x.ndim))) / self.divisor

    def backward(self, grad_out):
        need_x, need_target = self.needs_input_grad
        grad_x = self.run(smooth_l1_loss_backward, grad_out / self.divisor, *self.saved, self.beta)
        return grad_x if need_x else None, -grad_x if need_target else None


def smooth_l1_loss_forward(x: Array, target: Array, beta: float) -> Array:
    """l of each number."""
    distance = np.abs(x - target)
    near = np.minimum(distance, beta)  # a square of it is no larger than beta^2
    return np.where(distance < beta, near * near / (2 * beta or 1), distance - beta / 2)


def smooth_l1_loss_backward(grad_loss: Array, x: Array, target: Array, beta: float) -> Array:
    """grad_x; grad_loss is () or has x's shape."""
    difference = x - target
    return np.where(np.abs(difference) < beta, difference / (beta or 1), np.sign(difference)) * grad_loss
