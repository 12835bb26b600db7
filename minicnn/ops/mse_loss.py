"""Mean squared error: how far numbers are from those that they should be.

Shapes    x, target (any, but the same)   ->   loss (), or x's shape with reduction="none"
Forward   d = x - target
          "none": d^2     "sum": sum d^2     "mean": sum d^2 / M                M: how many numbers there are
Backward  grad_x = 2 * d * g     grad_target = -grad_x                          g: grad_out, divided by M for "mean"
Saves     x and target; not d, which would be a third array of their size
Mirrors   kernels/cpu/mse_loss.py   kernels/numba_cuda/mse_loss.py   kernels/cuda/mse_loss.cu
Test      tests/ops/test_mse_loss.py
Source    Legendre, "Nouvelles méthodes pour la détermination des orbites des comètes", 1805 (least squares)
"""

from typing import Any

from ..autograd import Function
from ..types import Array
from ..variable import V
from .regression import checked_target
from .summation import total


def mse_loss(input: V, target: Any, reduction: str = "mean") -> V:
    """The mean of (input - target)^2, as ``torch.nn.functional.mse_loss``; or the "sum", or each with "none".

    target  of input's shape and dtype: a Tensor, which may require a gradient, or an array
    ValueError for another shape, which PyTorch would broadcast: (N, 1) beside (N,) compares each with every other.
    ValueError also for the mean of no numbers.
    """
    target = checked_target("mse_loss", input, target, reduction)
    return MSELoss.apply(input, target, reduction=reduction)


class MSELoss(Function):
    float32_result = True

    def forward(self, x, target, reduction):
        self.save_for_backward(x, target)
        self.divisor = x.dtype.type(x.size if reduction == "mean" else 1)
        if reduction == "none":
            return self.run(mse_loss_forward, x, target)
        return self.run(mse_loss_sum, x, target) / self.divisor

    def backward(self, grad_out):
        need_x, need_target = self.needs_input_grad
        grad_x = self.run(mse_loss_backward, grad_out / self.divisor, *self.saved)
        return grad_x if need_x else None, -grad_x if need_target else None


def mse_loss_forward(x: Array, target: Array) -> Array:
    """Each (x - target)^2."""
    difference = x - target
    return difference * difference


def mse_loss_sum(x: Array, target: Array) -> Array:
    """The sum of all (x - target)^2, without axes."""
    return total(mse_loss_forward(x, target), tuple(range(x.ndim)))


def mse_loss_backward(grad_loss: Array, x: Array, target: Array) -> Array:
    """grad_x = 2 * (x - target) * grad_loss, which is () or has x's shape."""
    return 2 * (x - target) * grad_loss
