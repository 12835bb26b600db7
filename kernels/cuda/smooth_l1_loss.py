"""Launches smooth_l1_loss.cu; mirrors minicnn/ops/smooth_l1_loss.py."""

from .elementwise import elementwise
from .launch import THREADS, CudaFile, blocks, empty

cu = CudaFile("smooth_l1_loss.cu")


def smooth_l1_loss_forward(x, target, beta):
    """l of each number."""
    return elementwise(cu.smooth_l1_loss_forward, x, target, numbers=(beta,))


def smooth_l1_loss_backward(grad_loss, x, target, beta):
    """grad_x; grad_loss is () or has x's shape."""
    grad_x, stride = empty(x, x.shape), min(1, grad_loss.ndim)
    cu.smooth_l1_loss_backward[blocks(x.size), THREADS](grad_loss, stride, x, target, grad_x, x.size, beta)
    return grad_x
