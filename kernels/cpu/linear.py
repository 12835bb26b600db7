"""Fully connected layers: one matrix product for each thread; mirrors minicnn/ops/linear.py.

With few rows (a batch of 64 against 4096 x 9216 weights) each product uses a weight 64 times only: it is the weights
that must be cut into chunks, so that each thread reads (or writes) its own rows of them, once. Which axis is cut:

    forward       y^T (OC, N)           = weight @ x^T         OC, or N where that is larger
    grad_x        grad_x (N, C)         = grad_out @ weight    C, or N where that is larger
    grad_weight   grad_weight (OC, C)   = grad_out^T @ x       OC, or C where that is larger

No chunk cuts the axis that is summed over, so there is nothing to add up. Forward makes y^T, since BLAS packs the large
factor better when it comes first; turning it round costs no more than adding the bias. Of one row it is a matrix times
a vector (gemm/vector.py).

bfloat16 is multiplied by gemm/bfloat16.py. Weights are float32, and are rounded a cache block at a time: a copy of all
of them would cross the bus twice more. The larger axis is cut here, too; with many rows, where that is theirs, it is a
convolution of images of one pixel (convolution/bfloat16.py).
"""

import math

import numpy as np

from minicnn.ops.linear import weight_as_factor as weight_as_factor
from minicnn.precision import BFLOAT16, takes_bfloat16, wide

from .conv import conv2d_forward, conv2d_grad_weight, conv2d_grad_x
from .gemm.bfloat16 import multiply16, multiply_transposed16, padded16, panels16, store_rows16
from .gemm.sums import column_sums
from .gemm.vector import times_vector
from .machine import memory, threads
from .machine.bfloat16 import bits, rounded
from .machine.blas import one_thread
from .machine.jit import jit
from .machine.kept import plain
from .machine.layout import contiguous

LEAST_MULTIPLICATIONS = 1 << 18  # below which a chunk is not worth waking a thread for
ROWS_AT_ONCE = 1 << 12  # that a product is summed over: BLAS adds a narrow one's up one by one, which costs digits
BLOCK_NUMBERS = 1 << 18  # weights that are rounded at a time: 512 KB of bfloat16, a quarter of the second cache
ROWS, RUN = 256, 1024  # weights of so many filters and channels, for grad_x: runs of 4 KB in memory
PIXELS = (1, 1), ((0, 0), (0, 0)), (1, 1), 1  # stride, padding, dilation and groups of a convolution of pixels


@takes_bfloat16
def linear_forward(x, weight, bias):
    """y (..., OC) = x @ weight^T + bias."""
    if x.dtype == BFLOAT16:
        return _forward16(_as_rows(x), plain(wide(weight)), plain(wide(bias))).reshape(*x.shape[:-1], len(weight))
    if math.prod(x.shape[:-1]) == 1:
        return times_vector(plain(weight), contiguous(x).reshape(-1), plain(bias)).reshape(*x.shape[:-1], len(weight))
    transposed = _product(plain(weight), _as_rows(x).T)  # y^T (OC, N)
    y = memory.empty(transposed.shape[::-1], x.dtype)
    np.add(transposed.T, x.dtype.type(0) if bias is None else bias, out=y)  # turned round, with the bias
    return y.reshape(*x.shape[:-1], len(weight))


@takes_bfloat16
def linear_grad_x(grad_out, weight):
    """grad_x (..., C) = grad_out @ weight."""
    if grad_out.dtype == BFLOAT16:
        return _grad_x16(_as_rows(grad_out), plain(wide(weight))).reshape(*grad_out.shape[:-1], weight.shape[1])
    return _product(_as_rows(grad_out), plain(weight)).reshape(*grad_out.shape[:-1], weight.shape[1])


@takes_bfloat16
def linear_grad_weight(grad_out, x):
    """grad_weight (OC, C) = grad_out^T @ x, summed over the leading axes."""
    grad_out, x = _as_rows(grad_out), _as_rows(x)
    if x.dtype == BFLOAT16:
        return _grad_weight16(grad_out, x)
    if len(x) <= ROWS_AT_ONCE:  # nearly always
        return _product(grad_out.T, x)
    grad_weight = np.zeros((grad_out.shape[1], x.shape[1]))  # (OC, C), float64
    for start in range(0, len(x), ROWS_AT_ONCE):
        grad_weight += _product(grad_out[start : start + ROWS_AT_ONCE].T, x[start : start + ROWS_AT_ONCE])
    return grad_weight.astype(x.dtype)


@takes_bfloat16
def linear_grad_bias(grad_out):
    """grad_bias (OC,) = grad_out summed over the leading axes."""
    return column_sums(_as_rows(grad_out))


