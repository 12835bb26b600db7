"""Depthwise convolution, each channel with a filter of its own: no matrix product, and bound by memory.

    y[n, i, j, c] = sum_{u,v} x[n, i*stride + u*dilation - padding, ..., c] * weight[c, u, v]

The same numbers for all channels of a pixel side by side: the innermost loop of all three passes runs along memory.
2*KH*KW operations for each number, which lies in the first cache while the taps are gone through.

Source    Howard et al., "MobileNets", 2017; Sifre 2014
"""

import math

import numpy as np

from . import memory, threads
from .jit import jit

FORWARD, GRAD_X, GRAD_WEIGHT = range(3)


def conv2d_forward(x, weight, bias, out_size, stride, padding, dilation):
    """y (N, OH, OW, C) for x (N, H, W, C), weight (C, 1, KH, KW) and padding (top, left)."""
    y = memory.empty((len(x), *out_size, x.shape[3]), x.dtype)
    y[...] = 0 if bias is None else bias
    _walk(FORWARD, x, y, [_by_taps(weight)] * len(x), weight.shape, stride, padding, dilation)
    return y


def conv2d_grad_x(grad_out, x_shape, weight, stride, padding, dilation):
    """grad_x (N, H, W, C) from grad_out (N, OH, OW, C)."""
    n, channels, *size = x_shape
    grad_x = memory.empty((n, *size, channels), grad_out.dtype)
    grad_x[...] = 0
    _walk(GRAD_X, grad_x, grad_out, [_by_taps(weight)] * n, weight.shape, stride, padding, dilation)
    return grad_x


def conv2d_grad_weight(grad_out, x, weight_shape, stride, padding, dilation):
    """grad_weight (C, 1, KH, KW): a sum for each image, then theirs."""
    sums = memory.empty((len(x), math.prod(weight_shape[2:]) * weight_shape[0]), x.dtype)
    sums[...] = 0
    _walk(GRAD_WEIGHT, x, grad_out, sums, weight_shape, stride, padding, dilation)
    return np.ascontiguousarray(sums.sum(axis=0).reshape(-1, weight_shape[0]).T).reshape(weight_shape)


def _by_taps(weight):
    return np.ascontiguousarray(weight.reshape(len(weight), -1).T).reshape(-1)


def _walk(which, x, y, weights, weight_shape, stride, padding, dilation):
    geometry = *x.shape[1:], *y.shape[1:3], *weight_shape[2:], *stride, *padding, *dilation

    def work(start, stop):
        for image in range(start, stop):
            _image(which, x[image].reshape(-1), y[image].reshape(-1), weights[image], geometry)

    threads.run_shares(work, len(x))


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
