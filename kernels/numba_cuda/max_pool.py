"""Max-pooling of N * C planes (images of one channel); mirrors minicnn/ops/max_pool.py.

Threads   one for each number that is written, in a grid-stride loop: forward an output, backward an input pixel, which
          collects from the windows that it lies in (a gather: nobody else writes there, so no atomics)
Memory    neighbouring threads write neighbouring numbers (coalesced) and read them SW apart; windows overlap, and what
          several of them read comes from the cache; no shared memory, no barrier
Launch    thread blocks of THREADS, one for each THREADS numbers
Bound by  memory: KH * KW comparisons for each number written

Output (i, j) sees rows i * SH - PT + u * DH, u in [0, KH), and columns likewise; what lies outside is skipped.
A winner, the tap u * KW + v, is one byte, a quarter of what an int would cost to write and to read again; the kernels
called `_wide` are for windows of more than 256 taps.
"""

import math

from numba.types import uint8

from .launch import T, cuda, device, empty, int32, kernel, optional
from .windows import Windows, launch, output_of, place

T3 = T[:, :, :]
Winners, WideWinners = uint8[:, :, :], int32[:, :, :]


def max_pool2d_forward(x, windows):
    """y (N, C, OH, OW): the maximum of each window."""
    y = empty(x, (*x.shape[:2], *windows.out_size))
    return launch(max_pool2d_forward_kernel, y, [x, y, None], windows)


def max_pool2d_forward_and_winners(x, windows):
    """(y, winners): in the same pass, the tap u*KW + v that won each window; uint8 if that fits, else int32."""
    one_byte = windows.kernel[0] * windows.kernel[1] <= 256
    y = empty(x, (*x.shape[:2], *windows.out_size))
    winners = empty(x, y.shape, "uint8" if one_byte else "int32")
    run = max_pool2d_forward_kernel if one_byte else max_pool2d_forward_wide
    return launch(run, y, [x, y, winners], windows), winners


def max_pool2d_backward(grad_out, winners, x_shape, windows):
    """grad_x (N, C, H, W): each pixel collects the gradients of the windows that it won."""
    grad_x = empty(grad_out, x_shape)
    run = max_pool2d_backward_kernel if winners.dtype == "uint8" else max_pool2d_backward_wide
    return launch(run, grad_x, [grad_out, winners, grad_x], windows)


@device
def better(value, best):
    """The first of equals wins, but the last NaN."""
    return value > best or value != value


@device
def max_of_window(x, plane, row, column, windows):
    """(maximum, the tap u * KW + v that sees it); where all is -infinity, the first tap behind the padding."""
    (KH, KW), (SH, SW), ((PT, _), (PL, _)), (DH, DW), _ = windows
    _, H, W = x.shape
    best = x.dtype.type(-math.inf)
    top, left = row * SH - PT, column * SW - PL  # of the first tap; in the padding where below 0
    winner = (max(0, -top) + DH - 1) // DH * KW + (max(0, -left) + DW - 1) // DW
    for u in range(KH):
        for v in range(KW):
            h, w = top + u * DH, left + v * DW
            if 0 <= h < H and 0 <= w < W and better(x[plane, h, w], best):
                best = x[plane, h, w]
                winner = u * KW + v
    return best, winner


@kernel
def max_pool2d_forward_kernel(x: T3, y: T3, winners: optional(Winners), windows: Windows):
    """The maxima and, unless `winners` is None (in evaluation), which taps they are."""
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):  # [0, N * C * OH * OW)
        plane, row, column = place(i, y.shape[1], y.shape[2])
        y[plane, row, column], winner = max_of_window(x, plane, row, column, windows)
        if winners is not None:
            winners[plane, row, column] = winner


@kernel
def max_pool2d_forward_wide(x: T3, y: T3, winners: WideWinners, windows: Windows):
    """The same where a window has more than 256 taps."""
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):  # [0, N * C * OH * OW)
        plane, row, column = place(i, y.shape[1], y.shape[2])
        y[plane, row, column], winners[plane, row, column] = max_of_window(x, plane, row, column, windows)


@device
def won(grad_out, winners, plane, row, column, windows):
    """What a pixel collects from the windows that it won."""
    (KH, KW), (SH, SW), ((PT, _), (PL, _)), (DH, DW), _ = windows
    _, OH, OW = grad_out.shape
    total = grad_out.dtype.type(0)
    for u in range(KH):
        for v in range(KW):
            i, j = output_of(row, u, SH, PT, DH, OH), output_of(column, v, SW, PL, DW, OW)
            if i >= 0 and j >= 0 and winners[plane, i, j] == u * KW + v:
                total += grad_out[plane, i, j]
    return total


@kernel
def max_pool2d_backward_kernel(grad_out: T3, winners: Winners, grad_x: T3, windows: Windows):
    """What each pixel collects from the windows that it won."""
    for i in range(cuda.grid(1), grad_x.size, cuda.gridsize(1)):  # [0, N * C * H * W)
        plane, row, column = place(i, grad_x.shape[1], grad_x.shape[2])
        grad_x[plane, row, column] = won(grad_out, winners, plane, row, column, windows)


@kernel
def max_pool2d_backward_wide(grad_out: T3, winners: WideWinners, grad_x: T3, windows: Windows):
    """The same where a window has more than 256 taps."""
    for i in range(cuda.grid(1), grad_x.size, cuda.gridsize(1)):  # [0, N * C * H * W)
        plane, row, column = place(i, grad_x.shape[1], grad_x.shape[2])
        grad_x[plane, row, column] = won(grad_out, winners, plane, row, column, windows)
