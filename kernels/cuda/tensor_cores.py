"""Launches tensor_cores.cu: products of float32 arrays whose factors are rounded."""

import math

from minicnn.device import DeviceError
from minicnn.emulated import EmulatedArray
from minicnn.precision import BFLOAT16, rounding

from .launch import CudaFile, empty
from .source import TENSOR_TYPES
from .split import cut, parts_of_sums

products = CudaFile("tensor_cores.cu")
ROWS, COLUMNS = 128, 128  # results of a thread block, as in tensor_pipeline.cuh; ROWS is its number of threads, too
STAGES, TILE_BYTES = 4, 64  # likewise: tiles in shared memory, and what each has of a row
SHORTEST = 512  # terms: fewer are not worth a split of their own
VECTOR, STEP = 16, 32  # bytes: what is copied at once, and what an instruction takes of a row
MOST_BATCHES = 65535  # of a grid; a thread block goes on to the next ones


def multiply(a, b, bias, precision, *, a_is_transposed=False, b_is_transposed=False, kernel="product_pipelined"):
    """c (I, J) = a (I, K) @ b (K, J) + bias (J,), all float32; a transposed factor is given as (K, I), or as (J, K)."""
    a = packed_matrix(a, precision, a_is_transposed)  # (I, pitch)
    b = packed_matrix(b, precision, not b_is_transposed)  # (J, pitch)
    (rows, pitch), columns = a.shape, len(b)  # both have k as their last axis
    c = empty(a, (rows, columns), "float32")
    if kernel == "product_naive":
        grid = math.ceil(columns / 8), math.ceil(rows / 16)
        products.product_naive[grid, 32](a, b, bias, c, rows, columns, pitch)
        return c
    grid = math.ceil(columns / COLUMNS), math.ceil(rows / ROWS)
    splits, length = cut(pitch, math.prod(grid), SHORTEST, TILE_BYTES // a.dtype.itemsize)
    parts = parts_of_sums(c, math.prod(grid), splits, ROWS * COLUMNS)
    numbers = rows, columns, pitch, length
    products.product_pipelined[(*grid, splits), ROWS](a, b, bias, c, *parts, *numbers, shared=shared_bytes(COLUMNS))
    return c


def tensor_precision(array):
    """In which precision tensor cores multiply such arrays: bfloat16, what float32 ones are rounded to now, or None."""
    return "bfloat16" if array.dtype == BFLOAT16 else rounding(array)


def shared_bytes(columns):
    """Of the tiles of a thread block that has so many columns."""
    return STAGES * (ROWS + columns) * TILE_BYTES


def packed_matrix(matrix, precision, is_transposed):
    """(rows, pitch) of `matrix`, or of its transpose."""
    rows, columns = matrix.shape[::-1] if is_transposed else matrix.shape
    strides = (1, rows) if is_transposed else (columns, 1)
    return packed(matrix, precision, 1, rows, columns, 0, *strides, unit=STEP).reshape(rows, -1)


def packed(x, precision, batches, rows, columns, *strides, parts=1, unit=VECTOR):
    """(batches, rows, parts * pitch) in the precision's type, the pitch a multiple of `unit` bytes.

    strides  of the batches, rows and columns in x, in elements; a part's columns come after those of the one before
    """
    check_gpu(x, precision)
    dtype = TENSOR_TYPES[precision]
    pitch = max(1, math.ceil(columns * dtype.itemsize / unit)) * unit // dtype.itemsize
    y = empty(x, (batches, rows, parts * pitch), dtype)
    grid = math.ceil(rows / 32), math.ceil(pitch / 32), min(batches * parts, MOST_BATCHES)
    products.pack[grid, (32, 8)](x, y, batches, rows, parts, columns, pitch, *strides)
    return y


def check_gpu(array, precision):
    if not isinstance(array, EmulatedArray) and int(array.device.compute_capability) < 80:
        raise DeviceError(
            f"precision {precision!r} needs tensor cores of compute capability 8.0 or newer, this GPU has "
            f"{array.device.compute_capability[:-1]}.{array.device.compute_capability[-1]}; use precision 'float32'"
        )
