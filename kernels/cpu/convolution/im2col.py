"""Convolution of any geometry, as matrix products over the windows of a few pixels at a time.

minicnn/ops/conv.py makes a matrix of all windows and multiplies that. It is KH*KW times as large as the images: written
to memory and read again it costs more than the products. Here the windows of a block of pixels are copied together,
multiplied while they are in the second cache, and overwritten by those of the next block:

    col (pixels, KH*KW*C)      one window in each row; channels-last, KW*C numbers of it lie side by side in x
    forward       y[pixels] = col @ weight (KH*KW*C, OC)
    grad_weight   (OC, KH*KW*C) += grad_out[pixels]^T @ col
    grad_x        a convolution too, of grad_out, once for each *phase* of the stride (an example: _Phase)

Pixel a of x was seen through tap u by output i if a = i*stride + u*dilation - padding. For stride 1 each tap finds its
output, i = a + padding - u*dilation, and grad_x is a convolution of grad_out with the taps in reverse. For a larger one
only the taps with (a + padding - u*dilation) % stride == 0 do, and which those are depends on a % stride alone: the
pixels with one remainder, a phase, are a convolution of stride 1 with a part of the taps. Nothing but padding is
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

BLOCK = 1 << 17  # numbers of windows
LEAST_ROWS = 192  # of windows, so that the weights are read for many of them


class Windows(NamedTuple):
    """What is seen of images (N, H, W, C) from N*OH*OW places: tap (u, v) at place (i, j) is pixel
    ``(i, j)*stride + first + (u, v)*step``, or 0 outside. `channels` of the C are looked at."""

    images: np.ndarray
    out_size: tuple
    stride: tuple
    first: tuple
    taps: tuple
    step: tuple
    channels: int

    def blocks(self, start, stop):
        """Cut the places start ... stop into (start, stop) of about BLOCK numbers each."""
        count = max(LEAST_ROWS, BLOCK // max(1, math.prod(self.taps) * self.channels))
        return [(first, min(first + count, stop)) for first in range(start, stop, count)]

    def copy(self, start, stop, channel):
        """The windows at those places, from that channel on, as rows: scratch, flat."""
        _, *size, channels = self.images.shape
        shape = stop - start, math.prod(self.taps) * self.channels
        col = memory.scratch("im2col.col", (math.prod(shape),), self.images.dtype)
        geometry = *size, channels, *self.out_size, *self.stride, *self.first, *self.taps, *self.step
        _copy_windows(self.images.reshape(-1), col, start, stop, channel, self.channels, geometry)
        return col


def conv2d_forward(x, weight, bias, out_size, stride, padding, dilation, groups):
    """y (N, OH, OW, OC) for x (N, H, W, C), weight (OC, C/groups, KH, KW) and padding (top, left)."""
    filters, channels, *kernel = weight.shape
    y = memory.empty((len(x), *out_size, filters), x.dtype)
    windows = Windows(x, out_size, stride, (-padding[0], -padding[1]), tuple(kernel), dilation, channels)
    results, count, depth = y.reshape(-1), filters // groups, math.prod(weight.shape[1:])

    def work(start, stop):
        for first, last in windows.blocks(start, stop):
            col = windows.copy(first, last, group * channels)
            at = first * filters + group * count
            multiply(col, 0, depth, b, 0, results, at, filters, last - first, depth, count, SUMMANDS)
            if bias is not None:
                add_rows(results, at, filters, last - first, bias[group * count : (group + 1) * count])

    for group in range(groups):
        steps = kernel[1], 1, math.prod(kernel)
        b = panels("im2col.b", weight.reshape(-1), group * count * depth, (*kernel, channels), steps, count, depth)
        threads.run_shares(work, math.prod(y.shape[:3]))
    return y


def conv2d_grad_x(grad_out, x_shape, weight, stride, padding, dilation, groups):
    """grad_x (N, H, W, C) from grad_out (N, OH, OW, OC)."""
    n, channels, *size = x_shape
    grad_x = memory.empty((n, *size, channels), grad_out.dtype)
    axes = [
        [_phase(*axis, corner) for corner in range(min(axis[1], length))]  # a stride may be longer than the image
        for *axis, length in zip(weight.shape[2:], stride, padding, dilation, size, strict=True)
    ]
    if not all(phase.count for axis in axes for phase in axis):  # pixels that no window saw
        threads.run_shares(lambda start, stop: grad_x[start:stop].fill(0), n)
    for corner in np.ndindex(*map(len, axes)):
        phases = [axis[at] for axis, at in zip(axes, corner, strict=True)]
        part = [-(-(length - at) // s) for length, at, s in zip(size, corner, stride, strict=True)]
        if phases[0].count and phases[1].count:
            _grad_of_phase(grad_out, grad_x, weight, groups, corner, stride, part, phases)
    return grad_x


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
    taps = [u for u in range(kernel) if (a + padding - u * dilation) % stride == 0]
    common = math.gcd(stride, dilation)
    last = taps[-1] if taps else 0
    return _Phase(last, -stride // common, len(taps), (a + padding - last * dilation) // stride, dilation // common)


def _grad_of_phase(grad_out, grad_x, weight, groups, corner, stride, part, phases):
    filters, channels, *kernel = weight.shape
    count, area, total = filters // groups, math.prod(kernel), grad_x.shape[3]
    taps, first, step = (tuple(getattr(p, name) for p in phases) for name in ("count", "first", "step"))
    windows, depth = Windows(grad_out, tuple(part), (1, 1), first, taps, step, count), math.prod(taps) * count
    geometry = *grad_x.shape[1:], *part, *corner, *stride
    pixels = grad_x.reshape(-1)

    def work(start, stop):
        for begin, end in windows.blocks(start, stop):
            col = windows.copy(begin, end, group * count)
            if stride == (1, 1):
                at = begin * total + group * channels
                multiply(col, 0, depth, b, 0, pixels, at, total, end - begin, depth, channels, SUMMANDS)
            else:
                rows = memory.scratch("im2col.rows", ((end - begin) * channels,), grad_x.dtype)
                multiply(col, 0, depth, b, 0, rows, 0, channels, end - begin, depth, channels, SUMMANDS)
                _spread(rows, pixels, begin, end, group * channels, channels, geometry)

    for group in range(groups):
        start = group * count * channels * area + phases[0].tap * kernel[1] + phases[1].tap
        steps = phases[0].tap_step * kernel[1], phases[1].tap_step, channels * area
        b = panels("im2col.b", weight.reshape(-1), start, (*taps, count), steps, channels, area)
        threads.run_shares(work, len(grad_x) * math.prod(part))


def conv2d_grad_weight(grad_out, x, weight_shape, stride, padding, dilation, groups):
    """grad_weight (OC, C/groups, KH, KW) from grad_out (N, OH, OW, OC) and x (N, H, W, C)."""
    filters, channels, *kernel = weight_shape
    first, count, depth = (-padding[0], -padding[1]), filters // groups, math.prod(weight_shape[1:])
    windows = Windows(x, grad_out.shape[1:3], stride, first, tuple(kernel), dilation, channels)
    shares = threads.shares(math.prod(grad_out.shape[:3]))
    wide, gradients = padded(depth, x.dtype), grad_out.reshape(-1)
    sums = memory.scratch("im2col.sums", (max(1, len(shares)), filters, wide), x.dtype)
    if not shares:
        sums[...] = 0

    def work(share):
        total, space = sums[share].reshape(-1), transposing_space(x.dtype)
        for group in range(groups):
            to = group * count * wide
            for begin, end in windows.blocks(*shares[share]):
                col = windows.copy(begin, end, group * channels)
                at, more = begin * filters + group * count, begin > shares[share][0]
                multiply_transposed(
                    gradients, at, filters, col, 0, depth, total, to, wide, end - begin, count, depth, more, space
                )

    threads.run(work, len(shares))
    for more in sums[1:]:
        sums[0] += more
    grad_weight = memory.empty(weight_shape, x.dtype)
    grad_weight[...] = sums[0, :, :depth].reshape(filters, *kernel, channels).transpose(0, 3, 1, 2)
    return grad_weight


@jit
def _copy_windows(x, col, start, stop, channel, channels, geometry):
    height, width, total, out_h, out_w, stride_h, stride_w, top, left, taps_h, taps_w, step_h, step_w = geometry
    # the taps of a row of the window are one piece of x where they are neighbours and all channels are wanted
    together = step_w == 1 and channels == total
    run = taps_w * channels
    to = 0
    for place in range(start, stop):
        j = place % out_w
        i = place // out_w % out_h
        image = place // out_w // out_h * height
        x0 = j * stride_w + left
        inside = together and x0 >= 0 and x0 + taps_w <= width
        for u in range(taps_h):
            y = i * stride_h + top + u * step_h
            if y < 0 or y >= height:
                clear(col, to, run)
            elif inside:
                copy(x, ((image + y) * width + x0) * total, col, to, run)
            else:
                for v in range(taps_w):
                    z = x0 + v * step_w
                    at = ((image + y) * width + z) * total + channel
                    if 0 <= z < width:
                        copy(x, at, col, to + v * channels, channels)
                    else:
                        clear(col, to + v * channels, channels)
            to += run


@jit
def _spread(rows, y, start, stop, channel, channels, geometry):
    """Row p to the p-th pixel of a phase of y."""
    height, width, total, part_h, part_w, corner_h, corner_w, stride_h, stride_w = geometry
    for place in range(start, stop):
        row = place // part_w // part_h * height + place // part_w % part_h * stride_h + corner_h
        at = (row * width + place % part_w * stride_w + corner_w) * total + channel
        copy(rows, (place - start) * channels, y, at, channels)
