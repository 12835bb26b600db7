"""Negative log-likelihood of x (N, C, inner), logarithms of probabilities, and target (N * inner,); mirrors
minicnn/ops/nll_loss.py. Labels and class weights are on the GPU here.

   forward   loss = -w_t * x[t],  counted = w_t, 0 for an ignored target
   backward  grad_x[c] = -grad_loss * w_t where c is the label t, else 0

A label t out of range makes its loss NaN, and the lowest of them is left in `wrong` for the host to find.

Threads   forward one for each target, backward one for each of x's elements: grid-stride loops, right for any grid
Memory    forward: of x, one number for each target, somewhere; backward: every write is coalesced, and neighbours read
          the same label, or neighbouring ones
Launch    thread blocks of THREADS
Bound by  memory: backward writes grad_x once
"""

import math

import numpy as np

from minicnn.kernels.labels import as_labels, wrong_label
from minicnn.ops.summation import total

from .launch import THREADS, T, blocks, contiguous, cuda, empty, folded, int64, kernel, optional

NAN = np.float32(math.nan)
T3 = T[:, :, :]  # (N, C, inner)
Weights = optional(T[:])  # of the classes


def nll_loss_forward(x, target, weight, ignore_index):
    """(loss of each target, the sum of the targets' weights)."""
    loss, counted = empty(x, target.shape), empty(x, target.shape)
    inputs = folded(x, 3), folded(as_labels(target), 1), contiguous(weight)
    outputs = folded(loss, 1), folded(counted, 1), wrong_label("nll_loss", x)
    nll_loss_forward_kernel[blocks(target.size), THREADS](*inputs, *outputs, ignore_index)
    return loss, total(counted, tuple(range(counted.ndim)))


def nll_loss_backward(grad_loss, x_shape, target, weight, ignore_index):
    """grad_x, of x's shape; grad_loss is () or one number for each target."""
    grad_x, stride = empty(grad_loss, x_shape), min(1, grad_loss.ndim)
    arrays = folded(as_labels(target), 1), contiguous(weight), folded(grad_x, 3)
    nll_loss_backward_kernel[blocks(grad_x.size), THREADS](folded(grad_loss, 1), stride, *arrays, ignore_index)
    return grad_x


@kernel
def nll_loss_forward_kernel(
    x: T3, target: int64[:], weight: Weights, loss: T[:], counted: T[:], wrong: int64[:], ignore: int64
):
    """loss = -w * x[label] and counted, w, of each target; `ignore` is ignore_index."""
    zero, C, inner = x.dtype.type(0), x.shape[1], x.shape[2]
    for t in range(cuda.grid(1), target.size, cuda.gridsize(1)):  # [0, N * inner)
        label = target[t]
        loss[t] = counted[t] = zero
        if label != ignore:
            if 0 <= label < C:
                w = x.dtype.type(1) if weight is None else weight[label]
                counted[t] = w
                if w != zero:  # 0 times minus infinity would be NaN
                    loss[t] = -w * x[t // inner, label, t % inner]
            else:
                loss[t] = x.dtype.type(NAN)
                cuda.atomic.min(wrong, 0, label)


@kernel
def nll_loss_backward_kernel(
    grad_loss: T[:], stride: int64, target: int64[:], weight: Weights, grad_x: T3, ignore: int64
):
    """grad_x of each score. grad_loss has one number for each target (stride 1), or one for all (stride 0)."""
    zero, C, inner = grad_x.dtype.type(0), grad_x.shape[1], grad_x.shape[2]
    for i in range(cuda.grid(1), grad_x.size, cuda.gridsize(1)):  # [0, N * C * inner)
        n, c, pixel = i // inner // C, i // inner % C, i % inner
        t = n * inner + pixel  # [0, N * inner)
        grad = zero
        if c == target[t] and c != ignore:
            w = grad_x.dtype.type(1) if weight is None else weight[c]
            if w != zero:
                grad = -grad_loss[t * stride] * w
        grad_x[n, c, pixel] = grad
