"""A network's first convolution: few channels, a large window, a stride (11x11 by 4, 7x7 by 2, of 3 channels).

im2col.py copies windows together before it multiplies. With 64 filters only, and KW*C = 21 or 33 numbers in a row of a
window, the copying takes as long as the products. But channels-last, a row of a window is one piece of memory, and the
window of the next output begins stride*C numbers later (here 3 channels, KW = 3, stride 2):

    a row of pixels            rgb rgb rgb rgb rgb rgb rgb ...
    of the first window        [         ]
    of the second                      [         ]
    of the third                               [         ]

To a matrix product that takes the distance between its rows as an argument (matmul.py) these rows, which overlap, are a
matrix where they lie. windows(h) is the one of row h of an image, padded, and for each row of outputs there is a sum of
KH products:

    y[n, i, :, :] = sum over u of  windows(i*stride + u) (OW, KW*C) @ weight[u] (KW*C, OC)
    grad_weight[u] (KW*C, OC) = sum over n, i of  windows(i*stride + u)^T @ grad_out[n, i, :, :]

Only the padding has to be there: a band of an image is copied into a frame of zeros, once, not KH*KW/stride^2 times.
With more channels im2col.py is ahead, as whole blocks of windows make better use of the caches than rows of outputs do.

grad_x goes the other way: a product makes the gradients of the windows of a few rows of outputs, and each row of a
window is added where it lies in the image. Hardly anybody asks that of a first layer.

    gradients of windows (OW, KH*KW*C) = grad_out[n, i] (OW, OC) @ weight (OC, KH*KW*C)

Operations    2 * N*OH*OW * OC * KH*KW*C in each pass
Source        Anderson, Vasudevan, Keane, Gregg, "Low-memory GEMM-based convolution algorithms for deep neural
              networks", 2017
"""

import math
from typing import NamedTuple

import numpy as np

from ..gemm.lanes import clear, copy
from ..gemm.matmul import SUMMANDS, add_rows, multiply, multiply_windows, multiply_windows_transposed, padded, panels
from ..machine import memory, threads
from ..machine.jit import jit

BLOCK = 1 << 17  # numbers of a band and its results: they stay in the second cache
OUTPUTS = 512  # whose products are added up before the sums return to memory


def suits(kernel, channels, dilation, groups):
    """Whether rows of a window are short pieces of memory."""
    return channels < 16 and min(kernel) > 1 and dilation == (1, 1) and groups == 1


class _Frames(NamedTuple):
    """The windows of images (N, H, W, C): tap (u, v) of output (i, j) is pixel (i, j)*stride + (u, v) - padding."""

    images: np.ndarray
    out_size: tuple
    stride: tuple
    padding: tuple
    taps: tuple

    @property
    def distances(self):
        """How far apart in a frame are: neighbouring windows, the windows of two rows of outputs, rows of pixels."""
        channels = self.images.shape[3]
        row = ((self.out_size[1] - 1) * self.stride[1] + self.taps[1]) * channels
        return self.stride[1] * channels, self.stride[0] * row, row

    def copy(self, image, first, last):
        """The pixels that rows first ... last of outputs see, with zeros outside: scratch, flat."""
        rows, row = (last - first - 1) * self.stride[0] + self.taps[0], self.distances[2]
        frame = memory.scratch("stem.frame", (rows * row,), self.images.dtype)
        corner = first * self.stride[0] - self.padding[0], -self.padding[1]
        _copy_band(self.images.reshape(-1), image, *self.images.shape[1:], frame, *corner, rows, row)
        return frame


def _bands(start, stop, height, most):
    """Cut rows start ... stop of all images, `height` in each, into (image, first, last) of at most so many rows."""
    while start < stop:
        image, first = divmod(start, height)
        last = min(height, first + most, first + stop - start)
        yield image, first, last
        start += last - first


