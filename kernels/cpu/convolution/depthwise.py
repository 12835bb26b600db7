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
LEAST = 1 << 16  # numbers of an image below which a part of it is not worth waking a thread for


def conv2d_forward(x, weight, bias, out_size, stride, padding, dilation):
    """y (N, OH, OW, C) for x (N, H, W, C), weight (C, 1, KH, KW) and padding (top, left)."""
    y = memory.empty((len(x), *out_size, x.shape[3]), x.dtype)
    y[...] = 0 if bias is None else bias
    pieces = _pieces(y)
    _walk(FORWARD, x, y, [_by_taps(weight)] * len(pieces), pieces, weight.shape, stride, padding, dilation)
    return y


def conv2d_grad_x(grad_out, x_shape, weight, stride, padding, dilation):
    """grad_x (N, H, W, C) from grad_out (N, OH, OW, C)."""
    n, channels, *size = x_shape
    grad_x = memory.empty((n, *size, channels), grad_out.dtype)
    grad_x[...] = 0
    pieces = _pieces(grad_x)
    _walk(GRAD_X, grad_x, grad_out, [_by_taps(weight)] * len(pieces), pieces, weight.shape, stride, padding, dilation)
    return grad_x


def conv2d_grad_weight(grad_out, x, weight_shape, stride, padding, dilation):
    """grad_weight (C, 1, KH, KW): a sum for each piece, then theirs."""
    pieces = _pieces(grad_out)
    sums = memory.empty((len(pieces), math.prod(weight_shape[2:]) * weight_shape[0]), x.dtype)
    sums[...] = 0
    _walk(GRAD_WEIGHT, x, grad_out, sums, pieces, weight_shape, stride, padding, dilation)
    return np.ascontiguousarray(sums.sum(axis=0).reshape(-1, weight_shape[0]).T).reshape(weight_shape)


def _by_taps(weight):
    return np.ascontiguousarray(weight.reshape(len(weight), -1).T).reshape(-1)


def _pieces(images):
    """[(image, first row, row behind the last)]: whole images, or parts of them where there are fewer than threads."""
    n, height, width, channels = images.shape
    parts = max(1, min(-(-threads.threads() // max(1, n)), height * width * channels // LEAST, height))
    return [(image, i * height // parts, (i + 1) * height // parts) for image in range(n) for i in range(parts)]


def _walk(which, x, y, weights, pieces, weight_shape, stride, padding, dilation):
    def work(first, last):
        for (image, start, stop), weight in zip(pieces[first:last], weights[first:last], strict=True):
            if which == GRAD_X:
                pixels, outputs, top = x[image, start:stop], y[image], padding[0] + start
            else:
                pixels, outputs, top = x[image], y[image, start:stop], padding[0] - start * stride[0]
            geometry = *pixels.shape, *outputs.shape[:2], *weight_shape[2:], *stride, top, padding[1], *dilation
            _image(which, pixels.reshape(-1), outputs.reshape(-1), weight, geometry)

    threads.run_shares(work, len(pieces))


@jit
def _image(which, x, y, weight, geometry):
    """All triples (pixel, output, weight) that belong together: one of the three collects the product of the others."""
    height, width, channels, out_h, out_w, taps_h, taps_w, stride_h, stride_w, top, left, step_h, step_w = geometry
    for i in range(out_h):
        for j in range(out_w):
            to = (i * out_w + j) * channels
            for u in range(taps_h):
                row = i * stride_h + u * step_h - top
                if row < 0 or row >= height:
                    continue
                for v in range(taps_w):
                    column = j * stride_w + v * step_w - left
                    if column < 0 or column >= width:
                        continue
                    at, w = (row * width + column) * channels, (u * taps_w + v) * channels
                    if which == FORWARD:
                        for c in range(channels):
                            y[to + c] += x[at + c] * weight[w + c]
                    elif which == GRAD_X:
                        for c in range(channels):
                            x[at + c] += y[to + c] * weight[w + c]
                    else:
                        for c in range(channels):
                            weight[w + c] += x[at + c] * y[to + c]
