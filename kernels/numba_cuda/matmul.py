"""Matrix products, c (I, J) = a (I, K) @ b (K, J) + bias (J,), in tiles: matmul_shared, the third rung of
kernels/cuda/matmul.cu, whose next four rungs are faster."""

import math

from .launch import TILE, T, bool_, contiguous, cuda, device, empty, kernel, optional

PITCH = TILE + 1  # the length of a tile's rows: the numbers of a column lie in different banks of shared memory


def multiply(a, b, bias=None, *, a_is_transposed=False, b_is_transposed=False):
    """c (I, J) = a (I, K) @ b (K, J) + bias (J,); a transposed factor is given as (K, I), or as (J, K)."""
    rows, columns = a.shape[1 if a_is_transposed else 0], b.shape[0 if b_is_transposed else 1]
    c = empty(a, (rows, columns))
    grid = math.ceil(rows / TILE), math.ceil(columns / TILE)  # a grid may be far longer along x than along y
    matmul_shared[grid, (TILE, TILE)](
        contiguous(a), contiguous(b), contiguous(bias), c, a_is_transposed, b_is_transposed
    )
    return c


@kernel
def matmul_shared(
    a: T[:, :], b: T[:, :], bias: optional(T[:]), c: T[:, :], a_is_transposed: bool_, b_is_transposed: bool_
):
    """
    Threads   block (TILE, TILE), one thread for each result; neighbouring threads have neighbouring columns
    Memory    a TILE x TILE tile of a and one of b at a time, each fetched coalesced and once for TILE threads that
              need it; neighbouring threads write neighbouring results
    Shared    the two tiles. The first barrier: they are whole before they are read; the second: they are read before
              the next ones overwrite them. The loop runs as often for every thread, and beyond an edge zeros are
              fetched, so that every thread reaches every barrier
    Launch    grid (ceil(I / TILE), ceil(J / TILE))
    Bound by  shared memory: two numbers read for each multiply-add
    """
    rows, columns = c.shape
    depth = a.shape[0] if a_is_transposed else a.shape[1]  # K
    a_tile = cuda.shared.array((TILE, PITCH), a.dtype)
    b_tile = cuda.shared.array((TILE, PITCH), a.dtype)
    x, y = cuda.threadIdx.x, cuda.threadIdx.y  # [0, TILE)
    i0, j0 = cuda.blockIdx.x * TILE, cuda.blockIdx.y * TILE  # first row and column of the thread block's results
    total = a.dtype.type(0)
    for k0 in range(0, depth, TILE):  # TILE columns of a, TILE rows of b
        fetch(a_tile, a, i0, k0, a_is_transposed)
        fetch(b_tile, b, k0, j0, b_is_transposed)
        cuda.syncthreads()
        for k in range(TILE):
            total += a_tile[y, k] * b_tile[k, x]
        cuda.syncthreads()
    i, j = i0 + y, j0 + x  # this thread's result
    if i < rows and j < columns:
        if bias is not None:
            total += bias[j]
        c[i, j] = total


@device
def fetch(tile, matrix, row, column, is_transposed):
    """tile[r, s] = matrix[row + r, column + s], or 0 beyond an edge. Neighbouring threads go along the rows of what
    is stored, which is the transpose of the matrix if it `is_transposed`."""
    x, y = cuda.threadIdx.x, cuda.threadIdx.y  # [0, TILE)
    zero = matrix.dtype.type(0)
    if is_transposed:
        inside = column + y < matrix.shape[0] and row + x < matrix.shape[1]
        tile[x, y] = matrix[column + y, row + x] if inside else zero  # neighbours write down a column: see PITCH
    else:
        inside = row + y < matrix.shape[0] and column + x < matrix.shape[1]
        tile[y, x] = matrix[row + y, column + x] if inside else zero  # neighbours write along a row
