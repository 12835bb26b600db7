"""Interpolation of N * C planes (images of one channel), forward and backward; mirrors minicnn/ops/interpolate.py.

Threads   one for each number that is written, in a grid-stride loop: forward an output, backward an input pixel, which
          collects from the outputs that looked at it (a gather: nobody else writes there, so no atomics)
Memory    neighbouring threads write neighbouring numbers (coalesced) and read them W / OW apart; what several outputs
          read comes from the cache, and so do the places and shares of both axes
Launch    thread blocks of THREADS
Bound by  memory: at most 4 reads and a write an output
"""

from .launch import T, cuda, device, empty, int32, kernel
from .windows import launch, place

T3 = T[:, :, :]  # planes
Indices, Shares = int32[:], T[:]


def interpolate_forward(x, rows, columns):
    """y (N, C, OH, OW)."""
    y = empty(x, (*x.shape[:2], len(rows[0]), len(columns[0])))
    return launch(interpolate_forward_kernel, y, [x, y], *rows[:2], *columns[:2])


def interpolate_backward(grad_out, x_shape, rows, columns):
    """grad_x (N, C, H, W)."""
    grad_x = empty(grad_out, x_shape)
    return launch(interpolate_backward_kernel, grad_x, [grad_out, grad_x], *rows, *columns)


@device
def mixed(x, plane, h, w, share):
    """(1 - share) of a pixel and `share` of the one to its right, which is not looked at where that is 0."""
    if share == 0:
        return x[plane, h, w]
    return (x.dtype.type(1) - share) * x[plane, h, w] + share * x[plane, h, w + 1]


@kernel
def interpolate_forward_kernel(
    x: T3, y: T3, row_source: Indices, row_share: Shares, column_source: Indices, column_share: Shares
):
    """y, mixed of one to four pixels."""
    one = x.dtype.type(1)
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):  # [0, N * C * OH * OW)
        plane, oh, ow = place(i, y.shape[1], y.shape[2])
        h, b = row_source[oh], row_share[oh]
        w, a = column_source[ow], column_share[ow]
        value = mixed(x, plane, h, w, a)
        if b > 0:
            value = (one - b) * value + b * mixed(x, plane, h + 1, w, a)
        y[plane, oh, ow] = value


@kernel
def interpolate_backward_kernel(
    grad_out: T3, grad_x: T3, row_source: Indices, row_share: Shares, row_first: Indices, row_end: Indices,
    column_source: Indices, column_share: Shares, column_first: Indices, column_end: Indices,
):  # fmt: skip
    """grad_x: of each output that looked at the pixel, its gradient times the pixel's share."""
    one = grad_out.dtype.type(1)
    for i in range(cuda.grid(1), grad_x.size, cuda.gridsize(1)):  # [0, N * C * H * W)
        plane, h, w = place(i, grad_x.shape[1], grad_x.shape[2])
        total = grad_out.dtype.type(0)
        for oh in range(row_first[h], row_end[h]):
            b = one - row_share[oh] if row_source[oh] == h else row_share[oh]
            for ow in range(column_first[w], column_end[w]):
                a = one - column_share[ow] if column_source[ow] == w else column_share[ow]
                total += a * b * grad_out[plane, oh, ow]
        grad_x[plane, h, w] = total
