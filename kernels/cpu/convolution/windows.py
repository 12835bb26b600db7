"""The windows of images, copied together, and the phases of a stride: what im2col.py and bfloat16.py multiply.

    col (windows, KH*KW*C)      one window in each row; channels-last, KW*C numbers of it lie side by side in x

The gradient of the images is a convolution too, of grad_out, once for each *phase* of the stride (an example: Axis).
Pixel a of x was seen through tap u by output i if a = i*stride + u*dilation - padding. For stride 1 each tap finds its
output, i = a + padding - u*dilation, and grad_x is a convolution of grad_out with the taps in reverse. For a larger one
only the taps with (a + padding - u*dilation) % stride == 0 do, and which those are depends on a % stride alone: the
pixels with one remainder, a phase, are a convolution of stride 1 with some of the taps. Nothing but padding is
multiplied by zero, and no pixel is added to twice (as col2im does).

Both kinds of convolution have filters in an order of their own: `filters_of` says where the rows of a matrix
b (KH*KW*C/groups, OC/groups) lie in the weights, as `panels` (matmul.py) is told it.
"""

import math
from typing import NamedTuple

import numpy as np

from ..gemm.lanes import clear, copy, lanes, load, store
from ..machine import memory, threads
from ..machine.bfloat16 import bits
from ..machine.jit import jit
from .geometry import Geometry

BLOCK_BYTES = 1 << 19  # of windows copied together: 512 KB, a quarter of the second cache
LEAST_WINDOWS = 196  # copied together, however large they are, so that the weights are read for many: 4 times 7 x 7


