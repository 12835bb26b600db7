"""A network's first convolution: few channels, a large window, a stride (11x11 by 4, 7x7 by 2, of 3 channels).

im2col.py copies windows together before it multiplies. With 64 filters only, and KW*C = 21 or 33 numbers in a row of a
window, the copying takes as long as the products. But channels-last, a row of a window is one run of memory, and the
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
With more channels im2col.py is ahead, as its cache blocks of windows make better use of caches than rows of outputs do.

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
from ..gemm.matmul import SUMMANDS, multiply, multiply_windows, padded, panels
from ..gemm.transposed import multiply_windows_transposed
from ..machine import memory, threads
from ..machine.bfloat16 import bits
from ..machine.jit import jit
from .epilogue import Epilogue
from .geometry import Geometry

BAND_NUMBERS = 1 << 17  # of a band's pixels and results: 512 KB of float32, a quarter of the second cache
OUTPUTS = 512  # whose products are added up before the sums return to memory


def suits(geometry):
    """Whether rows of a window are short runs of memory."""
    whole = geometry.dilation == (1, 1) and geometry.groups == 1  # so that a row of a window is one run
    return whole and geometry.channels < 16 and min(geometry.taps) > 1


class Frames(NamedTuple):
    """Bands of images (N, H, W, C) as their windows see them: with the padding, in scratch."""

    images: np.ndarray
    geometry: Geometry

    @property
    def distances(self):
        """How far apart in a frame are: neighbouring windows, the windows of two rows of outputs, rows of pixels."""
        channels, (down, right) = self.geometry.channels, self.geometry.stride
        row = ((self.geometry.out_size[1] - 1) * right + self.geometry.taps[1]) * channels  # numbers, with the padding
        row += row % (4 // min(4, self.images.itemsize))  # bfloat16 numbers: whole words (stem16.py)
        return right * channels, down * row, row

    def copy(self, image, first, last):
        """The pixels that rows first ... last of outputs see, with zeros outside: scratch, flat."""
        (down, _), (top, left) = self.geometry.stride, self.geometry.before
        rows, row = (last - first - 1) * down + self.geometry.taps[0], self.distances[2]  # of the frame
        image = bits(self.images[image]).reshape(-1)
        frame = memory.scratch("stem.frame", (rows * row,), image.dtype)
        _copy_band(image, self.images.shape[1:], frame, (first * down - top, -left), rows, row)
        return frame


def bands(start, stop, height, most):
    """Cut rows start ... stop of all images, `height` in each, into (image, first, last) of at most so many rows."""
    while start < stop:
        image, first = divmod(start, height)
        last = min(height, first + most, first + stop - start)
        yield image, first, last
        start += last - first


def conv2d_forward(x, weight, bias, geometry, residual=None, relu=False, look=None):
    """y (N, OH, OW, OC) for x (N, H, W, C) and weight (OC, C, KH, KW)."""
    (height, width), taps, filters = geometry.out_size, geometry.taps, geometry.filters
    y = memory.empty((len(x), height, width, filters), x.dtype)
    area, line, results = math.prod(taps), width * filters, y.reshape(-1)  # line: numbers of a row of outputs
    frames, channels, epilogue = Frames(x, geometry), geometry.channels, Epilogue.of(bias, residual, relu, look)
    # b (KH*KW*C, OC): rows are counted (u, v, c) as pixels lie, in a filter (c, u, v)
    b = panels("stem.b", weight, 0, (*taps, channels), (taps[1], 1, area), filters, channels * area)
    rows = max(1, BAND_NUMBERS // (frames.distances[1] + line))  # of outputs, in a band

    def work(start, stop):  # of the rows of outputs, of all images
        for image, first, last in bands(start, stop, height, rows):
            frame, at = frames.copy(image, first, last), (image * height + first) * line
            counts = taps[0], last - first, width, taps[1] * channels, filters  # named in multiply_windows
            multiply_windows(frame, frames.distances, b, (results, at, filters, line), counts)
            epilogue.apply((results, at, filters), (last - first) * width, filters)

    threads.run_chunks(work, len(x) * height)
    return y


def conv2d_grad_x(grad_out, weight, geometry):
    """grad_x (N, H, W, C) from grad_out (N, OH, OW, OC).

    Threads share the rows of images; the windows of outputs that two of them see, each makes for itself.
    """
    n, out_height, out_width, filters = grad_out.shape
    (height, width), taps, channels = geometry.size, geometry.taps, geometry.channels
    (down, right), (top, left) = geometry.stride, geometry.before
    run = taps[1] * channels  # numbers of a row of a window
    depth = taps[0] * run  # numbers of a window
    wide = padded(depth, grad_out.dtype)  # whole panels
    ordered = np.ascontiguousarray(weight.transpose(0, 2, 3, 1)).reshape(-1)  # (OC, KH, KW, C), as pixels lie
    b = panels("stem.b", ordered, 0, (1, 1, filters), (1, 1, depth), depth, 1)
    grad_x, gradients = memory.empty((n, height, width, channels), grad_out.dtype), grad_out.reshape(-1)
    row = max((out_width - 1) * right + taps[1], left + width) * channels  # of a frame: windows may end before x does
    step = max(1, BAND_NUMBERS // max(1, out_width * wide))  # rows of outputs whose windows are made at once

    def work(start, stop):  # of the rows of pixels, of all images
        windows = memory.scratch("stem.windows", (step * out_width * wide,), grad_out.dtype)
        for image, first, last in bands(start, stop, height, height):
            frame = memory.scratch("stem.frame", ((last - first) * row,), grad_out.dtype)
            frame[:] = 0
            # the rows of outputs whose windows reach into rows first ... last
            begin = max(0, -(-(first + top - taps[0] + 1) // down))
            end = min(out_height, -(-(last + top) // down))
            for i in range(begin, end, step):
                count = min(step, end - i)
                a = gradients, (image * out_height + i) * out_width * filters, filters
                multiply(a, (b, 0), (windows, 0, wide), (count * out_width, filters, wide), SUMMANDS)
                corner = i * down - top - first  # the row of the frame where the first window begins
                sizes = count, out_width, taps[0], run
                _add_windows((windows, wide), sizes, (frame, row), corner, (down, right * channels))
            # the frame without its padding: (rows, W*C) -> (rows, W, C)
            inside = frame.reshape(last - first, row)[:, left * channels : (left + width) * channels]
            grad_x[image, first:last] = inside.reshape(last - first, width, channels)

    if channels:
        threads.run_chunks(work, n * height)
    return grad_x


def conv2d_grad_weight(grad_out, x, geometry):
    """grad_weight (OC, C, KH, KW) from grad_out (N, OH, OW, OC) and x (N, H, W, C).

    Each thread adds up its rows of outputs, and then come the sums of the threads, in their order.
    """
    n, height, width, filters = grad_out.shape
    frames, taps, channels = Frames(x, geometry), geometry.taps, geometry.channels
    chunks, rows = threads.chunks(n * height), max(1, OUTPUTS // width)
    wide, depth = padded(filters, x.dtype), taps[1] * channels  # depth: numbers of a row of a window
    sums = memory.scratch("stem.sums", (max(1, len(chunks)), taps[0] * depth, wide), x.dtype)  # (chunks, KH*KW*C, wide)
    sums[...] = 0
    gradients = grad_out.reshape(n, height, width * filters)  # a row of outputs is a row

    def work(chunk):
        total = sums[chunk].reshape(-1)
        panel = memory.scratch("stem.panel", (rows * width * wide,), x.dtype)  # of grad_out, packed
        for image, first, last in bands(*chunks[chunk], height, rows):
            frame, band = frames.copy(image, first, last), gradients[image, first:last].reshape(-1)
            counts = taps[0], last - first, width, depth, filters  # named in multiply_windows
            multiply_windows_transposed(frame, frames.distances, band, (total, wide), counts, panel)

    threads.run(work, len(chunks))
    return filters_of_sums(sums, geometry)


def filters_of_sums(sums, geometry):
    """grad_weight (OC, C, KH, KW) from sums (chunks, KH*KW*C, at least OC), added up in that order."""
    for other in sums[1:]:
        sums[0] += other
    # (KH, KW, C, OC) -> (OC, C, KH, KW)
    grad_weight = memory.empty((geometry.filters, geometry.channels, *geometry.taps), sums.dtype)
    inside = sums[0, :, : geometry.filters].reshape(*geometry.taps, geometry.channels, geometry.filters)
    grad_weight[...] = inside.transpose(3, 2, 0, 1)
    return grad_weight


@jit
def _copy_band(x, size, frame, corner, rows, row):
    """frame (rows, row) = the image x of that size, from pixel `corner` on, and zeros where that is outside."""
    (height, width, channels), (top, left) = size, corner
    before = min(row, max(0, -left) * channels)  # zeros to the left
    count = max(0, min(row - before, (width - max(0, left)) * channels))  # numbers of a row that are in the image
    for i in range(rows):
        at = i * row
        if top + i < 0 or top + i >= height:
            clear(frame, at, row)
            continue
        clear(frame, at, before)
        copy(x, ((top + i) * width + max(0, left)) * channels, frame, at + before, count)
        clear(frame, at + before + count, row - before - count)


@jit
def _add_windows(windows, sizes, frame, top, distances):
    """Add windows to the frame, as far as their rows are in it; both are (array, how far rows are apart).

    sizes: (lines of windows, windows in each, rows of a window, numbers of such a row); distances: (rows between two
    lines, numbers between two windows); the first line begins in row `top` of the frame.
    """
    (x, wide), (lines, count, taps, run), (y, row), (down, right) = windows, sizes, frame, distances
    for i in range(lines):
        for u in range(taps):
            line = top + i * down + u  # where row u of these windows lies in the frame
            if 0 <= line < len(y) // row:  # else it is another chunk's, or padding
                for j in range(count):
                    at, to = (i * count + j) * wide + u * run, line * row + j * right
                    for k in range(run):
                        y[to + k] += x[at + k]
