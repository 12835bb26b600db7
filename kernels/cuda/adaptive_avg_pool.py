"""Launches adaptive_avg_pool.cu; mirrors minicnn/ops/adaptive_avg_pool.py."""

from .launch import CudaFile, empty
from .windows import launch

cu = CudaFile("adaptive_avg_pool.cu")


def adaptive_avg_pool2d_forward(x, out_size):
    """y (N, C, OH, OW): the averages of windows that divide the image evenly."""
    y = empty(x, (*x.shape[:2], *out_size))
    return launch(cu.adaptive_avg_pool2d_forward, y, [x, y], x.shape, y.shape)


def adaptive_avg_pool2d_backward(grad_out, x_shape):
    """grad_x (N, C, H, W): each pixel sums what it receives from the windows that it is in."""
    grad_x = empty(grad_out, x_shape)
    return launch(cu.adaptive_avg_pool2d_backward, grad_x, [grad_out, grad_x], x_shape, grad_out.shape)
