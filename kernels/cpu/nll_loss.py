"""Negative log-likelihood: of the scores, only those of labels are read; mirrors minicnn/ops/nll_loss.py.

The gradient is zeros but for one number of each row of classes, laid out as log_softmax's result is: classes last.
"""

import math

import numpy as np

from .labels import as_labels, check_label, class_weights
from .machine import threads
from .machine.jit import jit
from .machine.layout import behind_channels, contiguous
from .machine.memory import empty

LEAST = 1 << 13  # labels of a chunk: each of them is a score from elsewhere in memory


def nll_loss_forward(x, target, weight, ignore_index):
    """(loss of each target, the sum of the targets' weights)."""
    scores, labels, weights = _planes(x), as_labels(target), class_weights(weight, x.shape[1], x.dtype)
    loss = empty(target.shape, x.dtype)
    chunks = threads.chunks(labels.size, LEAST)
    total_weights = np.zeros(len(chunks))  # float64

    def work(i):
        wrong, total_weights[i] = _losses(scores, labels, weights, ignore_index, loss.reshape(-1), *chunks[i])
        check_label("nll_loss", labels, wrong, x.shape[1])

    threads.run(work, len(chunks))
    return loss, x.dtype.type(total_weights.sum())


def nll_loss_backward(grad_loss, x_shape, target, weight, ignore_index):
    """grad_x, of x's shape; grad_loss is () or one number for each target."""
    classes = x_shape[1]
    labels, weights = as_labels(target), class_weights(weight, classes, grad_loss.dtype)
    upstream = np.ascontiguousarray(np.broadcast_to(grad_loss, target.shape)).reshape(-1)  # one for each target
    grad_x = empty((*target.shape, classes), grad_loss.dtype)  # (N, ..., C)
    rows = grad_x.reshape(-1, classes)

    def work(start, stop):
        s = slice(start, stop)
        check_label("nll_loss", labels[s], _gradients(upstream[s], labels[s], weights, ignore_index, rows[s]), classes)

    threads.run_chunks(work, labels.size, threads.LEAST // classes)
    return behind_channels(grad_x)


def _planes(x):
    """x (N, C, ...) as (images, C, pixels), C-contiguous; one that is channels-last, as (N * pixels, C, 1): no copy."""
    last = x.transpose(0, *range(2, x.ndim), 1)  # (N, ..., C), a view
    if last.flags.carray:
        return last.reshape(-1, x.shape[1], 1)
    return contiguous(x).reshape(*x.shape[:2], math.prod(x.shape[2:]))


@jit
def _losses(x, labels, weight, ignore_index, loss, start, stop):
    """loss = -w_t * x[t] of labels [start, stop). (Index of a label that is out of range, or -1; sum of the w_t)."""
    pixels, total_weight = x.shape[2], 0.0
    n, pixel = start // pixels, start % pixels
    for i in range(start, stop):
        t = labels[i]
        loss[i] = 0
        if t != ignore_index:
            if not 0 <= t < len(weight):  # such an index would read elsewhere
                return i, total_weight
            if weight[t] != 0:  # 0 times minus infinity would be NaN
                loss[i] = -weight[t] * x[n, t, pixel]
            total_weight += weight[t]
        pixel += 1
        if pixel == pixels:
            n, pixel = n + 1, 0
    return -1, total_weight


@jit
def _gradients(grad_loss, labels, weight, ignore_index, grad_x):
    """grad_x (rows, C) = -g * w_t at the label, else 0. Returns the index of a label that is out of range, or -1."""
    grad_x[:] = 0
    for i in range(len(labels)):
        t = labels[i]
        if t != ignore_index:
            if not 0 <= t < len(weight):  # such an index would write elsewhere
                return i
            if weight[t] != 0:
                grad_x[i, t] = -grad_loss[i] * weight[t]
    return -1
