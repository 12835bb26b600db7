"""Depthwise convolution, each channel with a filter of its own: no matrix product, and bound by memory.

    y[n, i, j, c] = sum_{u,v} x[n, i*stride + u*dilation - padding, ..., c] * weight[c, u, v]

The same numbers for all channels of a pixel side by side: the innermost loop of all three passes runs along memory.
2*KH*KW operations for each number, which lies in the first cache while the taps are gone through.

Source    Howard et al., "MobileNets", 2017; Sifre 2014
"""

import math

import numpy as np

from ..machine import memory, threads
from ..machine.jit import jit

FORWARD, GRAD_X, GRAD_WEIGHT = range(3)
LEAST_NUMBERS = 1 << 16  # of an image, below which a band of it is not worth waking a thread for


def conv2d_forward(x, weight, bias, geometry):
    """y (N, OH, OW, C) for x (N, H, W, C) and weight (C, 1, KH, KW)."""
    y = memory.empty((len(x), *geometry.out_size, geometry.channels), x.dtype)
    y[...] = 0 if bias is None else bias  # the sums begin there
    bands = _bands(y)
    _walk(FORWARD, x, y, [_by_taps(weight)] * len(bands), bands, geometry)
    return y


def conv2d_grad_x(grad_out, weight, geometry):
    """grad_x (N, H, W, C) from grad_out (N, OH, OW, C)."""
    grad_x = memory.empty((len(grad_out), *geometry.size, geometry.channels), grad_out.dtype)
    grad_x[...] = 0
    bands = _bands(grad_x)
    _walk(GRAD_X, grad_x, grad_out, [_by_taps(weight)] * len(bands), bands, geometry)
    return grad_x


def conv2d_grad_weight(grad_out, x, geometry):
    """grad_weight (C, 1, KH, KW): a sum for each band, then theirs."""
    bands, channels = _bands(grad_out), geometry.channels
    sums = memory.empty((len(bands), math.prod(geometry.taps) * channels), x.dtype)
    sums[...] = 0
    _walk(GRAD_WEIGHT, x, grad_out, sums, bands, geometry)
    # (bands, KH*KW*C) -> (C, KH*KW)
    return np.ascontiguousarray(sums.sum(axis=0).reshape(-1, channels).T).reshape(channels, 1, *geometry.taps)


def _by_taps(weight):
    """(KH*KW*C,): the weights of a tap side by side, as the channels of a pixel are."""
    return np.ascontiguousarray(weight.reshape(len(weight), -1).T).reshape(-1)


def _bands(images):
    """[(image, first row, row behind the last)]: whole images, or bands of them where there are fewer than threads."""
    n, height, width, channels = images.shape
    bands = max(1, min(-(-threads.threads() // max(1, n)), height * width * channels // LEAST_NUMBERS, height))
    return [(image, i * height // bands, (i + 1) * height // bands) for image in range(n) for i in range(bands)]


def _walk(which, x, y, weights, bands, geometry):
    """One of the three passes, for bands of the images that are summed into: of y, or of x for GRAD_X."""
    (top, left), down = geometry.before, geometry.stride[0]

    def work(first, last):
        for (image, start, stop), weight in zip(bands[first:last], weights[first:last], strict=True):
            # the band begins further down: seen from there, more padding is above the other array's rows, or less
            if which == GRAD_X:
                pixels, outputs, above = x[image, start:stop], y[image], top + start
            else:
                pixels, outputs, above = x[image], y[image, start:stop], top - start * down
            band = geometry._replace(size=pixels.shape[:2], out_size=outputs.shape[:2], before=(above, left))
            _image(which, pixels.reshape(-1), outputs.reshape(-1), weight, tuple(band))

    threads.run_chunks(work, len(bands))


@jit
def _image(which, x, y, weight, geometry):
    """All triples (pixel, output, weight) that belong together: one of the three collects the product of the others."""
    (height, width), (out_h, out_w), (taps_h, taps_w), stride, before, step, channels, _, _ = geometry
    (stride_h, stride_w), (top, left), (step_h, step_w) = stride, before, step
    for i in range(out_h):
        for j in range(out_w):
            to = (i * out_w + j) * channels  # output (i, j), its first channel
            for u in range(taps_h):
                row = i * stride_h + u * step_h - top  # the row of pixels that taps (u, ...) see
                if row < 0 or row >= height:  # padding, which adds 0
                    continue
                for v in range(taps_w):
                    column = j * stride_w + v * step_w - left
                    if column < 0 or column >= width:
                        continue
                    at, w = (row * width + column) * channels, (u * taps_w + v) * channels  # of the first channel
                    if which == FORWARD:
                        for c in range(channels):
                            y[to + c] += x[at + c] * weight[w + c]
                    elif which == GRAD_X:
                        for c in range(channels):
                            x[at + c] += y[to + c] * weight[w + c]
                    else:
                        for c in range(channels):
                            weight[w + c] += x[at + c] * y[to + c]
