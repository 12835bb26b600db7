"""Interpolation, all channels of a pixel at once; mirrors minicnn/ops/interpolate.py.

Channels lie side by side, so the loops over channels run along memory. Forward, two rows of the picture are mixed into
one, and then the pixels of that: half the multiplications of four pixels for each output. Chunks are rows of the
output; backward, rows of the picture, whose pixels collect from the outputs that looked at them: no two threads add to
one.
"""

import numpy as np

from minicnn.precision import takes_bfloat16

from .machine.bfloat16 import bits, narrowed, real, widened
from .machine.jit import jit
from .machine.layout import behind_channels, channels_last
from .machine.memory import empty
from .windows import by_rows


@takes_bfloat16
def interpolate_forward(x, rows, columns):
    """y (N, C, OH, OW)."""
    x = channels_last(x)  # (N, H, W, C)
    y = empty((len(x), len(rows[0]), len(columns[0]), x.shape[3]), x.dtype)
    by_rows(_forward, bits(x), (bits(y),), rows[:2], columns[:2])
    return behind_channels(y)


@takes_bfloat16
def interpolate_backward(grad_out, x_shape, rows, columns):
    """grad_x (N, C, H, W)."""
    grad_out = channels_last(grad_out)
    grad_x = empty((x_shape[0], *x_shape[2:], x_shape[1]), grad_out.dtype)
    by_rows(_backward, bits(grad_out), (bits(grad_x),), rows, columns)
    return behind_channels(grad_x)


@jit
def _forward(x, y, start, stop, rows, columns):
    """Rows of y; a row is counted over all images."""
    row_source, row_share = rows
    one = real(x)(1)
    mixed = np.empty((x.shape[2], x.shape[3]), real(x))  # (W, C): a row between two rows of the picture
    numbers = mixed.reshape(-1)
    for row in range(start, stop):
        n, oh = row // y.shape[1], row % y.shape[1]  # image, row in it
        h, b = row_source[oh], row_share[oh]
        if b > 0:
            upper, lower = x[n, h].reshape(-1), x[n, h + 1].reshape(-1)
            for i in range(numbers.size):
                numbers[i] = (one - b) * widened(upper[i]) + b * widened(lower[i])
            _row(mixed, y[n, oh], columns)
        else:
            _row(x[n, h], y[n, oh], columns)


@jit
def _row(line, out, columns):
    """A row of y (OW, C) out of one of the picture's width (W, C)."""
    column_source, column_share = columns
    one = real(line)(1)
    for ow in range(len(out)):
        w, a = column_source[ow], column_share[ow]
        if a > 0:
            for c in range(out.shape[1]):
                out[ow, c] = narrowed((one - a) * widened(line[w, c]) + a * widened(line[w + 1, c]), out)
        else:
            for c in range(out.shape[1]):
                out[ow, c] = narrowed(widened(line[w, c]), out)


@jit
def _backward(grad_out, grad_x, start, stop, rows, columns):
    """Rows of grad_x; a row is counted over all images."""
    row_source, row_share, row_first, row_end = rows
    column_source, column_share, column_first, column_end = columns
    one, total = real(grad_out)(1), np.empty(grad_x.shape[3], real(grad_out))  # total: (C,)
    for row in range(start, stop):
        n, h = row // grad_x.shape[1], row % grad_x.shape[1]  # image, row in it
        for w in range(grad_x.shape[2]):
            total[:] = 0
            for oh in range(row_first[h], row_end[h]):
                b = one - row_share[oh] if row_source[oh] == h else row_share[oh]
                for ow in range(column_first[w], column_end[w]):
                    a = one - column_share[ow] if column_source[ow] == w else column_share[ow]
                    grad, share = grad_out[n, oh, ow], a * b
                    for c in range(len(total)):
                        total[c] += share * widened(grad[c])
            pixel = grad_x[n, h, w]
            for c in range(len(total)):
                pixel[c] = narrowed(total[c], pixel)