def _product(a, b):
    """a (I, K) @ b (K, J), cut along I or J."""
    out = memory.empty((a.shape[0], b.shape[1]), a.dtype)

    def work(start, stop):
        if out.shape[0] > out.shape[1]:  # cut along I: rows of a
            np.matmul(a[start:stop], b, out=out[start:stop])
        else:
            np.matmul(a, b[:, start:stop], out=out[:, start:stop])  # cut along J: columns of b

    multiplications = a.shape[1] * min(out.shape)  # for one row or column
    with one_thread:  # of BLAS's own: they would fight with the threads of the pool for the cores
        threads.run_chunks(work, max(out.shape), LEAST_MULTIPLICATIONS // max(1, multiplications))
    return out


# bfloat16, of matrices


def _forward16(x, weight, bias):
    """y (N, OC). The rounded weights, as they lie, are the left factor, and a cache block of y^T is turned round."""
    (n, channels), filters = x.shape, len(weight)
    if n > filters:
        y = conv2d_forward(x.reshape(n, channels, 1, 1), weight.reshape(filters, channels, 1, 1), bias, *PIXELS)
        return y.reshape(n, filters)
    y = memory.empty((n, filters), x.dtype)
    b = panels16("linear.b", x.reshape(-1), 0, (1, 1, channels), (1, 1, 1), n, channels)  # x^T (C, N)
    flat, results, step = weight.reshape(-1), bits(y).reshape(-1), max(1, BLOCK_NUMBERS // max(1, channels + 2 * n))

    def work(start, stop):  # of the filters
        for first in range(start, stop, step):
            count = min(step, stop - first)
            a = memory.scratch("linear.weights", (count * channels,), np.uint16)
            _round((flat, first * channels, channels), a, (count, channels))
            sums = memory.scratch("linear.sums", (count * n,), np.float32)  # y^T
            multiply16((a, 0, channels), b, (sums, 0, n), (count, channels, n))
            _store_turned(sums.reshape(count, n), bias, (results, first, filters))

    threads.run_chunks(work, filters, LEAST_MULTIPLICATIONS // max(1, n * channels))
    return y


def _grad_x16(grad_out, weight):
    """grad_x (N, C): the sums of some columns stay in the cache while the weights pass by, a run of each filter's."""
    (n, filters), channels = grad_out.shape, weight.shape[1]
    if n > channels:
        shape, factor = (n, channels, 1, 1), weight.reshape(filters, channels, 1, 1)
        return conv2d_grad_x(grad_out.reshape(n, filters, 1, 1), shape, factor, *PIXELS).reshape(n, channels)
    grad_x = memory.empty((n, channels), grad_out.dtype)
    a = np.ascontiguousarray(bits(grad_out).T).reshape(-1)  # grad_out^T (OC, N)
    flat, results = weight.reshape(-1), bits(grad_x).reshape(-1)

    def work(start, stop):  # of the channels
        sums = memory.scratch("linear.sums", (n * RUN,), np.float32), 0, RUN
        b = memory.scratch("linear.weights", (ROWS * RUN,), np.uint16)
        for first in range(start, stop, RUN):
            count = min(RUN, stop - first)
            for row in range(0, max(1, filters), ROWS):
                some = min(ROWS, filters - row)
                _round((flat, row * channels + first, channels), b, (some, count))
                size = some, n, count
                multiply_transposed16((a, row * n, n), (b, 0, count), sums, size, row > 0)
            store_rows16(sums, None, (results, first, channels), (n, count))

    threads.run_chunks(work, channels, LEAST_MULTIPLICATIONS // max(1, n * filters))
    return grad_x


def _grad_weight16(grad_out, x):
    """grad_weight (OC, C) float32."""
    (n, filters), channels = grad_out.shape, x.shape[1]
    if n > filters:
        shape = filters, channels, 1, 1
        found = conv2d_grad_weight(grad_out.reshape(n, filters, 1, 1), x.reshape(n, channels, 1, 1), shape, *PIXELS)
        return found.reshape(filters, channels)
    wide = padded16(channels)
    sums = memory.empty((filters, wide), np.float32)  # whole panels
    gradients, rows, results = bits(grad_out).reshape(-1), bits(x).reshape(-1), sums.reshape(-1)

    def work(start, stop):  # of the filters
        size = n, stop - start, channels
        multiply_transposed16(
            (gradients, start, filters), (rows, 0, channels), (results, start * wide, wide), size, False
        )

    threads.run_chunks(work, filters, LEAST_MULTIPLICATIONS // max(1, n * channels))
    return sums if wide == channels else np.ascontiguousarray(sums[:, :channels])


@jit
def _round(weights, y, size):
    """y (rows, columns) = some rows and columns of the weights: (flat, where they begin, how far rows are apart)."""
    (x, at, row), (rows, columns) = weights, size
    for i in range(rows):
        given, to = x[at + i * row :], y[i * columns :]
        for j in range(columns):
            to[j] = rounded(given[j])


@jit
def _store_turned(sums, bias, y):
    """sums (filters, N), plus bias, into y (N, filters): a matrix as matmul.py has them, of bfloat16's bits."""
    z, at, row = y
    filters, n = sums.shape
    for i in range(n):
        for j in range(filters):
            number = sums[j, i]
            if bias is not None:
                number += bias[at + j]
            z[i * row + at + j] = rounded(number)


def _as_rows(array):
    """(..., C) as a matrix (rows, C)."""
    return contiguous(array).reshape(math.prod(array.shape[:-1]), array.shape[-1])
