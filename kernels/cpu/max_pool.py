"""Max-pooling, all channels of a pixel at once; mirrors minicnn/ops/max_pool.py.

Channels lie side by side, so the loops over channels run along memory, and a window is a handful of rows of channels.
Work is cut into rows of the output (forward) or images (backward: windows overlap, and two threads must not add to one
pixel). Bytes: forward reads x and writes y and the winners, one byte each; backward reads grad_out and the winners and
writes grad_x: a pixel gets its gradients through the winner's number, without looking at x again.
"""

import numpy as np

from minicnn.precision import takes_bfloat16

from .machine import team, threads
from .machine.bfloat16 import bits, narrowed, widened
from .machine.jit import jit
from .machine.layout import behind_channels, channels_last
from .machine.memory import empty
from .windows import by_images, shares_of_rows


@takes_bfloat16
def max_pool2d_forward(x, windows):
    """y (N, C, OH, OW): the maximum of each window."""
    return _forward(x, None, windows)[0]


@takes_bfloat16
def max_pool2d_forward_and_winners(x, windows):
    """(y, winners): in the same pass, the tap u*KW + v that won each window; uint8 if that fits, else int32."""
    return _forward(x, np.uint8 if windows.kernel[0] * windows.kernel[1] <= 256 else np.int32, windows)


def _forward(x, winners_dtype, windows):
    x = channels_last(x)  # (N, H, W, C)
    y = empty((len(x), *windows.out_size, x.shape[3]), x.dtype)
    winners = None if winners_dtype is None else empty(y.shape, winners_dtype)
    # a plain tuple is sooner looked at by Numba than a named one
    threads.run_compiled(_pool, shares_of_rows(y), (bits(x), bits(y), winners, tuple(windows)))
    return behind_channels(y), None if winners is None else behind_channels(winners)


@takes_bfloat16
def max_pool2d_backward(grad_out, winners, x_shape, windows):
    """grad_x (N, C, H, W): each pixel collects the gradients of the windows that it won."""
    return by_images(_max_backward, x_shape, (grad_out, winners), tuple(windows))


@jit
def _pool(boxes, table, arguments):
    return team.stage(boxes, _rows, table, arguments)


@jit
def _rows(limits, arguments):
    """Rows limits[0] ... limits[1] of y."""
    x, y, winners, windows = arguments
    _max(x, y, winners, limits[0], limits[1], windows)


@jit
def _max(x, y, winners, start, stop, windows):
    """Rows of y, and of winners if that is not None; a row is counted over all images."""
    (kh, kw), (sh, sw), ((top, _), (left, _)), (dh, dw), _ = windows
    _, height, width, _ = x.shape
    _, out_height, out_width, _ = y.shape
    three_by_three = kh == 3 and kw == 3 and dh == 1 and dw == 1
    for row in range(start, stop):  # of outputs
        n, oh = row // out_height, row % out_height  # image, row in it
        h0 = oh * sh - top  # of the window's first tap
        for ow in range(out_width):
            w0, best = ow * sw - left, y[n, oh, ow]  # (C,)
            winner = None if winners is None else winners[n, oh, ow]
            if three_by_three and 0 <= h0 <= height - 3 and 0 <= w0 <= width - 3:
                _max_of_nine(x[n, h0, w0 : w0 + 3], x[n, h0 + 1, w0 : w0 + 3], x[n, h0 + 2, w0 : w0 + 3], best, winner)
                continue
            seen = False
            for tap in range(kh * kw):
                h, w = h0 + tap // kw * dh, w0 + tap % kw * dw
                if 0 <= h < height and 0 <= w < width:  # what is not in the image is skipped: it is smaller than all
                    _max_with(x[n, h, w], tap, best, winner, not seen)
                    seen = True
            if not seen:  # nothing but padding
                best[:] = narrowed(-np.inf, best)
                if winner is not None:
                    winner[:] = 0


@jit
def _max_of_nine(r0, r1, r2, best, winner):
    """A 3x3 window inside the image, as in nearly every network: its maximum stays in registers.

    r0, r1, r2 (3, C): its rows. Written out, the loop over channels is one of SIMD vectors.
    """
    for c in range(len(best)):
        b, w = _larger(r0[1, c], 1, r0[0, c], 0)
        b, w = _larger(r0[2, c], 2, b, w)
        b, w = _larger(r1[0, c], 3, b, w)
        b, w = _larger(r1[1, c], 4, b, w)
        b, w = _larger(r1[2, c], 5, b, w)
        b, w = _larger(r2[0, c], 6, b, w)
        b, w = _larger(r2[1, c], 7, b, w)
        b, w = _larger(r2[2, c], 8, b, w)
        best[c] = b  # one of x's elements: nothing is rounded
        if winner is not None:  # known when this is compiled: no test is left in the loop
            winner[c] = w


@jit
def _max_with(pixel, tap, best, winner, first):
    """One tap of any window: larger ones replace what is best so far, the first replaces anything."""
    for c in range(len(best)):
        b, w = _larger(pixel[c], 1, best[c], 0)
        best[c] = pixel[c] if first else b
        if winner is not None:
            winner[c] = tap if first or w == 1 else winner[c]


@jit
def _larger(value, tap, best, winner):
    """(value, tap) if it is larger than the best so far, or NaN; else (best, winner): the first of equals stays."""
    number = widened(value)
    takes = number > widened(best) or number != number
    return value if takes else best, tap if takes else winner


@jit
def _max_backward(grad_out, winners, grad_x, windows):
    """Every window adds its gradients to the pixels that won, channel by channel."""
    (kh, kw), (sh, sw), ((top, _), (left, _)), (dh, dw), _ = windows
    _, out_height, out_width, channels = grad_out.shape
    height, width = grad_x.shape[1:3]
    offsets = np.empty(kh * kw, np.int64)  # of each tap, in elements, from the window's first pixel
    for tap in range(kh * kw):
        offsets[tap] = (tap // kw * dh * width + tap % kw * dw) * channels  # tap (u, v)
    for n in range(len(grad_out)):
        image = grad_x[n].reshape(-1)  # (H*W*C,): one index for pixel and channel
        image[:] = 0
        for oh in range(out_height):
            for ow in range(out_width):
                g, winner = grad_out[n, oh, ow], winners[n, oh, ow]  # (C,)
                h0, w0 = oh * sh - top, ow * sw - left
                first = (h0 * width + w0) * channels  # of the window, in `image`
                if h0 >= 0 and w0 >= 0 and h0 + (kh - 1) * dh < height and w0 + (kw - 1) * dw < width:
                    for c in range(channels):
                        image[first + offsets[winner[c]] + c] += widened(g[c])
                else:  # a window may see nothing but padding, and then the padding has won
                    for c in range(channels):
                        h, w = h0 + winner[c] // kw * dh, w0 + winner[c] % kw * dw
                        if 0 <= h < height and 0 <= w < width:
                            image[first + offsets[winner[c]] + c] += widened(g[c])
