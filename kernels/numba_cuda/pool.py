"""Max, average and adaptive pooling of N * C planes, forward and backward; mirrors minicnn/ops/pool.py.

Threads   one for each number that is written, in a grid-stride loop: forward an output, backward an input pixel, which
          collects from the windows that it lies in (a gather: nobody else writes there, so no atomics)
Memory    neighbouring threads write neighbouring numbers and read them a stride apart; windows overlap, and what they
          share comes from the cache; no shared memory, no barrier
Launch    blocks of THREADS, one for each THREADS numbers
Bound by  memory: KH * KW comparisons or additions for each number written

Output (i, j) sees rows i * SH - PT + u * DH, u in [0, KH), and columns likewise; what lies outside is skipped.
"""

import math

from numba.types import uint8

from .launch import THREADS, T, blocks, bool_, contiguous, cuda, device, empty, int32, int64, kernel
from .reduction import add

T3, Int = T[:, :, :], int64
Taps, WideTaps = uint8[:, :, :], int32[:, :, :]  # winners, where a window has up to 256 taps, and more


def max_pool2d_forward(x, kernel, stride, padding, dilation, out_size):
    """y (N, C, OH, OW): the maximum of each window."""
    y = empty(x, (*x.shape[:2], *out_size))
    return _run(max_pool2d_forward_kernel, [x], y, *kernel, *stride, *_before(padding), *dilation)


def max_pool2d_winners(x, y, kernel, stride, padding, dilation):
    """winners (N, C, OH, OW) uint8 (int32 where a window has more than 256 taps): for each window, the first tap
    u*KW + v that sees its maximum y."""
    one_byte = kernel[0] * kernel[1] <= 256
    winners = empty(x, y.shape, "uint8" if one_byte else "int32")
    run = max_pool2d_winners_kernel if one_byte else max_pool2d_winners_wide
    return _run(run, [x], winners, *kernel, *stride, *_before(padding), *dilation)


def max_pool2d_forward_and_winners(x, kernel, stride, padding, dilation, out_size):
    """(y, winners)."""
    y = max_pool2d_forward(x, kernel, stride, padding, dilation, out_size)
    return y, max_pool2d_winners(x, y, kernel, stride, padding, dilation)


def max_pool2d_backward(grad_out, winners, x_shape, kernel, stride, padding, dilation):
    """grad_x (N, C, H, W): each pixel collects the gradients of the windows that it won."""
    grad_x = empty(grad_out, x_shape)
    run = max_pool2d_backward_kernel if winners.dtype == "uint8" else max_pool2d_backward_wide
    return _run(run, [grad_out, winners], grad_x, *kernel, *stride, *_before(padding), *dilation)


def avg_pool2d_forward(x, kernel, stride, padding, out_size, count_include_pad, divisor_override):
    """y (N, C, OH, OW) = the sum of each window / divisor (OH, OW)."""
    y = empty(x, (*x.shape[:2], *out_size))
    geometry = *kernel, *stride, *_before(padding), *_behind(padding), count_include_pad, divisor_override or 0
    return _run(avg_pool2d_forward_kernel, [x], y, *geometry)


def avg_pool2d_backward(grad_out, x_shape, kernel, stride, padding, count_include_pad, divisor_override):
    """grad_x (N, C, H, W): each pixel sums grad_out / divisor over the windows that it is in."""
    grad_x = empty(grad_out, x_shape)
    geometry = *kernel, *stride, *_before(padding), *_behind(padding), count_include_pad, divisor_override or 0
    return _run(avg_pool2d_backward_kernel, [grad_out], grad_x, *geometry)


def adaptive_avg_pool2d_forward(x, out_size):
    """y (N, C, OH, OW): the averages of windows that divide the image evenly."""
    return _run(adaptive_avg_pool2d_forward_kernel, [x], empty(x, (*x.shape[:2], *out_size)))


def adaptive_avg_pool2d_backward(grad_out, x_shape):
    """grad_x (N, C, H, W): each pixel sums its share of the windows that it is in."""
    return _run(adaptive_avg_pool2d_backward_kernel, [grad_out], empty(grad_out, x_shape))


def _run(kernel, arrays, out, *geometry):
    """`out`, filled: one thread for each of its elements."""
    kernel[blocks(out.size), THREADS](*map(_planes, (*arrays, out)), *geometry)
    return out


def _planes(images):
    """(N, C, H, W) as (N * C, H, W)."""
    n, channels, *size = images.shape
    return contiguous(images).reshape(n * channels, *size)


def _before(padding):
    """(top, left) of ((top, bottom), (left, right))."""
    return tuple(before for before, _ in padding)


def _behind(padding):
    """(bottom, right)."""
    return tuple(behind for _, behind in padding)


