"""Average-pooling, all channels of a pixel at once; mirrors minicnn/ops/avg_pool.py.

Channels lie side by side, so the loops over channels run along memory, and a window is a handful of rows of channels.
Work is cut into rows of the output (forward) or images (backward: windows overlap, and two threads must not add to one
pixel).
"""

import numpy as np

from minicnn.ops.summation import FEW, PIECE

from .machine import threads
from .machine.jit import jit
from .machine.layout import behind_channels, channels_last
from .machine.memory import empty
from .max_pool import by_rows


def avg_pool2d_forward(x, kernel, stride, padding, out_size, count_include_pad, divisor_override):
    """y (N, C, OH, OW) = the sum of each window / divisor (OH, OW)."""
    windows = _windows(x.shape[2:], kernel, stride, padding, out_size, count_include_pad, divisor_override)
    return average(x, out_size, *windows)


def avg_pool2d_backward(grad_out, x_shape, kernel, stride, padding, count_include_pad, divisor_override):
    """grad_x (N, C, H, W): each pixel sums grad_out / divisor over the windows that it is in."""
    out_size = grad_out.shape[2:]
    windows = _windows(x_shape[2:], kernel, stride, padding, out_size, count_include_pad, divisor_override)
    return average_backward(grad_out, x_shape, *windows)


def average(x, out_size, top, left, divisor):
    x = channels_last(x)
    y = empty((len(x), *out_size, x.shape[3]), x.dtype)
    largest = np.prod([np.max(span[:, 1] - span[:, 0], initial=0) for span in (top, left)])
    kernel = _sums if largest <= FEW else _long_sums
    by_rows(kernel, x, (y,), top, left, divisor.astype(x.dtype))
    return behind_channels(y)


def average_backward(grad_out, x_shape, top, left, divisor):
    grad_out, divisor = channels_last(grad_out), divisor.astype(grad_out.dtype)
    grad_x = empty((x_shape[0], *x_shape[2:], x_shape[1]), grad_out.dtype)
    threads.run_shares(lambda i, j: _sums_backward(grad_out[i:j], grad_x[i:j], top, left, divisor), len(grad_x))
    return behind_channels(grad_x)


def _windows(size, kernel, stride, padding, out_size, count_include_pad, divisor_override):
    """(rows (OH, 2), columns (OW, 2), divisor (OH, OW)): where each window starts and ends in the image."""
    spans, counts = [], []
    for length, k, s, (before, after), out in zip(size, kernel, stride, padding, out_size, strict=True):
        start = np.arange(out) * s - before
        end = np.minimum(start + k, length + after)
        inside = np.stack([np.clip(start, 0, length), np.clip(end, 0, length)], axis=1)
        spans.append(inside)
        counts.append(end - start if count_include_pad else inside[:, 1] - inside[:, 0])
    return *spans, np.outer(*counts) if divisor_override is None else np.full(out_size, divisor_override)


@jit
def _sums(x, y, start, stop, out_height, top, left, divisor):
    for row in range(start, stop):
        n, oh = row // out_height, row % out_height
        for ow in range(y.shape[1]):
            total = y[row, ow]
            total[:] = 0
            for h in range(top[oh, 0], top[oh, 1]):
                for w in range(left[ow, 0], left[ow, 1]):
                    pixel = x[n, h, w]
                    for c in range(len(total)):
                        total[c] += pixel[c]
            for c in range(len(total)):
                total[c] /= divisor[oh, ow]


@jit
def _long_sums(x, y, start, stop, out_height, top, left, divisor):
    """The same for large windows, whose pixels are added PIECE at a time: small numbers must not meet large sums."""
    total = np.empty(x.shape[3], np.float64)
    for row in range(start, stop):
        n, oh = row // out_height, row % out_height
        for ow in range(y.shape[1]):
            part = y[row, ow]
            total[:] = 0
            for h in range(top[oh, 0], top[oh, 1]):
                for first in range(left[ow, 0], left[ow, 1], PIECE):
                    part[:] = 0
                    for w in range(first, min(first + PIECE, left[ow, 1])):
                        pixel = x[n, h, w]
                        for c in range(len(part)):
                            part[c] += pixel[c]
                    for c in range(len(part)):
                        total[c] += part[c]
            for c in range(len(part)):
                part[c] = total[c] / divisor[oh, ow]


@jit
def _sums_backward(grad_out, grad_x, top, left, divisor):
    share = np.empty(grad_out.shape[3], grad_out.dtype)
    for n in range(len(grad_out)):
        grad_x[n] = 0
        for oh in range(grad_out.shape[1]):
            for ow in range(grad_out.shape[2]):
                for c in range(len(share)):
                    share[c] = grad_out[n, oh, ow, c] / divisor[oh, ow]
                for h in range(top[oh, 0], top[oh, 1]):
                    for w in range(left[ow, 0], left[ow, 1]):
                        pixel = grad_x[n, h, w]
                        for c in range(len(share)):
                            pixel[c] += share[c]
