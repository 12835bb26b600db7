"""The sums of the columns of a matrix (rows, C): what a bias's gradient is, in one pass over memory (1e).

A few rows at a time in the matrix's own precision, so that small numbers meet small sums; these sums in double.
"""

import numpy as np

from minicnn.ops.summation import FEW
from minicnn.precision import wide, wide_dtype

from ..machine import threads
from ..machine.bfloat16 import bits, real, widened
from ..machine.jit import jit

BLOCK_ROWS = 48  # 12 additions in the matrix's own precision, one after the other; many more would lose digits


def column_sums(matrix):
    """(C,): each column of a matrix (rows, C), C-contiguous, summed; of bfloat16 numbers a sum is float32."""
    if len(matrix) <= FEW:  # no digits are lost, and NumPy is sooner there
        return wide(matrix).sum(axis=0)
    dtype, matrix = wide_dtype(matrix.dtype), bits(matrix)
    chunks = threads.chunks(len(matrix), threads.LEAST // max(1, matrix.shape[1]))
    sums = np.zeros((len(chunks), matrix.shape[1]))  # (chunks, C), float64
    threads.run(lambda i: _add_up(matrix[slice(*chunks[i])], sums[i]), len(chunks))
    return sums.sum(axis=0).astype(dtype)


@jit
def _add_up(matrix, total):
    """total (C,) float64 += the sum of the rows, four at a time."""
    count, columns = matrix.shape
    few = np.empty(columns, real(matrix))  # the sums of BLOCK_ROWS rows
    for first in range(0, count, BLOCK_ROWS):
        last = min(first + BLOCK_ROWS, count)
        few[:] = 0
        for i in range(first, last - 3, 4):
            for c in range(columns):
                a, b, c_, d = matrix[i, c], matrix[i + 1, c], matrix[i + 2, c], matrix[i + 3, c]
                few[c] += (widened(a) + widened(b)) + (widened(c_) + widened(d))
        for i in range(last - (last - first) % 4, last):  # fewer than four rows are left
            for c in range(columns):
                few[c] += widened(matrix[i, c])
        for c in range(columns):
            total[c] += few[c]  # in double