@device
def place(i, height, width):
    """(plane, row, column) of number i."""
    return i // width // height, i // width % height, i % width


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
def output_of(h, u, stride, padding, dilation, outputs):
    """Tap u of which output sees row h? output * stride - padding + u * dilation = h, or -1: none."""
    start = h + padding - u * dilation
    return start // stride if start >= 0 and start % stride == 0 and start // stride < outputs else -1


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


@device
def extent(i, size, kernel, stride, before, behind, count_padding):
    """How many rows the window of output i counts; `before` and `behind` are the padding."""
    start = i * stride - before
    end = min(start + kernel, size + behind)
    return end - start if count_padding else min(end, size) - max(start, 0)


@kernel
def avg_pool2d_forward_kernel(
    x: T3,
    y: T3,
    KH: Int,
    KW: Int,
    SH: Int,
    SW: Int,
    PT: Int,
    PL: Int,
    PB: Int,
    PR: Int,
    count_padding: bool_,
    divisor: T,
):
    """y = the sum of each window / divisor; divisor 0: the number of pixels counted."""
    _, H, W = x.shape
    _, OH, OW = y.shape
    zero = x.dtype.type(0)
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):  # [0, planes * OH * OW)
        plane, row, column = place(i, OH, OW)
        top, left = row * SH - PT, column * SW - PL
        total, lost = zero, zero
        for h in range(max(top, 0), min(top + KH, H)):
            for w in range(max(left, 0), min(left + KW, W)):
                total, lost = add(total, lost, x[plane, h, w])
        pixels = extent(row, H, KH, SH, PT, PB, count_padding) * extent(column, W, KW, SW, PL, PR, count_padding)
        y[plane, row, column] = total / (x.dtype.type(pixels) if divisor == zero else divisor)


@kernel
def avg_pool2d_backward_kernel(
    grad_out: T3,
    grad_x: T3,
    KH: Int,
    KW: Int,
    SH: Int,
    SW: Int,
    PT: Int,
    PL: Int,
    PB: Int,
    PR: Int,
    count_padding: bool_,
    divisor: T,
):
    _, H, W = grad_x.shape
    _, OH, OW = grad_out.shape
    zero = grad_out.dtype.type(0)
    for i in range(cuda.grid(1), grad_x.size, cuda.gridsize(1)):  # [0, planes * H * W)
        plane, h, w = place(i, H, W)
        total = zero
        for u in range(KH):
            for v in range(KW):
                row, column = output_of(h, u, SH, PT, 1, OH), output_of(w, v, SW, PL, 1, OW)
                if row >= 0 and column >= 0:
                    height = extent(row, H, KH, SH, PT, PB, count_padding)
                    width = extent(column, W, KW, SW, PL, PR, count_padding)
                    pixels = grad_out.dtype.type(height * width)
                    total += grad_out[plane, row, column] / (pixels if divisor == zero else divisor)
        grad_x[plane, h, w] = total


@device
def averaged(i, size, outputs):
    """(first, end): output i averages rows floor(i * size / outputs) to ceil((i + 1) * size / outputs) - 1."""
    return i * size // outputs, ((i + 1) * size + outputs - 1) // outputs


@kernel
def adaptive_avg_pool2d_forward_kernel(x: T3, y: T3):
    _, H, W = x.shape
    _, OH, OW = y.shape
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):  # [0, planes * OH * OW)
        plane, row, column = place(i, OH, OW)
        top, bottom = averaged(row, H, OH)
        left, right = averaged(column, W, OW)
        total, lost = x.dtype.type(0), x.dtype.type(0)
        for h in range(top, bottom):
            for w in range(left, right):
                total, lost = add(total, lost, x[plane, h, w])
        y[plane, row, column] = total / x.dtype.type((bottom - top) * (right - left))


@kernel
def adaptive_avg_pool2d_backward_kernel(grad_out: T3, grad_x: T3):
    """The windows that hold row h are floor(h * OH / H) to ceil((h + 1) * OH / H) - 1: the formula turned round."""
    _, H, W = grad_x.shape
    _, OH, OW = grad_out.shape
    for i in range(cuda.grid(1), grad_x.size, cuda.gridsize(1)):  # [0, planes * H * W)
        plane, h, w = place(i, H, W)
        rows, columns = averaged(h, OH, H), averaged(w, OW, W)
        total = grad_out.dtype.type(0)
        for row in range(rows[0], rows[1]):
            top, bottom = averaged(row, H, OH)
            for column in range(columns[0], columns[1]):
                left, right = averaged(column, W, OW)
                total += grad_out[plane, row, column] / grad_out.dtype.type((bottom - top) * (right - left))
        grad_x[plane, h, w] = total
