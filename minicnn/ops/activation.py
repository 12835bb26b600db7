"""Activations: ReLU, leaky ReLU, ReLU6, sigmoid and tanh, element by element.

Shapes    x (any)   ->   y (the same)
Forward   relu     y = max(x, 0)
          leaky    y = x where x > 0, else a * x     a = negative_slope
          relu6    y = min(max(x, 0), 6)
          sigmoid  y = 1 / (1 + e^-x), squashes to (0, 1)
          tanh     y = (1 - e^-2x) / (1 + e^-2x) = 2 sigmoid(2x) - 1, squashes to (-1, 1), centred on 0
Backward  relu     grad_x = grad_out where y > 0, else 0 (also at x = 0; NaN lets the gradient through, as PyTorch does)
          leaky    grad_x = grad_out where x > 0, else a * grad_out (also at x = 0 and at NaN, as PyTorch does)
          relu6    grad_x = grad_out where 0 < y < 6, else 0 (also at x = 0 and at x = 6; NaN lets it through)
          sigmoid  grad_x = grad_out * y * (1 - y): at most 1/4 of it, and almost none where |x| is large ("saturated")
          tanh     grad_x = grad_out * (1 - y^2)
Saves     y, which the next layer usually keeps alive anyway, and not x; leaky with a < 0 saves x, as its y is positive
          on both sides of 0
Mirrors   kernels/cpu/activation.py   kernels/numba_cuda/activation.py   kernels/cuda/activation.cu
Test      tests/ops/test_activation.py
Source    Nair and Hinton, "Rectified linear units improve restricted Boltzmann machines", ICML 2010; Krizhevsky et al.,
          NIPS 2012, section 3.1 (a ReLU network learns several times faster than a tanh network); Maas et al.,
          "Rectifier nonlinearities improve neural network acoustic models", ICML 2013 (leaky: no gradient is all 0);
          Howard et al., "MobileNets", 2017 (relu6: numbers in [0, 6] keep their digits when few bits are left)
"""

import numpy as np

from ..autograd import Function
from ..settings import flag, real
from ..types import Array
from ..variable import V


def relu(input: V, inplace: bool = False) -> V:
    """max(input, 0). `inplace` overwrites the input, which a convolution before it does not need again."""
    return ReLU.apply(input, inplace=flag("relu", "inplace", inplace))


def leaky_relu(input: V, negative_slope: float = 0.01, inplace: bool = False) -> V:
    """input where it is positive, negative_slope * input elsewhere. `inplace` overwrites the input.

    RuntimeError for inplace=True with a negative slope where a gradient is to come back: the result does not tell the
    sign of what was overwritten.
    """
    slope = real("leaky_relu", "negative_slope", negative_slope)
    return LeakyReLU.apply(input, slope=slope, inplace=flag("leaky_relu", "inplace", inplace))


def relu6(input: V, inplace: bool = False) -> V:
    """min(max(input, 0), 6). `inplace` overwrites the input."""
    return ReLU6.apply(input, inplace=flag("relu6", "inplace", inplace))


def sigmoid(input: V) -> V:
    """1 / (1 + exp(-input)), without overflow."""
    return Sigmoid.apply(input)


def tanh(input: V) -> V:
    """The hyperbolic tangent."""
    return Tanh.apply(input)


class ReLU(Function):
    takes_bfloat16 = True

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


class LeakyReLU(Function):
    takes_bfloat16 = True

    def forward(self, x, slope, inplace):
        self.slope = slope
        if inplace:
            if slope < 0 and self.needs_input_grad[0]:
                what = f"LeakyReLU: inplace=True with negative_slope {slope} would lose the signs that backward() needs"
                raise RuntimeError(f"{what}; use inplace=False")
            self.overwrite(x)
        y = self.run(leaky_relu_forward, x, slope, x if inplace else None)
        self.save_for_backward(x if slope < 0 else y)  # an array that is positive where x is
        return y

    def backward(self, grad_out):
        return self.run(leaky_relu_backward, grad_out, *self.saved, self.slope)


def leaky_relu_forward(x: Array, slope: float, out: Array | None) -> Array:
    """y = x where x > 0, else slope * x; written into `out` if that is not None."""
    one = x.dtype.type(1)  # numbers in x's dtype: of Python's, np.where would make float64
    return np.multiply(x, np.where(x > 0, one, one * slope), out=out)  # NaN stays NaN


def leaky_relu_backward(grad_out: Array, y: Array, slope: float) -> Array:
    """grad_x = grad_out where y > 0, else slope * grad_out."""
    one = y.dtype.type(1)
    return grad_out * np.where(y > 0, one, one * slope)


class ReLU6(Function):
    takes_bfloat16 = True

    def forward(self, x, inplace):
        if inplace:
            self.overwrite(x)
        y = self.run(relu6_forward, x, x if inplace else None)
        self.save_for_backward(y)  # strictly between 0 and 6 where x is
        return y

    def backward(self, grad_out):
        return self.run(relu6_backward, grad_out, *self.saved)


def relu6_forward(x: Array, out: Array | None) -> Array:
    """y = min(max(x, 0), 6), written into `out` if that is not None."""
    return np.clip(x, 0, 6, out=out)  # NaN stays NaN


def relu6_backward(grad_out: Array, y: Array) -> Array:
    """grad_x = grad_out where 0 < y < 6 (or NaN)."""
    return np.where((y <= 0) | (y >= 6), 0, grad_out)


class Sigmoid(Function):
    takes_bfloat16 = True

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
    takes_bfloat16 = True

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
