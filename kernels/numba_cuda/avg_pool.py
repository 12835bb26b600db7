"""Average-pooling of N * C planes; mirrors minicnn/ops/avg_pool.py.

Threads   one for each number that is written, in a grid-stride loop: forward an output, backward an input pixel, which
          collects from the windows that it lies in (a gather: nobody else writes there, so no atomics)
Memory    neighbouring threads write neighbouring numbers and read them a stride apart; windows overlap, and what they
          share comes from the cache; no shared memory, no barrier
Launch    blocks of THREADS, one for each THREADS numbers
Bound by  memory: KH * KW additions for each number written

Output (i, j) sees rows i * SH - PT + u, u in [0, KH), and columns likewise; what lies outside is skipped.
"""

from .launch import T, bool_, cuda, device, empty, int64, kernel
from .reduction import add
from .windows import before, behind, fill, output_of, place

T3, Int = T[:, :, :], int64


def avg_pool2d_forward(x, kernel, stride, padding, out_size, count_include_pad, divisor_override):
    """y (N, C, OH, OW) = the sum of each window / divisor (OH, OW)."""
    y = empty(x, (*x.shape[:2], *out_size))
    geometry = *kernel, *stride, *before(padding), *behind(padding), count_include_pad, divisor_override or 0
    return fill(avg_pool2d_forward_kernel, [x], y, *geometry)


def avg_pool2d_backward(grad_out, x_shape, kernel, stride, padding, count_include_pad, divisor_override):
    """grad_x (N, C, H, W): each pixel sums grad_out / divisor over the windows that it is in."""
    grad_x = empty(grad_out, x_shape)
    geometry = *kernel, *stride, *before(padding), *behind(padding), count_include_pad, divisor_override or 0
    return fill(avg_pool2d_backward_kernel, [grad_out], grad_x, *geometry)


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
