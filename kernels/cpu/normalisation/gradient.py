"""The two passes backward: the sums for grad_weight and grad_bias, then grad_x, which is made of them.

Both take the gradient behind a ReLU, if there was one. The first pass may write it where the second finds it, and may
add another gradient to it first: so the epilogue of a convolution uses it (conv_batchnorm.py), with blocks of its own
result that are still in the cache.
"""

import numpy as np

from ..machine import memory, threads
from ..machine.bfloat16 import bits, narrowed, real, widened
from ..machine.jit import jit
from ..machine.layout import behind_channels, channels_last, contiguous
from .rows import BLOCK_ROWS, TOGETHER, chunks, folded, least, matrix_of


def scale_of(inv_std, weight):
    """What x - mean is multiplied by, (C,)."""
    return contiguous(inv_std) if weight is None else inv_std * weight


def shift_of(mean, bias):
    """What is added then, (C,)."""
    return np.zeros_like(mean) if bias is None else contiguous(bias)


def grad_weight_bias(grad_out, x, y, behind, mean, inv_std, scale, shift):
    """The sums for the gradient behind the ReLU, which is written into `behind` where y is given.

    Without y, but with scale and shift, the sign of y is worked out from x; without these, there was no ReLU.
    """
    arrays = [matrix_of(array) for array in (grad_out, x, y, behind)]  # (M, C), or None
    together = folded(arrays[1])[1]
    g, x, y, behind = (None if array is None else folded(array)[0] for array in arrays)  # (M/together, together*C)
    vectors = [None if vector is None else np.tile(vector, together) for vector in (mean, scale, shift)]
    shares = chunks(x)
    sums = np.zeros((len(shares), 2, x.shape[1]))  # of each chunk, product and plain

    def work(i):
        own = slice(*shares[i])
        if behind is None:
            add_sums(g[own], x[own], *vectors, sums[i])
        else:
            behind_and_sums(g[own], behind[own], x[own], y[own], *vectors, sums[i])

    threads.run(work, len(shares))
    return of_sums(sums.sum(axis=0).reshape(2, together, -1).sum(axis=1), inv_std)  # over chunks, rows that were one


def of_sums(sums, inv_std):
    """(grad_weight, grad_bias) of sums (2, C), those of g * (x - mean) and of g."""
    return (sums[0] * inv_std).astype(inv_std.dtype), sums[1].astype(inv_std.dtype)


def gradient(grad_out, x, mean, inv_std, scale, shift, sums):
    """grad_x; with `shift` it is that of a ReLU behind, too. Without sums, mean and inv_std do not depend on x."""
    last, matrix = channels_last(grad_out), matrix_of(x)
    grad_x = memory.empty(last.shape, x.dtype)
    g, out = (bits(array).reshape(matrix.shape) for array in (last, grad_x))  # (M, C)
    along = offset = None
    if sums is not None:  # training: what reaches x by way of inv_std and of the mean
        count = max(1, len(matrix))
        along, offset = inv_std * sums[0] / count, sums[1] / count
    vectors = contiguous(mean), scale, along, offset, shift

    def work(start, stop):
        own = slice(start, stop)
        _grad_x(g[own], matrix[own], *vectors, out[own])

    threads.run_chunks(work, len(matrix), least(matrix))
    return behind_channels(grad_x)


@jit
def behind_and_sums(grad_out, behind, x, y, mean, scale, shift, sums):
    """Make `behind` that of grad_out (without one, of what is in it), and add to sums (2, C) as below.

    The sign is y's; without y it is worked out from x. Step by step, a block in the first cache at a time: of one loop
    that reads and writes so many arrays LLVM would make no vectors, and take three times as long.
    """
    for start in range(0, len(x), BLOCK_ROWS):
        stop = min(start + BLOCK_ROWS, len(x))
        block = behind[start:stop]
        if grad_out is not None:
            _copy(grad_out[start:stop], block)
        if y is not None:
            _keep_where(block, y[start:stop])
        elif shift is not None:
            _keep_where_positive(block, x[start:stop], mean, scale, shift)
        add_sums(block, x[start:stop], mean, None, None, sums)


@jit
def _copy(x, y):
    for i in range(len(x)):
        for c in range(x.shape[1]):
            y[i, c] = x[i, c]


@jit
def _keep_where(g, y):
    """0 in g where y <= 0; a NaN lets the gradient through."""
    zero = g.dtype.type(0)
    for i in range(len(g)):
        own = g[i]
        for c in range(len(own)):
            own[c] = zero if widened(y[i, c]) <= 0 else own[c]


@jit
def _keep_where_positive(g, x, mean, scale, shift):
    """0 in g where batch norm of x is not positive."""
    zero = g.dtype.type(0)
    for i in range(len(g)):
        own = g[i]
        for c in range(len(own)):
            own[c] = zero if (widened(x[i, c]) - mean[c]) * scale[c] + shift[c] <= 0 else own[c]


@jit
def add_sums(grad_out, x, mean, scale, shift, sums):
    """Add to sums (2, C) float64: the sums of g * (x - mean) and of g, the gradient behind the ReLU.

    With scale and shift, the sign of y is worked out from x; without these there is no ReLU, or it has been seen to.
    """
    count, channels = x.shape
    product, plain = np.empty(channels, real(x)), np.empty(channels, real(x))
    for start in range(0, count, BLOCK_ROWS):
        product[:] = 0
        plain[:] = 0
        stop = min(start + BLOCK_ROWS, count)
        whole = stop - (stop - start) % TOGETHER
        for i in range(start, whole, TOGETHER):  # four rows for each time that the sums are read and written
            for c in range(channels):
                along, total = real(x)(0), real(x)(0)
                for j in range(i, i + TOGETHER):
                    g, d = _behind_relu(grad_out, x, mean, scale, shift, (j, c))
                    total += g
                    along += g * d
                plain[c] += total
                product[c] += along
        for i in range(whole, stop):  # the last rows one by one: a loop of fewer than four would be slower for all
            for c in range(channels):
                g, d = _behind_relu(grad_out, x, mean, scale, shift, (i, c))
                plain[c] += g
                product[c] += g * d
        for c in range(channels):
            sums[0, c] += product[c]
            sums[1, c] += plain[c]


@jit(forceinline=True)
def _behind_relu(grad_out, x, mean, scale, shift, place):
    """(The gradient behind the ReLU, if there is one, and the distance from the mean) at (row, channel)."""
    i, c = place
    g, d = widened(grad_out[i, c]), widened(x[i, c]) - mean[c]
    if shift is not None:  # known when this is compiled: no branch is left in the loop
        g = real(x)(0) if d * scale[c] + shift[c] <= 0 else g
    return g, d


@jit
def _grad_x(grad_out, x, mean, scale, along, offset, shift, grad_x):
    """grad_x = (g - offset - (x - mean) * along) * scale; in evaluation, without sums, g * scale."""
    for i in range(len(x)):
        for c in range(len(mean)):
            g, d = _behind_relu(grad_out, x, mean, scale, shift, (i, c))
            if along is not None:  # training
                g = g - offset[c] - d * along[c]
            grad_x[i, c] = narrowed(g * scale[c], grad_x)
