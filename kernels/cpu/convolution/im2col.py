"""Convolution of any geometry, as matrix products over the windows of a few pixels at a time.

minicnn/ops/conv.py makes a matrix of all windows and multiplies that. It is KH*KW times as large as the images: written
to memory and read again it costs more than the products. Here the windows of a *cache block* of pixels are copied
together, multiplied while they are in the second cache, and overwritten by those of the next one:

    col (pixels, KH*KW*C)      one window in each row; channels-last, KW*C numbers of it lie side by side in x
    forward       y[pixels] = col @ weight (KH*KW*C, OC)
    grad_weight   (OC, KH*KW*C) += grad_out[pixels]^T @ col
    grad_x        a convolution too, of grad_out, once for each *phase* of the stride (an example: _Phase)

Pixel a of x was seen through tap u by output i if a = i*stride + u*dilation - padding. For stride 1 each tap finds its
output, i = a + padding - u*dilation, and grad_x is a convolution of grad_out with the taps in reverse. For a larger one
only the taps with (a + padding - u*dilation) % stride == 0 do, and which those are depends on a % stride alone: the
pixels with one remainder, a phase, are a convolution of stride 1 with some of the taps. Nothing but padding is
multiplied by zero, and no pixel is added to twice (as col2im does).

Operations    2 * N*OH*OW * OC * KH*KW*C/groups in each pass, at the speed of matmul.py less the copying
Source        Chellapilla et al. 2006; Jia, "Learning semantic image representations at a large scale", 2014 (Caffe)
"""

import math
from typing import NamedTuple

import numpy as np

from ..gemm.lanes import clear, copy
from ..gemm.matmul import SUMMANDS, add_rows, multiply, multiply_transposed, padded, panels, transposing_space
from ..machine import memory, threads
from ..machine.jit import jit
from .geometry import Geometry

BLOCK_NUMBERS = 1 << 17  # of windows copied together: 512 KB of float32, a quarter of the second cache
LEAST_WINDOWS = 192  # copied together, however large they are, so that the weights are read for many of them


