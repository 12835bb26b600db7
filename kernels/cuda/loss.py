"""Launches loss.cu; mirrors minicnn/ops/loss.py. Labels and class weights come as NumPy arrays and are moved here."""

import math

import numpy as np

from minicnn.device import to_device

from .launch import THREADS, Kernel, contiguous, empty
from .softmax import log_softmax_forward

_forward = Kernel("loss.cu", "cross_entropy_forward")
_backward = Kernel("loss.cu", "cross_entropy_backward")


def cross_entropy_forward(x, target, weight, ignore_index, label_smoothing):
    """(loss of each target, logp like x, the sum of the targets' weights)."""
    logp = log_softmax_forward(x, 1)
    loss = empty(x, target.shape)
    counted = target != ignore_index
    total_weight = counted.sum() if weight is None else weight[target[counted]].sum()
    labels, weights = _moved(target, weight)
    _forward(_grid(loss), THREADS, logp, labels, weights, loss, *_sizes(x), ignore_index, label_smoothing)
    return loss, logp, x.dtype.type(total_weight)


def cross_entropy_backward(grad_loss, logp, target, weight, ignore_index, label_smoothing):
    """grad_x like logp; grad_loss is () or one number for each target."""
    labels, weights = _moved(target, weight)
    grad_x, stride = empty(logp, logp.shape), min(1, grad_loss.ndim)
    arrays = contiguous(grad_loss), stride, contiguous(logp), labels, weights, grad_x
    _backward(_grid(labels), THREADS, *arrays, *_sizes(logp), ignore_index, label_smoothing)
    return grad_x


def _moved(target, weight):
    labels = to_device(np.ascontiguousarray(target, np.int64), "cuda")
    return labels, None if weight is None else to_device(np.ascontiguousarray(weight), "cuda")


def _grid(targets):
    return math.ceil(targets.size * 32 / THREADS)


def _sizes(x):
    """(targets, C, inner)."""
    inner = math.prod(x.shape[2:])
    return x.shape[0] * inner, x.shape[1], inner
