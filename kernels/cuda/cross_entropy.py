"""Launches cross_entropy.cu; mirrors minicnn/ops/cross_entropy.py. Labels and class weights are on the GPU here."""

import math

from minicnn.kernels.arguments import folded_shape
from minicnn.kernels.labels import as_labels, wrong_label
from minicnn.ops.summation import total

from .launch import THREADS, CudaFile, empty
from .softmax import log_softmax_forward

cu = CudaFile("cross_entropy.cu")


def cross_entropy_forward(x, target, weight, ignore_index, label_smoothing):
    """(loss of each target, logp like x, the sum of the targets' weights)."""
    logp = log_softmax_forward(x, 1)
    loss, counted = empty(x, target.shape), empty(x, target.shape)
    arrays = logp, as_labels(target), weight, loss, counted, wrong_label("cross_entropy", x)
    cu.cross_entropy_forward[_grid(target), THREADS](*arrays, *_sizes(x), ignore_index, label_smoothing)
    return loss, logp, total(counted, tuple(range(counted.ndim)))


def cross_entropy_backward(grad_loss, logp, target, weight, ignore_index, label_smoothing):
    """grad_x like logp; grad_loss is () or one number for each target."""
    grad_x, stride = empty(logp, logp.shape), min(1, grad_loss.ndim)
    arrays = grad_loss, stride, logp, as_labels(target), weight, grad_x
    cu.cross_entropy_backward[_grid(target), THREADS](*arrays, *_sizes(logp), ignore_index, label_smoothing)
    return grad_x


def _grid(targets):
    """A warp for each target."""
    return math.ceil(targets.size * 32 / THREADS)


def _sizes(x):
    """(targets, C, inner)."""
    n, classes, inner = folded_shape(x.shape, 3)
    return n * inner, classes, inner
