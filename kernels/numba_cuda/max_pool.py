"""Max-pooling of N * C planes; mirrors minicnn/ops/max_pool.py.

Threads   one for each number that is written, in a grid-stride loop: forward an output, backward an input pixel, which
          collects from the windows that it lies in (a gather: nobody else writes there, so no atomics)
Memory    neighbouring threads write neighbouring numbers and read them a stride apart; windows overlap, and what they
          share comes from the cache; no shared memory, no barrier
Launch    blocks of THREADS, one for each THREADS numbers
Bound by  memory: KH * KW comparisons for each number written

Output (i, j) sees rows i * SH - PT + u * DH, u in [0, KH), and columns likewise; what lies outside is skipped.
"""

import math

from numba.types import uint8

from .launch import T, cuda, device, empty, int32, int64, kernel
from .windows import before, fill, output_of, place

T3, Int = T[:, :, :], int64
Taps, WideTaps = uint8[:, :, :], int32[:, :, :]  # winners, where a window has up to 256 taps, and more


def max_pool2d_forward(x, kernel, stride, padding, dilation, out_size):
    """y (N, C, OH, OW): the maximum of each window."""
    y = empty(x, (*x.shape[:2], *out_size))
    return fill(max_pool2d_forward_kernel, [x], y, *kernel, *stride, *before(padding), *dilation)


def max_pool2d_winners(x, y, kernel, stride, padding, dilation):
    """winners (N, C, OH, OW) uint8 (int32 where a window has more than 256 taps): for each window, the first tap
    u*KW + v that sees its maximum y."""
    one_byte = kernel[0] * kernel[1] <= 256
    winners = empty(x, y.shape, "uint8" if one_byte else "int32")
    run = max_pool2d_winners_kernel if one_byte else max_pool2d_winners_wide
    return fill(run, [x], winners, *kernel, *stride, *before(padding), *dilation)


def max_pool2d_forward_and_winners(x, kernel, stride, padding, dilation, out_size):
    """(y, winners)."""
    y = max_pool2d_forward(x, kernel, stride, padding, dilation, out_size)
    return y, max_pool2d_winners(x, y, kernel, stride, padding, dilation)


def max_pool2d_backward(grad_out, winners, x_shape, kernel, stride, padding, dilation):
    """grad_x (N, C, H, W): each pixel collects the gradients of the windows that it won."""
    grad_x = empty(grad_out, x_shape)
    run = max_pool2d_backward_kernel if winners.dtype == "uint8" else max_pool2d_backward_wide
    return fill(run, [grad_out, winners], grad_x, *kernel, *stride, *before(padding), *dilation)


@device
def better(value, best):
    """The first of equals wins, but the last NaN."""
    return value > best or value != value


@kernel
def max_pool2d_forward_kernel(x: T3, y: T3, KH: Int, KW: Int, SH: Int, SW: Int, PT: Int, PL: Int, DH: Int, DW: Int):
    _, H, W = x.shape
    _, OH, OW = y.shape
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):  # [0, planes * OH * OW)
        plane, row, column = place(i, OH, OW)
        best = x.dtype.type(-math.inf)
        for u in range(KH):
            for v in range(KW):
                h, w = row * SH - PT + u * DH, column * SW - PL + v * DW
                if 0 <= h < H and 0 <= w < W and better(x[plane, h, w], best):
                    best = x[plane, h, w]
        y[plane, row, column] = best


@device
def winner(x, plane, row, column, KH, KW, SH, SW, PT, PL, DH, DW):
    """Which tap u * KW + v of an output's window won; where all is -infinity, the first tap behind the padding."""
    _, H, W = x.shape
    best = x.dtype.type(-math.inf)
    before_h, before_w = max(0, PT - row * SH), max(0, PL - column * SW)
    first = (before_h + DH - 1) // DH * KW + (before_w + DW - 1) // DW
    for u in range(KH):
        for v in range(KW):
            h, w = row * SH - PT + u * DH, column * SW - PL + v * DW
            if 0 <= h < H and 0 <= w < W and better(x[plane, h, w], best):
                best = x[plane, h, w]
                first = u * KW + v
    return first


@kernel
def max_pool2d_winners_kernel(
    x: T3, winners: Taps, KH: Int, KW: Int, SH: Int, SW: Int, PT: Int, PL: Int, DH: Int, DW: Int
):
    """One byte for each window, a quarter of what an int would cost to write and to read again."""
    for i in range(cuda.grid(1), winners.size, cuda.gridsize(1)):  # [0, planes * OH * OW)
        plane, row, column = place(i, winners.shape[1], winners.shape[2])
        winners[plane, row, column] = winner(x, plane, row, column, KH, KW, SH, SW, PT, PL, DH, DW)


@kernel
def max_pool2d_winners_wide(
    x: T3, winners: WideTaps, KH: Int, KW: Int, SH: Int, SW: Int, PT: Int, PL: Int, DH: Int, DW: Int
):
    for i in range(cuda.grid(1), winners.size, cuda.gridsize(1)):  # [0, planes * OH * OW)
        plane, row, column = place(i, winners.shape[1], winners.shape[2])
        winners[plane, row, column] = winner(x, plane, row, column, KH, KW, SH, SW, PT, PL, DH, DW)


@device
def won(grad_out, winners, plane, row, column, KH, KW, SH, SW, PT, PL, DH, DW):
    """What a pixel collects from the windows that it won."""
    _, OH, OW = grad_out.shape
    total = grad_out.dtype.type(0)
    for u in range(KH):
        for v in range(KW):
            i, j = output_of(row, u, SH, PT, DH, OH), output_of(column, v, SW, PL, DW, OW)
            if i >= 0 and j >= 0 and winners[plane, i, j] == u * KW + v:
                total += grad_out[plane, i, j]
    return total


@kernel
def max_pool2d_backward_kernel(
    grad_out: T3, winners: Taps, grad_x: T3, KH: Int, KW: Int, SH: Int, SW: Int, PT: Int, PL: Int, DH: Int, DW: Int
):
    for i in range(cuda.grid(1), grad_x.size, cuda.gridsize(1)):  # [0, planes * H * W)
        plane, row, column = place(i, grad_x.shape[1], grad_x.shape[2])
        grad_x[plane, row, column] = won(grad_out, winners, plane, row, column, KH, KW, SH, SW, PT, PL, DH, DW)


@kernel
def max_pool2d_backward_wide(
    grad_out: T3, winners: WideTaps, grad_x: T3, KH: Int, KW: Int, SH: Int, SW: Int, PT: Int, PL: Int, DH: Int, DW: Int
):
    for i in range(cuda.grid(1), grad_x.size, cuda.gridsize(1)):  # [0, planes * H * W)
        plane, row, column = place(i, grad_x.shape[1], grad_x.shape[2])
        grad_x[plane, row, column] = won(grad_out, winners, plane, row, column, KH, KW, SH, SW, PT, PL, DH, DW)
