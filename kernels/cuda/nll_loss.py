"""Launches nll_loss.cu; mirrors minicnn/ops/nll_loss.py. Labels and class weights are on the GPU here."""

from minicnn.kernels.arguments import folded_shape
from minicnn.kernels.labels import as_labels, wrong_label
from minicnn.ops.summation import total

from .launch import THREADS, CudaFile, blocks, empty

cu = CudaFile("nll_loss.cu")


def nll_loss_forward(x, target, weight, ignore_index):
    """(loss of each target, the sum of the targets' weights)."""
    _, classes, inner = folded_shape(x.shape, 3)
    loss, counted = empty(x, target.shape), empty(x, target.shape)
    arrays = x, as_labels(target), weight, loss, counted, wrong_label("nll_loss", x)
    cu.nll_loss_forward[blocks(target.size), THREADS](*arrays, target.size, classes, inner, ignore_index)
    return loss, total(counted, tuple(range(counted.ndim)))


def nll_loss_backward(grad_loss, x_shape, target, weight, ignore_index):
    """grad_x, of x's shape; grad_loss is () or one number for each target."""
    _, classes, inner = folded_shape(x_shape, 3)
    grad_x, stride = empty(grad_loss, x_shape), min(1, grad_loss.ndim)
    arrays = grad_loss, stride, as_labels(target), weight, grad_x
    cu.nll_loss_backward[blocks(grad_x.size), THREADS](*arrays, classes, inner, grad_x.size, ignore_index)
    return grad_x
