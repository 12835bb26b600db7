"""Fully connected layers: one matrix product for each thread; mirrors minicnn/ops/linear.py.

With few rows (a batch of 64 against 4096 x 9216 weights) each product uses a weight 64 times only: it is the weights
that must be cut into chunks, so that each thread reads (or writes) its own rows of them, once. Which axis is cut:

    forward       y^T (OC, N)           = weight @ x^T         OC, or N where that is larger
    grad_x        grad_x (N, C)         = grad_out @ weight    C, or N where that is larger
    grad_weight   grad_weight (OC, C)   = grad_out^T @ x       OC, or C where that is larger

No chunk cuts the axis that is summed over, so there is nothing to add up. Forward makes y^T, since BLAS packs the large
factor better when it comes first; turning it round costs no more than adding the bias.
"""

import math

import numpy as np

from minicnn.ops.linear import weight_as_factor as weight_as_factor

from .gemm.sums import column_sums
from .machine import memory, threads
from .machine.blas import one_thread
from .machine.layout import contiguous

LEAST_MULTIPLICATIONS = 1 << 18  # below which a chunk is not worth waking a thread for
ROWS_AT_ONCE = 1 << 12  # that a product is summed over: BLAS adds a narrow one's up one by one, which costs digits


def linear_forward(x, weight, bias):
    """y (..., OC) = x @ weight^T + bias."""
    transposed = _product(contiguous(weight), _as_rows(x).T)  # y^T (OC, N)
    y = memory.empty(transposed.shape[::-1], x.dtype)
    np.add(transposed.T, x.dtype.type(0) if bias is None else bias, out=y)  # turned round, with the bias
    return y.reshape(*x.shape[:-1], len(weight))


def linear_grad_x(grad_out, weight):
    """grad_x (..., C) = grad_out @ weight."""
    return _product(_as_rows(grad_out), contiguous(weight)).reshape(*grad_out.shape[:-1], weight.shape[1])


def linear_grad_weight(grad_out, x):
    """grad_weight (OC, C) = grad_out^T @ x, summed over the leading axes."""
    grad_out, x = _as_rows(grad_out), _as_rows(x)
    if len(x) <= ROWS_AT_ONCE:  # nearly always
        return _product(grad_out.T, x)
    grad_weight = np.zeros((grad_out.shape[1], x.shape[1]))  # (OC, C), float64
    for start in range(0, len(x), ROWS_AT_ONCE):
        grad_weight += _product(grad_out[start : start + ROWS_AT_ONCE].T, x[start : start + ROWS_AT_ONCE])
    return grad_weight.astype(x.dtype)


def linear_grad_bias(grad_out):
    """grad_bias (OC,) = grad_out summed over the leading axes."""
    return column_sums(_as_rows(grad_out))


def _product(a, b):
    """a (I, K) @ b (K, J), cut along I or J."""
    out = memory.empty((a.shape[0], b.shape[1]), a.dtype)

    def work(start, stop):
        if out.shape[1] == 1:  # a matrix times a vector, which BLAS does faster if it is told
            np.dot(a[start:stop], b[:, 0], out=out[start:stop, 0])
        elif out.shape[0] > out.shape[1]:  # cut along I: rows of a
            np.matmul(a[start:stop], b, out=out[start:stop])
        else:
            np.matmul(a, b[:, start:stop], out=out[:, start:stop])  # cut along J: columns of b

    multiplications = a.shape[1] * min(out.shape)  # for one row or column
    with one_thread:  # of BLAS's own: they would fight with the threads of the pool for the cores
        threads.run_chunks(work, max(out.shape), LEAST_MULTIPLICATIONS // max(1, multiplications))
    return out


def _as_rows(array):
    """(..., C) as a matrix (rows, C)."""
    return contiguous(array).reshape(math.prod(array.shape[:-1]), array.shape[-1])
