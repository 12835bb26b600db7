"""Launches loss.cu; mirrors minicnn/ops/loss.py. Labels and class weights are on the GPU here."""

import math

from minicnn.kernels.labels import wrong_label
from minicnn.ops.summation import total

from .launch import THREADS, Kernel, contiguous, empty
from .softmax import log_softmax_forward

_forward = Kernel("loss.cu", "cross_entropy_forward")
_backward = Kernel("loss.cu", "cross_entropy_backward")


def cross_entropy_forward(x, target, weight, ignore_index, label_smoothing):
    """(loss of each target, logp like x, the sum of the targets' weights)."""
    logp = log_softmax_forward(x, 1)
    loss, counted = empty(x, target.shape), empty(x, target.shape)
    arrays = logp, _labels(target), contiguous(weight), loss, counted, wrong_label(x)
    _forward(_grid(loss), THREADS, *arrays, *_sizes(x), ignore_index, label_smoothing)
    return loss, logp, total(counted, tuple(range(counted.ndim)))


def cross_entropy_backward(grad_loss, logp, target, weight, ignore_index, label_smoothing):
    """grad_x like logp; grad_loss is () or one number for each target."""
    grad_x, stride = empty(logp, logp.shape), min(1, grad_loss.ndim)
    arrays = contiguous(grad_loss), stride, contiguous(logp), _labels(target), contiguous(weight), grad_x
    _backward(_grid(target), THREADS, *arrays, *_sizes(logp), ignore_index, label_smoothing)
    return grad_x


def _labels(target):
    return contiguous(target.astype("int64", copy=False))


def _grid(targets):
    return math.ceil(targets.size * 32 / THREADS)


def _sizes(x):
    """(targets, C, inner)."""
    inner = math.prod(x.shape[2:])
    return x.shape[0] * inner, x.shape[1], inner
