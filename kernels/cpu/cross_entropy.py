"""Cross-entropy, one pass over the scores each way; mirrors minicnn/ops/cross_entropy.py.

A pass forward leaves logp behind, which backward turns into the gradient: each row stays in the cache in between its
three loops (maximum, sum, result). A label says which element is read and written, so each is checked where it is used.
"""

import math

import numpy as np

from minicnn.ops.cross_entropy import summed
from minicnn.precision import takes_bfloat16, wide_dtype

from .labels import as_labels, check_label, class_weights
from .machine import threads
from .machine.bfloat16 import bits, narrowed
from .machine.jit import jit
from .machine.layout import behind_channels, channels_last
from .machine.memory import empty
from .softmax import log_softmax_forward


@takes_bfloat16
def cross_entropy_forward(x, target, weight, ignore_index, label_smoothing):
    """(loss of each target, logp like x, the sum of the targets' weights)."""
    logp, dtype = log_softmax_forward(x, 1), wide_dtype(x.dtype)
    loss = np.empty(target.shape, dtype)
    labels, classes = as_labels(target), class_weights(weight, x.shape[1], dtype)
    smooth = label_smoothing / x.shape[1]  # of each class
    options = ignore_index, label_smoothing, smooth
    wrong = _losses(_matrix(logp), labels, classes, *options, loss.reshape(-1))
    check_label("cross_entropy", labels, wrong, x.shape[1])
    counted = labels[labels != ignore_index]
    total_weight = len(counted) if weight is None else weight[counted].sum()
    return loss, logp, dtype.type(total_weight)


@takes_bfloat16
def cross_entropy_total(x, target, weight, ignore_index, label_smoothing, count):
    """(the sum of the losses / divisor, logp like x, the divisor): `count`, or for None the targets' weights' sum."""
    return summed(*cross_entropy_forward(x, target, weight, ignore_index, label_smoothing), count)


@takes_bfloat16
def cross_entropy_backward(grad_loss, divisor, logp, target, weight, ignore_index, label_smoothing, dtype):
    """grad_x like logp, in `dtype`; grad_loss is () or one number for each target, of the loss / divisor."""
    grad_loss = grad_loss if divisor is None else grad_loss / divisor
    last = channels_last(logp)  # (N, ..., C)
    grad_x = empty(last.shape, dtype)  # laid out as logp
    matrix, out = _matrix(logp), bits(grad_x).reshape(-1, logp.shape[1])
    labels, classes = as_labels(target), class_weights(weight, logp.shape[1], logp.dtype)
    upstream = np.ascontiguousarray(np.broadcast_to(grad_loss, target.shape)).reshape(-1)  # one for each target
    smooth = label_smoothing / logp.shape[1]

    def work(start, stop):
        s = slice(start, stop)
        options = ignore_index, label_smoothing, smooth
        wrong = _gradients(upstream[s], matrix[s], labels[s], classes, *options, out[s])
        check_label("cross_entropy", labels[s], wrong, logp.shape[1])

    threads.run_chunks(work, len(matrix), 1024 // logp.shape[1])
    return behind_channels(grad_x)


def _matrix(logp):
    return channels_last(logp).reshape(math.prod(logp.shape) // logp.shape[1], logp.shape[1])


@jit
def _losses(logp, labels, weight, ignore_index, label_smoothing, smooth, loss):
    """loss = (1 - s) * w_t * -logp[t] + s/C * sum_c w_c * -logp[c]; a class that weighs nothing may be impossible.

    Returns the index of a label that is out of range, or -1.
    """
    for i in range(len(logp)):
        t, total = labels[i], 0.0
        if t != ignore_index:
            if not 0 <= t < len(weight):  # such an index would read elsewhere
                return i
            if label_smoothing < 1 and weight[t] != 0:
                total -= (1 - label_smoothing) * weight[t] * logp[i, t]
            if smooth > 0:
                for c in range(len(weight)):
                    if weight[c] != 0:
                        total -= smooth * weight[c] * logp[i, c]  # every class counts a little
        loss[i] = total
    return -1


@jit
def _gradients(grad_loss, logp, labels, weight, ignore_index, label_smoothing, smooth, grad_x):
    """grad_x = g * (q * e^logp - p). Returns the index of a label that is out of range, or -1."""
    weights = 0.0  # the sum of all classes'
    for w in weight:
        weights += w
    row = np.empty(len(weight), logp.dtype)  # before it is rounded
    for i in range(len(logp)):
        t, g = labels[i], grad_loss[i]
        if t == ignore_index:  # 0, or NaN where the upstream gradient is
            g, t = logp.dtype.type(0) * g, 0
        if not 0 <= t < len(weight):
            return i
        at_target = (1 - label_smoothing) * weight[t]
        q = logp.dtype.type(smooth * weights + at_target)  # what all classes' targets sum to
        for c in range(len(weight)):
            row[c] = g * (q * np.exp(logp[i, c]) - logp.dtype.type(smooth) * weight[c])
        row[t] -= g * logp.dtype.type(at_target)  # the target's own class
        for c in range(len(weight)):
            grad_x[i, c] = narrowed(row[c], grad_x)
    return -1