class Windows(NamedTuple):
    """What a geometry sees of images (N, H, W, C): a window for each of the N*OH*OW places, of one group's channels."""

    images: np.ndarray  # flat
    geometry: tuple  # a Geometry as a plain tuple
    depth: int  # numbers of a window: KH*KW*C/groups

    def blocks(self, start, stop):
        """Cut the places start ... stop into (start, stop) of about BLOCK_NUMBERS each."""
        count = max(LEAST_WINDOWS, BLOCK_NUMBERS // max(1, self.depth))  # windows in a block
        return [(first, min(first + count, stop)) for first in range(start, stop, count)]

    def copy(self, start, stop, group):
        """The windows at those places, of that group, as rows (stop - start, depth): scratch, flat."""
        col = memory.scratch("im2col.col", ((stop - start) * self.depth,), self.images.dtype)
        _copy_windows(self.images, col, start, stop, group, self.geometry)
        return col


def conv2d_forward(x, weight, bias, geometry):
    """y (N, OH, OW, OC) for x (N, H, W, C) and weight (OC, C/groups, KH, KW)."""
    filters, channels, *taps = weight.shape
    y = memory.empty((len(x), *geometry.out_size, filters), x.dtype)
    windows, results, count = _windows(x, geometry), y.reshape(-1), filters // geometry.groups  # count: of a group
    depth = windows.depth

    def work(start, stop):  # of the places
        for first, last in windows.blocks(start, stop):
            col = windows.copy(first, last, group)
            c = results, first * filters + group * count, filters  # this group's columns of y (N*OH*OW, OC)
            multiply((col, 0, depth), (b, 0), c, (last - first, depth, count), SUMMANDS)
            if bias is not None:
                add_rows(c, last - first, bias[group * count : (group + 1) * count])

    for group in range(geometry.groups):
        # b (KH*KW*C, OC): rows are counted (u, v, c) as in a window, but lie (c, u, v) in a filter
        steps = taps[1], 1, math.prod(taps)
        b = panels("im2col.b", weight.reshape(-1), group * count * depth, (*taps, channels), steps, count, depth)
        threads.run_chunks(work, math.prod(y.shape[:3]))
    return y


def conv2d_grad_x(grad_out, weight, geometry):
    """grad_x (N, H, W, C) from grad_out (N, OH, OW, OC)."""
    n, size = len(grad_out), geometry.size
    grad_x = memory.empty((n, *size, geometry.channels), grad_out.dtype)
    axes = [
        [_phase(*axis, corner) for corner in range(min(axis[1], length))]  # a stride may be longer than the image
        for *axis, length in zip(geometry.taps, geometry.stride, geometry.before, geometry.dilation, size, strict=True)
    ]
    if not all(phase.count for axis in axes for phase in axis):  # pixels that no window saw
        threads.run_chunks(lambda start, stop: grad_x[start:stop].fill(0), n)
    for corner in np.ndindex(*map(len, axes)):  # stride[0] * stride[1] phases
        phases = [axis[at] for axis, at in zip(axes, corner, strict=True)]
        if phases[0].count and phases[1].count:
            _grad_of_phase(grad_out, grad_x, weight, geometry, corner, phases)
    return grad_x


def _windows(images, geometry):
    depth = math.prod(geometry.taps) * (geometry.channels // geometry.groups)
    return Windows(images.reshape(-1), tuple(geometry), depth)


class _Phase(NamedTuple):
    """The taps that pixels a, a + stride, ... were seen through, and in which output: the last one first.

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


def _phase(kernel, stride, padding, dilation, a):
    """The phase of pixel a, along one axis."""
    taps = [u for u in range(kernel) if (a + padding - u * dilation) % stride == 0]  # those that find an output
    common = math.gcd(stride, dilation)  # those taps are stride/common apart, their outputs dilation/common
    last = taps[-1] if taps else 0
    return _Phase(last, -stride // common, len(taps), (a + padding - last * dilation) // stride, dilation // common)


def _grad_of_phase(grad_out, grad_x, weight, geometry, corner, phases):
    """Write the pixels corner, corner + stride, ... of grad_x: a convolution of grad_out with some of the taps."""
    filters, channels, *taps = weight.shape
    count, area, total, stride = filters // geometry.groups, math.prod(taps), geometry.channels, geometry.stride
    # what the phase sees: the images are grad_out, the outputs the phase's pixels, the filters' numbers its channels
    size = tuple(-(-(length - at) // s) for length, at, s in zip(geometry.size, corner, stride, strict=True))
    some, first, step = (tuple(getattr(p, name) for p in phases) for name in ("count", "first", "step"))
    before = -first[0], -first[1]
    seen = Geometry(geometry.out_size, size, some, (1, 1), before, step, filters, total, geometry.groups)
    windows = _windows(grad_out, seen)
    depth, pixels = windows.depth, grad_x.reshape(-1)

    def work(start, stop):  # of the phase's pixels
        for begin, end in windows.blocks(start, stop):
            col = windows.copy(begin, end, group)
            sizes = end - begin, depth, channels
            if stride == (1, 1):  # the only phase: its pixels are all there are, one behind the other
                c = pixels, begin * total + group * channels, total
                multiply((col, 0, depth), (b, 0), c, sizes, SUMMANDS)
            else:
                rows = memory.scratch("im2col.rows", ((end - begin) * channels,), grad_x.dtype)
                multiply((col, 0, depth), (b, 0), (rows, 0, channels), sizes, SUMMANDS)
                _spread(rows, pixels, begin, end, group, corner, tuple(geometry))

    for group in range(geometry.groups):
        # b (some taps * OC/groups, C/groups): rows count (u, v, filter), the last tap first
        start = group * count * channels * area + phases[0].tap * taps[1] + phases[1].tap
        steps = phases[0].tap_step * taps[1], phases[1].tap_step, channels * area
        b = panels("im2col.b", weight.reshape(-1), start, (*some, count), steps, channels, area)
        threads.run_chunks(work, len(grad_x) * math.prod(size))


def conv2d_grad_weight(grad_out, x, geometry):
    """grad_weight (OC, C/groups, KH, KW) from grad_out (N, OH, OW, OC) and x (N, H, W, C)."""
    filters, channels, taps = geometry.filters, geometry.channels // geometry.groups, geometry.taps
    windows, count = _windows(x, geometry), filters // geometry.groups  # count: filters of a group
    chunks, depth = threads.chunks(math.prod(grad_out.shape[:3])), windows.depth
    wide, gradients = padded(depth, x.dtype), grad_out.reshape(-1)
    sums = memory.scratch("im2col.sums", (max(1, len(chunks)), filters, wide), x.dtype)  # one for each thread
    if not chunks:
        sums[...] = 0

    def work(chunk):
        total, space = sums[chunk].reshape(-1), transposing_space(x.dtype)
        for group in range(geometry.groups):
            c = total, group * count * wide, wide  # this group's rows
            for begin, end in windows.blocks(*chunks[chunk]):
                col = windows.copy(begin, end, group)
                a, more = (gradients, begin * filters + group * count, filters), begin > chunks[chunk][0]
                multiply_transposed(a, (col, 0, depth), c, (end - begin, count, depth), more, space)

    threads.run(work, len(chunks))
    for more in sums[1:]:
        sums[0] += more  # in the order of the chunks
    # (OC, KH, KW, C/groups) -> (OC, C/groups, KH, KW)
    grad_weight = memory.empty((filters, channels, *taps), x.dtype)
    grad_weight[...] = sums[0, :, :depth].reshape(filters, *taps, channels).transpose(0, 3, 1, 2)
    return grad_weight


@jit
def _copy_windows(x, col, start, stop, group, geometry):
    """col (stop - start, KH*KW*C/groups) = the windows at those places, counted through all images; zeros outside."""
    size, out_size, taps, stride, before, dilation, total, _, groups = geometry
    (height, width), (out_h, out_w), (taps_h, taps_w) = size, out_size, taps
    (stride_h, stride_w), (top, left), (step_h, step_w) = stride, before, dilation
    channels = total // groups
    # the taps of a row of the window follow one another in x where they are neighbours and all channels are wanted
    together = step_w == 1 and channels == total
    run = taps_w * channels  # numbers of a row of the window
    to = 0
    for place in range(start, stop):
        j = place % out_w
        i = place // out_w % out_h
        image = place // out_w // out_h * height  # rows of pixels before this image
        x0 = j * stride_w - left  # the window's first column
        inside = together and x0 >= 0 and x0 + taps_w <= width
        for u in range(taps_h):
            y = i * stride_h - top + u * step_h  # the row of pixels that taps (u, ...) see
            if y < 0 or y >= height:  # a row of padding
                clear(col, to, run)
            elif inside:  # KW*C numbers at once
                copy(x, ((image + y) * width + x0) * total, col, to, run)
            else:  # tap by tap
                for v in range(taps_w):
                    z = x0 + v * step_w  # the column that tap (u, v) sees
                    at = ((image + y) * width + z) * total + group * channels
                    if 0 <= z < width:
                        copy(x, at, col, to + v * channels, channels)
                    else:
                        clear(col, to + v * channels, channels)
            to += run


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
