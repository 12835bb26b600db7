"""Average-pooling of N * C planes (images of one channel); mirrors minicnn/ops/avg_pool.py.

Threads   one for each number that is written, in a grid-stride loop: forward an output, backward an input pixel, which
          collects from the windows that it lies in (a gather: nobody else writes there, so no atomics)
Memory    neighbouring threads write neighbouring numbers (coalesced) and read them SW apart; windows overlap, and what
          several of them read comes from the cache; no shared memory, no barrier
Launch    thread blocks of THREADS, one for each THREADS numbers
Bound by  memory: KH * KW additions for each number written

Output (i, j) sees rows i * SH - PT + u, u in [0, KH), and columns likewise; what lies outside is skipped.
"""

from .launch import T, bool_, cuda, device, empty, kernel
from .reduction import add
from .windows import Windows, launch, output_of, place

T3 = T[:, :, :]


def avg_pool2d_forward(x, windows, count_include_pad, divisor_override):
    """y (N, C, OH, OW) = the sum of each window / divisor (OH, OW)."""
    y = empty(x, (*x.shape[:2], *windows.out_size))
    return launch(avg_pool2d_forward_kernel, y, [x, y], windows, count_include_pad, divisor_override or 0)


def avg_pool2d_backward(grad_out, x_shape, windows, count_include_pad, divisor_override):
    """grad_x (N, C, H, W): each pixel sums grad_out / divisor over the windows that it is in."""
    grad_x, numbers = empty(grad_out, x_shape), (count_include_pad, divisor_override or 0)
    return launch(avg_pool2d_backward_kernel, grad_x, [grad_out, grad_x], windows, *numbers)


@device
def extent(i, size, kernel, stride, padding, count_padding):
    """How many rows the window of output i counts; never those that hang over the padding behind (ceil_mode)."""
    start = i * stride - padding[0]
    end = min(start + kernel, size + padding[1])
    return end - start if count_padding else min(end, size) - max(start, 0)


@device
def pixels_of(row, column, H, W, windows, count_padding):
    """How many pixels the window of output (row, column) counts."""
    (KH, KW), (SH, SW), (of_rows, of_columns), _, _ = windows
    return extent(row, H, KH, SH, of_rows, count_padding) * extent(column, W, KW, SW, of_columns, count_padding)


@kernel
def avg_pool2d_forward_kernel(x: T3, y: T3, windows: Windows, count_padding: bool_, divisor: T):
    """y = the sum of each window / divisor; divisor 0: the number of pixels counted."""
    (KH, KW), (SH, SW), ((PT, _), (PL, _)), _, _ = windows
    _, H, W = x.shape
    zero = x.dtype.type(0)
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):  # [0, N * C * OH * OW)
        plane, row, column = place(i, y.shape[1], y.shape[2])
        top, left = row * SH - PT, column * SW - PL
        total, lost = zero, zero  # a window may be large
        for h in range(max(top, 0), min(top + KH, H)):
            for w in range(max(left, 0), min(left + KW, W)):
                total, lost = add(total, lost, x[plane, h, w])
        pixels = x.dtype.type(pixels_of(row, column, H, W, windows, count_padding))
        y[plane, row, column] = total / (pixels if divisor == zero else divisor)


@kernel
def avg_pool2d_backward_kernel(grad_out: T3, grad_x: T3, windows: Windows, count_padding: bool_, divisor: T):
    """Each pixel sums grad_out / divisor over the windows that it is in."""
    (KH, KW), (SH, SW), ((PT, _), (PL, _)), _, _ = windows
    _, H, W = grad_x.shape
    _, OH, OW = grad_out.shape
    zero = grad_out.dtype.type(0)
    for i in range(cuda.grid(1), grad_x.size, cuda.gridsize(1)):  # [0, N * C * H * W)
        plane, h, w = place(i, H, W)
        total = zero
        for u in range(KH):
            for v in range(KW):
                row, column = output_of(h, u, SH, PT, 1, OH), output_of(w, v, SW, PL, 1, OW)
                if row >= 0 and column >= 0:
                    pixels = grad_out.dtype.type(pixels_of(row, column, H, W, windows, count_padding))
                    total += grad_out[plane, row, column] / (pixels if divisor == zero else divisor)
        grad_x[plane, h, w] = total