class Windows(NamedTuple):
    """What a geometry sees of images (N, H, W, C): a window for each of the N*OH*OW places, of one group's channels."""

    images: np.ndarray  # flat; of bfloat16 numbers their 16 bits
    geometry: tuple  # a Geometry as a plain tuple
    depth: int  # numbers of a window: KH*KW*C/groups
    is_plain: bool  # whether each window is a pixel, and they follow one another

    def blocks(self, start, stop, beside=0):
        """Cut the places start ... stop into (start, stop) of about BLOCK_BYTES each.

        beside: how many bytes are kept in the same cache for each place, beside its window
        """
        size = self.depth * self.images.itemsize + beside  # bytes for a place
        count = max(LEAST_WINDOWS, BLOCK_BYTES // max(1, size))  # windows in a block
        return [(first, min(first + count, stop)) for first in range(start, stop, count)]

    def rows(self, start, stop, group):
        """The windows at those places, of that group, as the rows of a matrix (stop - start, depth), as matmul.py has
        them: (array, where it begins, how far rows are apart). Pixels are where they lie, windows copied to scratch."""
        if self.is_plain:
            channels = self.geometry[6]  # of a pixel
            return self.images, start * channels + group * self.depth, channels
        col = memory.scratch("windows.col", ((stop - start) * self.depth,), self.images.dtype)
        copy_windows(self.images, col, start, stop, group, self.geometry)
        return col, 0, self.depth


def windows_of(images, geometry):
    """The Windows of images (N, H, W, C)."""
    depth = math.prod(geometry.taps) * (geometry.channels // geometry.groups)
    is_plain = geometry.taps == geometry.stride == (1, 1) and geometry.before == geometry.after == (0, 0)
    return Windows(bits(images).reshape(-1), tuple(geometry), depth, is_plain)


def filters_of(geometry, group):
    """(start, counts, steps, columns, column_step) of that group's filters: the rest of the arguments of `panels`."""
    count, channels = geometry.filters // geometry.groups, geometry.channels // geometry.groups
    taps, area = geometry.taps, math.prod(geometry.taps)
    # rows are counted (u, v, c) as in a window, but lie (c, u, v) in a filter
    return group * count * channels * area, (*taps, channels), (taps[1], 1, area), count, channels * area


class Axis(NamedTuple):
    """Along one axis: the taps that pixels a, a + stride, ... were seen through, and in which output, last one first.

    Stride 2, 3 taps, padding 1: the windows begin at pixels -1, 1, 3, ... So even pixels are seen through tap 1 alone,
    odd ones through tap 2, and through tap 0 by the next output:

        pixel        0  1  2  3  4  5         a   tap  tap_step  count  first  step
        output 0     1  2                     0    1     -2        1      0     1
        output 1        0  1  2               1    2     -2        2      0     1
        output 2              0  1  2

    So grad_x[1 + 2*p] = grad_out[p] * weight[2] + grad_out[p + 1] * weight[0].
    """

    tap: int  # the last of the taps
    tap_step: int  # from there to the tap before, and so on
    count: int  # of the taps
    first: int  # the output that saw pixel a through the last tap
    step: int  # from there to the output that saw it through the tap before


class Phase(NamedTuple):
    """The pixels corner, corner + stride, ...: their gradient is a convolution of grad_out with some of the taps."""

    geometry: Geometry  # whose phase it is
    corner: tuple  # (row, column) of the first pixel
    axes: tuple  # (Axis, Axis)

    @property
    def is_seen(self):
        """Whether any tap sees these pixels; else their gradient is 0."""
        return all(axis.count for axis in self.axes)

    @property
    def seen(self):
        """The convolution's geometry: its images are grad_out, its outputs the phase's pixels, its channels filters."""
        g = self.geometry
        size = tuple(-(-(length - at) // s) for length, at, s in zip(g.size, self.corner, g.stride, strict=True))
        some, first, step = (tuple(getattr(axis, name) for axis in self.axes) for name in ("count", "first", "step"))
        return Geometry(g.out_size, size, some, (1, 1), (-first[0], -first[1]), step, g.filters, g.channels, g.groups)

    def filters_of(self, group):
        """As `filters_of`, of this convolution: rows count (u, v, filter), the last tap first."""
        g, (down, across) = self.geometry, self.axes
        count, channels, area = g.filters // g.groups, g.channels // g.groups, math.prod(g.taps)
        start = group * count * channels * area + down.tap * g.taps[1] + across.tap
        steps = down.tap_step * g.taps[1], across.tap_step, channels * area
        return start, (down.count, across.count, count), steps, channels, area

    def spread(self, rows, grad_x, start, stop, group):
        """Write a matrix (stop - start, C/groups), these pixels' gradients, to where they lie in grad_x; both flat."""
        _spread(rows, grad_x, start, stop, group, self.corner, tuple(self.geometry))


def filters_gradient(sums, geometry):
    """grad_weight (OC, C/groups, KH, KW) from sums (chunks, OC, at least KH*KW*C/groups), added up in that order."""
    channels, area = geometry.channels // geometry.groups, math.prod(geometry.taps)
    grad_weight = memory.empty((geometry.filters, channels, *geometry.taps), sums.dtype)
    flat = grad_weight.reshape(-1)
    least = threads.LEAST // max(1, channels * area)  # filters
    threads.run_chunks(lambda *some: _collect_filters(sums, flat, some, (channels, area)), geometry.filters, least)
    return grad_weight


@jit
def _collect_filters(sums, grad_weight, numbers, size):
    """The filters of these numbers (start, stop); size: (channels, taps)."""
    channels, area = size
    for k in range(numbers[0], numbers[1]):
        total = sums[0, k]
        for i in range(1, len(sums)):
            for j in range(channels * area):
                total[j] += sums[i, k, j]
        gradients = grad_weight[k * channels * area :]
        for u in range(area):  # (KH*KW, C/groups) -> (C/groups, KH*KW)
            tap = total[u * channels :]
            for c in range(channels):
                gradients[c * area + u] = tap[c]


def phases(geometry):
    """All stride[0] * stride[1] phases; fewer where an image is smaller than the stride."""
    axes = [
        [_axis(*axis, corner) for corner in range(min(axis[1], length))]
        for *axis, length in zip(
            geometry.taps, geometry.stride, geometry.before, geometry.dilation, geometry.size, strict=True
        )
    ]
    corners = np.ndindex(*map(len, axes))
    return [Phase(geometry, corner, (axes[0][corner[0]], axes[1][corner[1]])) for corner in corners]


def _axis(kernel, stride, padding, dilation, a):
    """The phase of pixel a, along one axis."""
    taps = [u for u in range(kernel) if (a + padding - u * dilation) % stride == 0]  # those that find an output
    common = math.gcd(stride, dilation)  # those taps are stride/common apart, their outputs dilation/common
    last = taps[-1] if taps else 0
    return Axis(last, -stride // common, len(taps), (a + padding - last * dilation) // stride, dilation // common)


@jit
def copy_windows(x, col, start, stop, group, geometry):
    """col (stop - start, KH*KW*C/groups) = the windows at those places, counted through all images; zeros outside."""
    size, out_size, taps, stride, before, dilation, total, _, groups = geometry
    (height, width), (out_h, out_w), (taps_h, taps_w) = size, out_size, taps
    (stride_h, stride_w), (top, left), (step_h, step_w) = stride, before, dilation
    channels = total // groups
    # the taps of a row of the window follow one another in x where they are neighbours and all channels are wanted
    together = step_w == 1 and channels == total
    run = taps_w * channels  # numbers of a row of the window
    # output (i, j); rows of pixels before its image. They are counted on: to divide takes as long as to copy a row
    j, i, image = start % out_w, start // out_w % out_h, start // out_w // out_h * height
    to = 0
    for _ in range(start, stop):
        x0 = j * stride_w - left  # the window's first column
        inside = together and x0 >= 0 and x0 + taps_w <= width
        for u in range(taps_h):
            y = i * stride_h - top + u * step_h  # the row of pixels that taps (u, ...) see
            if y < 0 or y >= height:  # a row of padding
                clear(col, to, run)
            elif inside:  # KW*C numbers at once
                _append(x, ((image + y) * width + x0) * total, col, to, run)
            else:  # tap by tap
                for v in range(taps_w):
                    z = x0 + v * step_w  # the column that tap (u, v) sees
                    at = ((image + y) * width + z) * total + group * channels
                    if 0 <= z < width:
                        _append(x, at, col, to + v * channels, channels)
                    else:
                        clear(col, to + v * channels, channels)
            to += run
        j += 1
        if j == out_w:
            j, i = 0, i + 1
            if i == out_h:
                i, image = 0, image + height


@jit(forceinline=True)
def _append(x, at, col, to, count):
    """copy(), for a col that is written from its beginning on: of a few numbers a whole vector, if there is room.
    What is behind them is written over by what is appended next."""
    if count < lanes(x) and at + lanes(x) <= len(x) and to + lanes(x) <= len(col):
        store(col, to, 0, 0, 1, load(x, at, 0, 1, 0, 1))
    else:
        copy(x, at, col, to, count)


@jit
def _spread(rows, y, start, stop, group, corner, geometry):
    """Row p to the p-th pixel of the phase of y that begins at `corner`."""
    (height, width), _, _, (stride_h, stride_w), _, _, total, _, groups = geometry
    (corner_h, corner_w), channels = corner, total // groups
    phase_h, phase_w = (height - corner_h + stride_h - 1) // stride_h, (width - corner_w + stride_w - 1) // stride_w
    for place in range(start, stop):
        row = place // phase_w // phase_h * height + place // phase_w % phase_h * stride_h + corner_h  # of all images
        at = (row * width + place % phase_w * stride_w + corner_w) * total + group * channels
        copy(rows, (place - start) * channels, y, at, channels)
