"""Padding; mirrors minicnn/ops/pad.py.

Threads   one for each number of the result, in a grid-stride loop: thread i takes i, i + threads of the grid, and so on
Memory    every write is coalesced; the reads of a row of x are, too
Launch    thread blocks of THREADS, ceil(size / THREADS) of them
Bound by  memory: at most 1 read and 1 write a number
"""

from numba import types

from minicnn.kernels.padding import AXES, by_fours

from .launch import THREADS, T, blocks, contiguous, cuda, empty, int64, kernel

T4 = T[:, :, :, :]
Four = types.UniTuple(int64, AXES)


def pad_forward(x, padding, value):
    """y, of x's shape and (before, after) more on each axis."""
    return by_fours(_pad_four, contiguous(x), padding, value)


def _pad_four(x, shape, befores, value):
    y = empty(x, shape)
    pad_kernel[blocks(y.size), THREADS](x, y, befores, value)
    return y


@kernel
def pad_kernel(x: T4, y: T4, befores: Four, value: T):
    """y = x, moved by `befores`; `value` where there is no x."""
    B, C, D = y.shape[1], y.shape[2], y.shape[3]
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):  # [0, A * B * C * D)
        place_a, place_b, place_c, place_d = i // D // C // B, i // D // C % B, i // D % C, i % D
        a, b, c, d = place_a - befores[0], place_b - befores[1], place_c - befores[2], place_d - befores[3]
        inside = 0 <= a < x.shape[0] and 0 <= b < x.shape[1] and 0 <= c < x.shape[2] and 0 <= d < x.shape[3]
        y[place_a, place_b, place_c, place_d] = x[a, b, c, d] if inside else value
