"""Launches activation.cu; mirrors minicnn/ops/activation.py."""

from minicnn.kernels.arguments import takes_bfloat16

from .elementwise import elementwise
from .launch import CudaFile

cu = CudaFile("activation.cu")


@takes_bfloat16
def relu_forward(x, out):
    """y = max(x, 0), written into `out` if that is not None."""
    return elementwise(cu.relu_forward, x, out=out)


@takes_bfloat16
def relu_backward(grad_out, y):
    """grad_x = grad_out where y > 0, else 0."""
    return elementwise(cu.relu_backward, grad_out, y)


@takes_bfloat16
def leaky_relu_forward(x, slope, out):
    """y = x where x > 0, else slope * x; written into `out` if that is not None."""
    return elementwise(cu.leaky_relu_forward, x, out=out, numbers=(slope,))


@takes_bfloat16
def leaky_relu_backward(grad_out, y, slope):
    """grad_x = grad_out where y > 0, else slope * grad_out."""
    return elementwise(cu.leaky_relu_backward, grad_out, y, numbers=(slope,))


@takes_bfloat16
def relu6_forward(x, out):
    """y = min(max(x, 0), 6), written into `out` if that is not None."""
    return elementwise(cu.relu6_forward, x, out=out)


@takes_bfloat16
def relu6_backward(grad_out, y):
    """grad_x = grad_out where 0 < y < 6, else 0."""
    return elementwise(cu.relu6_backward, grad_out, y)


@takes_bfloat16
def sigmoid_forward(x):
    """y = 1 / (1 + e^-x)."""
    return elementwise(cu.sigmoid_forward, x)


@takes_bfloat16
def sigmoid_backward(grad_out, y):
    """grad_x = grad_out * y * (1 - y)."""
    return elementwise(cu.sigmoid_backward, grad_out, y)


@takes_bfloat16
def tanh_forward(x):
    """y = tanh(x)."""
    return elementwise(cu.tanh_forward, x)


@takes_bfloat16
def tanh_backward(grad_out, y):
    """grad_x = grad_out * (1 - y^2)."""
    return elementwise(cu.tanh_backward, grad_out, y)
