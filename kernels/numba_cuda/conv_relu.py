"""Convolution, residual and ReLU; mirrors minicnn/ops/conv_relu.py. The kernels are those of conv.py, arithmetic.py and
activation.py, one after the other; the ReLU writes over what it reads."""

from .activation import relu_forward
from .arithmetic import residual_add_forward
from .conv import conv2d_forward


def conv2d_relu_forward(x, weight, bias, stride, padding, dilation, groups, residual):
    """y (N, OC, OH, OW) = max(weight @ im2col(x) + bias + residual, 0)."""
    y = conv2d_forward(x, weight, bias, stride, padding, dilation, groups)
    y = y if residual is None else residual_add_forward(y, residual)
    return relu_forward(y, y)