def conv2d_forward(x, weight, bias, out_size, stride, padding):
    """y (N, OH, OW, OC) for x (N, H, W, C), weight (OC, C, KH, KW) and padding (top, left)."""
    filters, channels, *taps = weight.shape
    y = memory.empty((len(x), *out_size, filters), x.dtype)
    area, line, results = math.prod(taps), out_size[1] * filters, y.reshape(-1)
    frames = _Frames(x, out_size, stride, padding, tuple(taps))
    b = panels("stem.b", weight.reshape(-1), 0, (*taps, channels), (taps[1], 1, area), filters, channels * area)
    rows, depth = max(1, BLOCK // (frames.distances[1] + line)), taps[1] * channels

    def work(start, stop):
        for image, first, last in _bands(start, stop, out_size[0], rows):
            frame, at = frames.copy(image, first, last), (image * out_size[0] + first) * line
            size = last - first, out_size[1], depth, filters
            multiply_windows(frame, *frames.distances, taps[0], b, results, at, filters, line, *size)
            if bias is not None:
                add_rows(results, at, filters, (last - first) * out_size[1], bias)

    threads.run_shares(work, len(x) * out_size[0])
    return y


def conv2d_grad_x(grad_out, x_shape, weight, stride, padding):
    """grad_x (N, H, W, C) from grad_out (N, OH, OW, OC).

    Threads share the rows of images; the windows of outputs that two of them see, each makes for itself.
    """
    n, channels, height, width = x_shape
    out_height, out_width, filters = grad_out.shape[1:]
    taps, run = weight.shape[2:], weight.shape[3] * channels
    depth = taps[0] * run
    wide = padded(depth, grad_out.dtype)
    ordered = np.ascontiguousarray(weight.transpose(0, 2, 3, 1)).reshape(-1)
    b = panels("stem.b", ordered, 0, (1, 1, filters), (1, 1, depth), depth, 1)
    grad_x, gradients = memory.empty((n, height, width, channels), grad_out.dtype), grad_out.reshape(-1)
    row = max((out_width - 1) * stride[1] + taps[1], padding[1] + width) * channels
    step, right = max(1, BLOCK // max(1, out_width * wide)), stride[1] * channels  # step: rows of outputs

    def work(start, stop):
        windows = memory.scratch("stem.windows", (step * out_width * wide,), grad_out.dtype)
        for image, first, last in _bands(start, stop, height, height):
            frame = memory.scratch("stem.frame", ((last - first) * row,), grad_out.dtype)
            frame[:] = 0
            begin = max(0, -(-(first + padding[0] - taps[0] + 1) // stride[0]))
            end = min(out_height, -(-(last + padding[0]) // stride[0]))
            for i in range(begin, end, step):
                count = min(step, end - i)
                at, rows = (image * out_height + i) * out_width * filters, count * out_width
                multiply(gradients, at, filters, b, 0, windows, 0, wide, rows, filters, wide, SUMMANDS)
                corner, counts = i * stride[0] - padding[0] - first, (count, out_width)
                _add_windows(windows, wide, counts, frame, row, corner, stride[0], right, taps[0], run)
            inside = frame.reshape(last - first, row)[:, padding[1] * channels : (padding[1] + width) * channels]
            grad_x[image, first:last] = inside.reshape(last - first, width, channels)

    if channels:
        threads.run_shares(work, n * height)
    return grad_x


def conv2d_grad_weight(grad_out, x, weight_shape, stride, padding):
    """grad_weight (OC, C, KH, KW) from grad_out (N, OH, OW, OC) and x (N, H, W, C).

    Each thread adds up its rows of outputs, and then come the sums of the threads, in their order.
    """
    filters, channels, *taps = weight_shape
    n, height, width, _ = grad_out.shape
    frames = _Frames(x, (height, width), stride, padding, tuple(taps))
    shares, rows = threads.shares(n * height), max(1, OUTPUTS // width)
    wide, depth = padded(filters, x.dtype), taps[1] * channels
    sums = memory.scratch("stem.sums", (max(1, len(shares)), taps[0] * depth, wide), x.dtype)
    sums[...] = 0
    gradients = grad_out.reshape(n, height, width * filters)

    def work(share):
        total = sums[share].reshape(-1)
        panel = memory.scratch("stem.panel", (rows * width * wide,), x.dtype)
        for image, first, last in _bands(*shares[share], height, rows):
            frame, part = frames.copy(image, first, last), gradients[image, first:last].reshape(-1)
            size = last - first, width, depth, filters
            multiply_windows_transposed(frame, *frames.distances, taps[0], part, total, wide, *size, panel)

    threads.run(work, len(shares))
    for other in sums[1:]:
        sums[0] += other
    grad_weight = memory.empty(weight_shape, x.dtype)
    grad_weight[...] = sums[0, :, :filters].reshape(*taps, channels, filters).transpose(3, 2, 0, 1)
    return grad_weight


@jit
def _copy_band(x, image, height, width, channels, frame, top, left, rows, row):
    """frame (rows, row) = the image from pixel (top, left) on, and zeros where that is outside."""
    before = min(row, max(0, -left) * channels)
    count = max(0, min(row - before, (width - max(0, left)) * channels))
    for i in range(rows):
        at = i * row
        if top + i < 0 or top + i >= height:
            clear(frame, at, row)
            continue
        clear(frame, at, before)
        copy(x, ((image * height + top + i) * width + max(0, left)) * channels, frame, at + before, count)
        clear(frame, at + before + count, row - before - count)


@jit
def _add_windows(windows, wide, counts, frame, row, top, down, right, taps, run):
    """Add windows, `taps` rows of `run` numbers each, to the frame, as far as their rows are in it.

    counts: of windows (below each other, side by side), which begin `down` rows and `right` numbers apart; the first in
    row `top`.
    """
    for i in range(counts[0]):
        for u in range(taps):
            line = top + i * down + u
            if 0 <= line < len(frame) // row:
                for j in range(counts[1]):
                    at, to = (i * counts[1] + j) * wide + u * run, line * row + j * right
                    for k in range(run):
                        frame[to + k] += windows[at + k]
