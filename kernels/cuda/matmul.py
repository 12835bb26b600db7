"""Launches matmul.cu: the ladder by name, and the best of it for the ops that are matrix products."""

import math

from minicnn.precision import rounding

from . import hopper, split, tensor_cores
from .launch import Kernel, empty

# How many rows and columns of the result a thread block works out, its threads, and whether blockIdx.x counts rows
LADDER = {
    "matmul_naive": (16, 16, (16, 16), True),
    "matmul_coalesced": (8, 32, (32, 8), False),
    "matmul_shared": (16, 16, (16, 16), False),
    "matmul_register": (64, 64, (16, 16), True),
    "matmul_vector": (64, 64, (16, 16), True),
    "matmul_double": (64, 64, (16, 16), True),
    "matmul_large": (128, 128, (16, 16), True),
    "matmul_split": (128, 128, (16, 16), True),
}
SHORTEST, MULTIPLE = 256, 8  # terms of a part of a sum: fewer are not worth adding up; the depth of a tile
_kernels = {name: Kernel("matmul.cu", name) for name in LADDER}


def multiply(a, b, bias=None, *, a_is_transposed=False, b_is_transposed=False, kernel=None):
    """c (I, J) = a (I, K) @ b (K, J) + bias (J,); a transposed factor is given as (K, I), or as (J, K).

    kernel: a rung of the LADDER, or "product_hopper", for bfloat16 (hopper.py); None takes the best for the sizes and,
            for float32, the precision (precision.py).
    """
    if kernel == "product_hopper" or (kernel is None and hopper.is_chosen(a)):
        return hopper.multiply(a, b, bias, a_is_transposed=a_is_transposed, b_is_transposed=b_is_transposed)
    if kernel is None and (precision := rounding(a)):
        transposed = {"a_is_transposed": a_is_transposed, "b_is_transposed": b_is_transposed}
        return tensor_cores.multiply(a, b, bias, precision, **transposed)
    (rows, depth), a_strides = _as_stored(a, a_is_transposed)  # (I, K)
    (_, columns), b_strides = _as_stored(b, b_is_transposed)  # (K, J)
    c = empty(a, (rows, columns))
    kernel = kernel or _best(rows, columns, depth)
    *_, block, rows_first = LADDER[kernel]
    grid = _blocks(kernel, rows, columns)
    grid = grid if rows_first else grid[::-1]  # blockIdx.x, blockIdx.y
    parts = ()
    if kernel == "matmul_split":
        splits, length = split.cut(depth, math.prod(grid), SHORTEST, MULTIPLE)
        parts = *split.parts_of_sums(a, math.prod(grid), splits, 128 * 128), length
        grid = *grid, splits
    _kernels[kernel][grid, block](a, b, bias, c, rows, columns, depth, *a_strides, *b_strides, *parts)
    return c


def _best(rows, columns, depth):
    """The rung with the largest tiles that leaves enough thread blocks for a whole GPU."""
    tiles = math.prod(_blocks("matmul_large", rows, columns))
    if tiles >= split.BUSY:
        return "matmul_large"
    # tiles half empty are no gain
    worth = min(rows, columns) > 64 and tiles * (depth // SHORTEST) >= split.BUSY
    return "matmul_split" if worth else "matmul_double"


def _blocks(kernel, rows, columns):
    of_rows, of_columns, *_ = LADDER[kernel]  # of a thread block
    return math.ceil(rows / of_rows), math.ceil(columns / of_columns)


def _as_stored(matrix, is_transposed):
    """(shape, strides in elements) of the factor that `matrix` (or its transpose) is."""
    shape, strides = matrix.shape, (matrix.shape[1], 1)
    return (shape[::-1], strides[::-1]) if is_transposed else (shape, strides)
