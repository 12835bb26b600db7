"""Activations: ReLU, sigmoid and tanh, element by element.

Shapes    x (any)   ->   y (the same)
Forward   relu     y = max(x, 0)
          sigmoid  y = 1 / (1 + e^-x), squashes to (0, 1)
          tanh     y = (1 - e^-2x) / (1 + e^-2x) = 2 sigmoid(2x) - 1, squashes to (-1, 1), centred on 0
Backward  relu     grad_x = grad_out where y > 0, else 0 (also at x = 0; NaN lets the gradient through, as PyTorch does)
          sigmoid  grad_x = grad_out * y * (1 - y): at most 1/4 of it, and almost none where |x| is large ("saturated")
          tanh     grad_x = grad_out * (1 - y^2)
Saves     y, which the next layer usually keeps alive anyway, and never x
Mirrors   kernels/cpu/activation.py   kernels/numba_cuda/activation.py   kernels/cuda/activation.cu
Test      tests/ops/test_activation.py
Source    Nair and Hinton, "Rectified linear units improve restricted Boltzmann machines", ICML 2010; Krizhevsky et al.,
          NIPS 2012, section 3.1 (a ReLU network learns several times faster than a tanh network)
"""

import numpy as np

from ..autograd import Function
from ..types import Array
from ..variable import V


def relu(input: V, inplace: bool = False) -> V:
    """max(input, 0). `inplace` overwrites the input, which a convolution before it does not need again."""
    return ReLU.apply(input, inplace=inplace)


def sigmoid(input: V) -> V:
    """1 / (1 + exp(-input)), without overflow."""
    return Sigmoid.apply(input)


def tanh(input: V) -> V:
    """The hyperbolic tangent."""
    return Tanh.apply(input)


class ReLU(Function):
    def forward(self, x, inplace):
        if inplace:
            self.overwrite(x)  # before x is written into: it refuses where the old values are still needed
        y = self.run(relu_forward, x, x if inplace else None)  # written into x itself, or into a new array
        self.save_for_backward(y)  # y > 0 where x > 0: x itself may be gone
        return y

    def backward(self, grad_out):
        return self.run(relu_backward, grad_out, *self.saved)


def relu_forward(x: Array, out: Array | None) -> Array:
    """y = max(x, 0), written into `out` if that is not None."""
    return np.maximum(x, 0, out=out)  # NaN stays NaN


def relu_backward(grad_out: Array, y: Array) -> Array:
    """grad_x = grad_out where y > 0 (or NaN)."""
    return np.where(y <= 0, 0, grad_out)  # NaN <= 0 is False; and an infinite gradient times 0 would be NaN, not 0


class Sigmoid(Function):
    def forward(self, x):
        y = self.run(sigmoid_forward, x)  # y alone is saved: its slope is a function of y
        self.save_for_backward(y)
        return y

    def backward(self, grad_out):
        return self.run(sigmoid_backward, grad_out, *self.saved)


def sigmoid_forward(x: Array) -> Array:
    """y = 1 / (1 + e^-x), in the form whose exponential cannot overflow."""
    e = np.exp(-np.abs(x))  # in (0, 1]
    return np.where(x >= 0, 1, e) / (1 + e)  # below 0: 1 / (1 + e^-x) = e^x / (e^x + 1), with e = e^x


def sigmoid_backward(grad_out: Array, y: Array) -> Array:
    """grad_x = grad_out * y * (1 - y)."""
    return grad_out * y * (1 - y)  # dy/dx = e^-x / (1 + e^-x)^2, and e^-x / (1 + e^-x) = 1 - y


class Tanh(Function):
    def forward(self, x):
        y = self.run(tanh_forward, x)
        self.save_for_backward(y)
        return y

    def backward(self, grad_out):
        return self.run(tanh_backward, grad_out, *self.saved)


def tanh_forward(x: Array) -> Array:
    """y = tanh(x)."""
    return np.tanh(x)


def tanh_backward(grad_out: Array, y: Array) -> Array:
    """grad_x = grad_out * (1 - y^2)."""
    return grad_out * (1 - y * y)
