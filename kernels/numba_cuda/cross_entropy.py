"""Cross-entropy of logp (N, C, inner), the logarithms of the probabilities, and target (N * inner,); mirrors
minicnn/ops/cross_entropy.py. Labels and class weights are on the GPU here.

   p[c] = (1 - smoothing) * w_t * [c = t] + smoothing / C * w_c      the weight of class c's -logp, 0 for an ignored
                                                                     target
   forward   loss = -sum of p[c] * logp[c],  counted = w_t, 0 for an ignored target
   backward  grad_x[c] = grad_loss * (sum of p * e^logp[c] - p[c])

A label t out of range makes its loss NaN, and the lowest of them is left in `wrong` for the host to find.

Threads   a thread block for each of the N * inner targets; its threads take classes t, t + THREADS, ...
Memory    coalesced where inner = 1; otherwise neighbouring threads read `inner` apart
Shared    one number for each thread (reduction.py): every thread reaches the barriers there, with classes or without
Launch    grid N * inner, block THREADS
Bound by  memory: logp is read once and grad_x written once, for about 5 operations
"""

import math

import numpy as np

from minicnn.kernels.labels import as_labels, wrong_label
from minicnn.ops.cross_entropy import as_scores, summed
from minicnn.ops.summation import total

from .launch import THREADS, T, contiguous, cuda, device, empty, exp, folded, int64, kernel, optional
from .reduction import add, block_sum
from .softmax import log_softmax_forward

NAN = np.float32(math.nan)
T3 = T[:, :, :]  # (N, C, inner)
Weights = optional(T[:])  # of the classes


def cross_entropy_forward(x, target, weight, ignore_index, label_smoothing):
    """(loss of each target, logp like x, the sum of the targets' weights)."""
    logp = log_softmax_forward(x, 1)
    loss, counted = empty(x, target.shape), empty(x, target.shape)
    arrays = (
        folded(logp, 3),
        folded(as_labels(target), 1),
        contiguous(weight),
        folded(loss, 1),
        folded(counted, 1),
        wrong_label("cross_entropy", x),
    )
    cross_entropy_forward_kernel[target.size, THREADS](*arrays, ignore_index, label_smoothing)
    return loss, logp, total(counted, tuple(range(counted.ndim)))


def cross_entropy_total(x, target, weight, ignore_index, label_smoothing, count):
    """(the sum of the losses / divisor, logp like x, the divisor): `count`, or for None the targets' weights' sum."""
    return summed(*cross_entropy_forward(x, target, weight, ignore_index, label_smoothing), count)


def cross_entropy_backward(grad_loss, divisor, logp, target, weight, ignore_index, label_smoothing, dtype):
    """grad_x like logp, in `dtype`; grad_loss is () or one number for each target, of the loss / divisor."""
    grad_loss = grad_loss if divisor is None else grad_loss / divisor
    grad_x, stride = empty(logp, logp.shape), min(1, grad_loss.ndim)
    arrays = folded(logp, 3), folded(as_labels(target), 1), contiguous(weight), folded(grad_x, 3)
    settings = ignore_index, label_smoothing
    cross_entropy_backward_kernel[target.size, THREADS](folded(grad_loss, 1), stride, *arrays, *settings)
    return as_scores(grad_x, dtype)


@kernel
def cross_entropy_forward_kernel(
    logp: T3, target: int64[:], weight: Weights, loss: T[:], counted: T[:], wrong: int64[:], ignore: int64, smoothing: T
):
    """loss = -sum of p * logp and counted, the target's weight, of each target; `ignore` is ignore_index."""
    partial = cuda.shared.array(THREADS, logp.dtype)
    real, C, inner = logp.dtype.type, logp.shape[1], logp.shape[2]
    t = cuda.blockIdx.x  # [0, N * inner)
    n, i, label = t // inner, t % inner, target[t]
    ignored, known = label == ignore, 0 <= label < C
    each, at_label = smoothing / real(C), real(1) - smoothing
    if ignored:
        each = at_label = real(0)
    total, lost = real(0), real(0)
    for c in range(cuda.threadIdx.x, C, THREADS):  # [0, C)
        p = class_weight(c, label, weight, each, at_label)
        if p != real(0):  # 0 times minus infinity would be NaN
            total, lost = add(total, lost, -p * logp[n, c, i])
    total = block_sum(total, partial)
    if cuda.threadIdx.x == 0:
        if ignored or known:
            loss[t] = total
        else:
            loss[t] = real(NAN)
            cuda.atomic.min(wrong, 0, label)
        if ignored or not known:
            counted[t] = real(0)
        elif weight is None:
            counted[t] = real(1)
        else:
            counted[t] = weight[label]


@kernel
def cross_entropy_backward_kernel(
    grad_loss: T[:], stride: int64, logp: T3, target: int64[:], weight: Weights, grad_x: T3, ignore: int64, smoothing: T
):
    """grad_x of each score. grad_loss has one number for each target (stride 1), or one for all (stride 0)."""
    partial = cuda.shared.array(THREADS, logp.dtype)
    real, C, inner = logp.dtype.type, logp.shape[1], logp.shape[2]
    t = cuda.blockIdx.x  # [0, N * inner)
    n, i, label = t // inner, t % inner, target[t]
    each, at_label = smoothing / real(C), real(1) - smoothing
    if label == ignore:
        each = at_label = real(0)
    total, lost = real(0), real(0)
    for c in range(cuda.threadIdx.x, C, THREADS):  # [0, C)
        total, lost = add(total, lost, class_weight(c, label, weight, each, at_label))
    total = block_sum(total, partial)
    for c in range(cuda.threadIdx.x, C, THREADS):
        p = class_weight(c, label, weight, each, at_label)
        grad_x[n, c, i] = grad_loss[t * stride] * (total * exp(logp[n, c, i]) - p)


@device
def class_weight(c, label, weight, each, at_label):
    """p[c], of a label's class `at_label` more than `each`, times the class's weight."""
    p = each + at_label if c == label else each
    if weight is None:
        return p
    return p * weight[c]
