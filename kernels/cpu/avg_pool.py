"""Average-pooling, all channels of a pixel at once; mirrors minicnn/ops/avg_pool.py.

Channels lie side by side, so the loops over channels run along memory, and a window is a handful of rows of channels.
Work is cut into rows of the output (forward) or images (backward: windows overlap, and two threads must not add to one
pixel). Where each window starts and ends is worked out once for all images, rows and columns by themselves; adaptive
pooling (adaptive_avg_pool.py) only has other windows.
"""

import numpy as np

from minicnn.ops.summation import FEW, PIECE
from minicnn.precision import takes_bfloat16, wide_dtype

from .machine.bfloat16 import bits, narrowed, real, widened
from .machine.jit import jit
from .machine.layout import behind_channels, channels_last
from .machine.memory import empty
from .windows import by_images, by_rows


@takes_bfloat16
def avg_pool2d_forward(x, windows, count_include_pad, divisor_override):
    """y (N, C, OH, OW) = the sum of each window / divisor (OH, OW)."""
    return average(x, *_extents(x.shape[2:], windows, count_include_pad, divisor_override))


@takes_bfloat16
def avg_pool2d_backward(grad_out, x_shape, windows, count_include_pad, divisor_override):
    """grad_x (N, C, H, W): each pixel sums grad_out / divisor over the windows that it is in."""
    extents = _extents(x_shape[2:], windows, count_include_pad, divisor_override)
    return average_backward(grad_out, x_shape, *extents)


def _extents(size, windows, count_include_pad, divisor_override):
    """(rows (OH, 2), columns (OW, 2), divisor (OH, OW)): where each window starts and ends in the image."""
    extents, counts = [], []
    for length, k, s, (before, after), _, out in zip(size, *windows, strict=True):
        start = np.arange(out) * s - before  # of each window, in pixels; negative in the padding
        end = np.minimum(start + k, length + after)  # the padding behind the image counts, what is beyond does not
        inside = np.stack([np.clip(start, 0, length), np.clip(end, 0, length)], axis=1)
        extents.append(inside)
        counts.append(end - start if count_include_pad else inside[:, 1] - inside[:, 0])
    divisor = np.outer(*counts) if divisor_override is None else np.full(windows.out_size, divisor_override)  # (OH, OW)
    return *extents, divisor


def average(x, rows, columns, divisor):
    """y (N, C, OH, OW): of windows that reach from rows[oh, 0] to rows[oh, 1] - 1, columns likewise, sum / divisor."""
    x = channels_last(x)  # (N, H, W, C)
    y = empty((len(x), *divisor.shape, x.shape[3]), x.dtype)
    largest = np.prod([np.max(extent[:, 1] - extent[:, 0], initial=0) for extent in (rows, columns)])  # pixels
    geometry = rows, columns, divisor.astype(wide_dtype(x.dtype))
    if largest <= FEW:  # no digits are lost in a plain sum
        by_rows(_sums, bits(x), (bits(y),), *geometry)
    else:  # PIECE is an argument: compiled code is kept on disk, and is known by the text of kernels/cpu alone (jit.py)
        by_rows(_long_sums, bits(x), (bits(y),), *geometry, PIECE)
    return behind_channels(y)


def average_backward(grad_out, x_shape, rows, columns, divisor):
    """grad_x (N, C, H, W) of the function above."""
    divisor = divisor.astype(wide_dtype(grad_out.dtype))
    return by_images(_sums_backward, x_shape, (grad_out,), rows, columns, divisor)


@jit
def _sums(x, y, start, stop, rows, columns, divisor):
    """Rows of y; a row is counted over all images."""
    total = np.empty(x.shape[3], real(x))  # (C,)
    for row in range(start, stop):
        n, oh = row // y.shape[1], row % y.shape[1]  # image, row in it
        for ow in range(y.shape[2]):
            out = y[n, oh, ow]  # (C,)
            total[:] = 0
            for h in range(rows[oh, 0], rows[oh, 1]):
                for w in range(columns[ow, 0], columns[ow, 1]):
                    pixel = x[n, h, w]
                    for c in range(len(total)):
                        total[c] += widened(pixel[c])
            for c in range(len(total)):
                out[c] = narrowed(total[c] / divisor[oh, ow], y)


@jit
def _long_sums(x, y, start, stop, rows, columns, divisor, at_once):
    """The same for large windows, `at_once` pixels at a time: small numbers must not meet large sums."""
    few, total = np.empty(x.shape[3], real(x)), np.empty(x.shape[3], np.float64)  # few: sums of `at_once` pixels
    for row in range(start, stop):
        n, oh = row // y.shape[1], row % y.shape[1]
        for ow in range(y.shape[2]):
            out = y[n, oh, ow]  # (C,)
            total[:] = 0
            for h in range(rows[oh, 0], rows[oh, 1]):
                for first in range(columns[ow, 0], columns[ow, 1], at_once):
                    few[:] = 0
                    for w in range(first, min(first + at_once, columns[ow, 1])):
                        pixel = x[n, h, w]
                        for c in range(len(few)):
                            few[c] += widened(pixel[c])
                    for c in range(len(few)):
                        total[c] += few[c]
            for c in range(len(few)):
                out[c] = narrowed(total[c] / divisor[oh, ow], y)


@jit
def _sums_backward(grad_out, grad_x, rows, columns, divisor):
    """Every window adds grad_out / divisor to each of its pixels."""
    per_pixel = np.empty(grad_out.shape[3], real(grad_out))  # (C,)
    for n in range(len(grad_out)):
        grad_x[n] = 0
        for oh in range(grad_out.shape[1]):
            for ow in range(grad_out.shape[2]):
                for c in range(len(per_pixel)):
                    per_pixel[c] = widened(grad_out[n, oh, ow, c]) / divisor[oh, ow]  # once, not for each pixel
                for h in range(rows[oh, 0], rows[oh, 1]):
                    for w in range(columns[ow, 0], columns[ow, 1]):
                        pixel = grad_x[n, h, w]
                        for c in range(len(per_pixel)):
                            pixel[c] += per_pixel[c]
