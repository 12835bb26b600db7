"""Adaptive average-pooling of N * C planes (images of one channel); mirrors minicnn/ops/adaptive_avg_pool.py.

Threads   one for each number that is written, in a grid-stride loop: forward an output, backward an input pixel, which
          collects from the windows that it lies in (a gather: nobody else writes there, so no atomics)
Memory    neighbouring threads write neighbouring numbers (coalesced) and read them W / OW apart; what several windows
          read comes from the cache; no shared memory, no barrier
Launch    thread blocks of THREADS, one for each THREADS numbers
Bound by  memory: an addition for each pixel of a window
"""

from .launch import T, cuda, device, empty, kernel
from .reduction import add
from .windows import launch, place

T3 = T[:, :, :]


def adaptive_avg_pool2d_forward(x, out_size):
    """y (N, C, OH, OW): the averages of windows that divide the image evenly."""
    y = empty(x, (*x.shape[:2], *out_size))
    return launch(adaptive_avg_pool2d_forward_kernel, y, [x, y])


def adaptive_avg_pool2d_backward(grad_out, x_shape):
    """grad_x (N, C, H, W): each pixel sums what it receives from the windows that it is in."""
    grad_x = empty(grad_out, x_shape)
    return launch(adaptive_avg_pool2d_backward_kernel, grad_x, [grad_out, grad_x])


@device
def averaged(i, size, outputs):
    """(first, end): output i averages rows floor(i * size / outputs) to ceil((i + 1) * size / outputs) - 1."""
    return i * size // outputs, ((i + 1) * size + outputs - 1) // outputs


@kernel
def adaptive_avg_pool2d_forward_kernel(x: T3, y: T3):
    """The average of each window."""
    _, H, W = x.shape
    _, OH, OW = y.shape
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):  # [0, N * C * OH * OW)
        plane, row, column = place(i, OH, OW)
        top, bottom = averaged(row, H, OH)
        left, right = averaged(column, W, OW)
        total, lost = x.dtype.type(0), x.dtype.type(0)  # a window may be large
        for h in range(top, bottom):
            for w in range(left, right):
                total, lost = add(total, lost, x[plane, h, w])
        y[plane, row, column] = total / x.dtype.type((bottom - top) * (right - left))


@kernel
def adaptive_avg_pool2d_backward_kernel(grad_out: T3, grad_x: T3):
    """Each pixel sums grad_out / (the number of pixels) over the windows that it is in."""
    _, H, W = grad_x.shape
    _, OH, OW = grad_out.shape
    for i in range(cuda.grid(1), grad_x.size, cuda.gridsize(1)):  # [0, N * C * H * W)
        plane, h, w = place(i, H, W)
        # the windows that hold row h are floor(h * OH / H) to ceil((h + 1) * OH / H) - 1: the formula turned round
        rows, columns = averaged(h, OH, H), averaged(w, OW, W)
        total = grad_out.dtype.type(0)
        for row in range(rows[0], rows[1]):
            top, bottom = averaged(row, H, OH)
            for column in range(columns[0], columns[1]):
                left, right = averaged(column, W, OW)
                total += grad_out[plane, row, column] / grad_out.dtype.type((bottom - top) * (right - left))
        grad_x[plane, h, w] = total
