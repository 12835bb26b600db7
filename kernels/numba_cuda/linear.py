"""Linear layers; mirrors minicnn/ops/linear.py (its matmul is the array library's own): products, and column sums."""

import math

from minicnn.kernels.arguments import as_rows
from minicnn.ops.linear import weight_as_factor as weight_as_factor

from .launch import TILE, T, contiguous, cuda, empty, kernel
from .matmul import multiply
from .reduction import add


def linear_forward(x, weight, bias):
    """y (..., OC) = x @ weight^T + bias."""
    return multiply(as_rows(x), weight, bias, b_is_transposed=True).reshape(*x.shape[:-1], len(weight))


def linear_grad_x(grad_out, weight):
    """grad_x (..., C) = grad_out @ weight."""
    return multiply(as_rows(grad_out), weight).reshape(*grad_out.shape[:-1], weight.shape[1])


def linear_grad_weight(grad_out, x):
    """grad_weight (OC, C) = grad_out^T @ x, summed over the leading axes."""
    return multiply(as_rows(grad_out), as_rows(x), a_is_transposed=True)


def linear_grad_bias(grad_out):
    """grad_bias (OC,) = grad_out summed over the leading axes."""
    rows = contiguous(as_rows(grad_out))  # (rows, OC)
    sums = empty(grad_out, rows.shape[1:])
    column_sums[math.ceil(len(sums) / TILE), (TILE, TILE)](rows, sums)
    return sums


@kernel
def column_sums(x: T[:, :], y: T[:]):
    """y (columns,) = x (rows, columns) summed over the rows.

    Threads   a thread block has TILE neighbouring columns; its thread (x, y) sums rows y, y + TILE, ... of column x,
              and then thread (x, 0) the TILE partial sums, always in the same order: the result repeats bit for bit
    Memory    neighbouring threads read neighbouring numbers of a row, coalesced
    Shared    the TILE x TILE partial sums, with one barrier that every thread reaches (a column beyond the edge
              counts 0)
    Launch    grid ceil(columns / TILE), block (TILE, TILE)
    Bound by  memory: 1 addition for each number
    """
    rows, columns = x.shape
    partial = cuda.shared.array((TILE, TILE), x.dtype)
    across, down = cuda.threadIdx.x, cuda.threadIdx.y  # [0, TILE)
    column = cuda.blockIdx.x * TILE + across  # [0, columns)
    total, lost = x.dtype.type(0), x.dtype.type(0)
    if column < columns:
        for row in range(down, rows, TILE):  # [0, rows)
            total, lost = add(total, lost, x[row, column])
    partial[down, across] = total  # 0 beyond the edge
    cuda.syncthreads()
    if down == 0 and column < columns:
        for other in range(1, TILE):
            total += partial[other, across]
        y[column] = total
