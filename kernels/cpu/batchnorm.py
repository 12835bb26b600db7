"""Batch norm in as few passes over memory as it can be; mirrors minicnn/ops/batchnorm.py.

x is seen as a matrix (M, C), one row for each pixel, so that the loops over channels run along memory and the C values
of mean, scale, ... stay in the cache. What counts is how often the large arrays cross the bus (e: the bytes of one):

                                      reads              writes             sum
    statistics                        x                                     1e
    forward                           x [residual]       y                  2e [3e]
    sums (grad_weight, grad_bias)     grad_out x [y]     [grad_residual]    2e [4e]
    grad_x                            grad_out x         grad_x             3e

In brackets, what a residual adds in batch_norm_relu_*, which does y = relu(weight * x_hat + bias + residual) and its
gradient in the same passes; the ReLU itself costs no bytes. On their own, the sum and the ReLU would cost 3e + 2e
forward and 3e backward. grad_residual is the gradient behind the ReLU, grad_out where y > 0: the first pass backward
leaves it for the second. Without a residual nobody else wants it, and both passes work out the sign of y again from x.

The loops backward are in normalisation/gradient.py, mean and variance in normalisation/statistics.py. A convolution
before the batch norm, or behind it, does the first line, or the third, while its result is in the cache:
conv_batchnorm.py.
"""

import numpy as np

from minicnn.ops.batchnorm import inverse_std, move_running
from minicnn.precision import takes_bfloat16, wide_dtype

from .machine import memory, threads
from .machine.bfloat16 import bits, narrowed, widened
from .machine.jit import jit
from .machine.layout import behind_channels, channels_last, contiguous
from .normalisation.gradient import grad_weight_bias, gradient, scale_of, shift_of
from .normalisation.rows import least, matrix_of, some
from .normalisation.statistics import mean_and_variance


@takes_bfloat16
def batch_norm_statistics(x, running, momentum, eps):
    """(mean, inv_std) of the batch, each (C,); `running`, a pair or None, moves towards it, in place."""
    mean, var = mean_and_variance(x)
    move_running(running, mean, var, x.size // x.shape[1], momentum)
    return mean, inverse_std(var, eps)


def batch_norm_running_statistics(running_mean, running_var, eps):
    """(mean, inv_std) for evaluation, each (C,); the mean is a copy."""
    return running_mean.copy(), inverse_std(running_var, eps)


@takes_bfloat16
def batch_norm_forward(x, weight, bias, mean, inv_std):
    """y = weight * (x - mean) * inv_std + bias."""
    return _forward(x, weight, bias, mean, inv_std, None, -np.inf)


@takes_bfloat16
def batch_norm_relu_forward(x, weight, bias, mean, inv_std, residual):
    """y = max(weight * (x - mean) * inv_std + bias + residual, 0); residual: an array like x, or None."""
    return _forward(x, weight, bias, mean, inv_std, residual, 0)


@takes_bfloat16
def batch_norm_grad_weight_bias(grad_out, x, mean, inv_std):
    """(grad_weight, grad_bias), each (C,): the sums of grad_out * x_hat and of grad_out."""
    return grad_weight_bias(grad_out, x, None, None, mean, inv_std, None, None)


@takes_bfloat16
def batch_norm_grad_x(grad_out, x, weight, mean, inv_std, sums):
    """grad_x; `sums` is (grad_weight, grad_bias) in training, None in evaluation."""
    return gradient(grad_out, x, mean, inv_std, scale_of(inv_std, weight), None, sums)


@takes_bfloat16
def batch_norm_relu_backward(grad_out, x, y, weight, bias, statistics, training, residual):
    """(grad_x, grad_weight, grad_bias, grad_residual) of ``batch_norm_relu_forward``, whose result was y.

    statistics: (mean, inv_std); training: whether they depend on x; residual: whether there was one (else None of it).
    """
    mean, inv_std = statistics
    scale, shift = scale_of(inv_std, weight), shift_of(mean, bias)
    if residual:  # the first pass writes the gradient behind the ReLU, the second reads it
        behind = memory.empty_images(x.shape, x.dtype)
        sums = grad_weight_bias(grad_out, x, y, behind, mean, inv_std, None, None)
        grad_x = gradient(behind, x, mean, inv_std, scale, None, sums if training else None)
        return grad_x, *sums, behind
    sums = grad_weight_bias(grad_out, x, None, None, mean, inv_std, scale, shift)
    return gradient(grad_out, x, mean, inv_std, scale, shift, sums if training else None), *sums, None


def _forward(x, weight, bias, mean, inv_std, residual, floor):
    last = channels_last(x)
    y = memory.empty(last.shape, x.dtype)
    matrix, out = (bits(array).reshape(-1, x.shape[1]) for array in (last, y))  # (M, C)
    vectors = contiguous(mean), scale_of(inv_std, weight), shift_of(mean, bias)
    added, floor = matrix_of(residual), wide_dtype(x.dtype).type(floor)

    def work(start, stop):
        _normalise(matrix[start:stop], *vectors, some(added, start, stop), floor, out[start:stop])

    threads.run_chunks(work, len(matrix), least(matrix))
    return behind_channels(y)


@jit
def _normalise(x, mean, scale, shift, residual, floor, y):
    """y = max((x - mean) * scale + shift + residual, floor), matrices (M, C); floor: 0 for a ReLU, or -inf."""
    for i in range(len(x)):
        for c in range(len(mean)):
            v = (widened(x[i, c]) - mean[c]) * scale[c] + shift[c]
            if residual is not None:
                v += widened(residual[i, c])
            y[i, c] = narrowed(floor if v < floor else v, y)  # NaN stays
