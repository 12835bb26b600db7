"""Depthwise convolution, each channel with a filter of its own: no matrix product, and bound by memory.

    y[n, i, j, c] = sum_{u,v} x[n, i*stride + u*dilation - padding, ..., c] * weight[c, u, v]

The same numbers for all channels of a pixel side by side: the innermost loop of all three passes runs along memory.
2*KH*KW operations for each number, which lies in the first cache while the taps are gone through. Of bfloat16 images
the sums are float32, a band of an image at a time in scratch, and rounded as they leave it.

Padding is skipped: nothing is multiplied by its zeros. So a NaN or an infinity in grad_out or in a filter stays where
pixels are, while 0 * NaN, which is NaN, reaches what sees padding on the page and in im2col.py.

Source    Howard et al., "MobileNets", 2017; Sifre 2014
"""

import math

import numpy as np

from minicnn.precision import BFLOAT16, wide_dtype

from ..gemm.bfloat16 import store_rows16
from ..machine import memory, threads
from ..machine.bfloat16 import bits, widened
from ..machine.jit import jit
from ..machine.kept import kept
from .epilogue import NOTHING, Epilogue
from .in_float32 import rounded_factor

FORWARD, GRAD_X, GRAD_WEIGHT = range(3)
LEAST_NUMBERS = 1 << 16  # of an image, below which a band of it is not worth waking a thread for; 256 KB of float32


def conv2d_forward(x, weight, bias, geometry, residual=None, relu=False, look=None):
    """y (N, OH, OW, C) for x (N, H, W, C) and weight (C, 1, KH, KW)."""
    y = memory.empty((len(x), *geometry.out_size, geometry.channels), x.dtype)
    _convolve(FORWARD, y, x, weight, Epilogue.of(bias, residual, relu, look), geometry)
    return y


def conv2d_grad_x(grad_out, weight, geometry, epilogue=NOTHING):
    """grad_x (N, H, W, C) from grad_out (N, OH, OW, C), with the epilogue."""
    grad_x = memory.empty((len(grad_out), *geometry.size, geometry.channels), grad_out.dtype)
    _convolve(GRAD_X, grad_x, grad_out, weight, epilogue, geometry)
    return grad_x


def conv2d_grad_weight(grad_out, x, geometry):
    """grad_weight (C, 1, KH, KW): a sum for each band, then theirs."""
    bands, channels = _bands(grad_out), geometry.channels
    sums = memory.empty((len(bands), math.prod(geometry.taps) * channels), wide_dtype(x.dtype))
    sums[...] = 0

    def work(first, last):
        for (image, start, stop), weight in zip(bands[first:last], sums[first:last], strict=True):
            _pass(GRAD_WEIGHT, x[image], grad_out[image, start:stop], weight, start, geometry)

    threads.run_chunks(work, len(bands))
    # (bands, KH*KW*C) -> (C, KH*KW)
    return np.ascontiguousarray(sums.sum(axis=0).reshape(-1, channels).T).reshape(channels, 1, *geometry.taps)


def _convolve(which, results, images, weight, epilogue, geometry):
    """Fill the results: y from x, or grad_x from grad_out."""
    bands, rounds = _bands(results), results.dtype == BFLOAT16
    weight, behind = _by_taps(rounded_factor(weight) if rounds else weight), epilogue._replace(bias=None)

    def work(first, last):
        for image, start, stop in bands[first:last]:
            band = results[image, start:stop]
            sums = memory.scratch("depthwise.sums", band.shape, np.float32) if rounds else band
            sums[...] = 0 if epilogue.bias is None else epilogue.bias  # they begin there
            if which == FORWARD:
                _pass(FORWARD, images[image], sums, weight, start, geometry)
            else:
                _grad_of_rows(sums, images[image], weight, start, geometry)
            if rounds:
                c, size = (sums.reshape(-1), 0, sums[0].size), (len(sums), sums[0].size)
                store_rows16(c, None, (bits(band).reshape(-1), 0, size[1]), size)
            channels, above = band.shape[2], (image * results.shape[1] + start) * band[0].size
            behind.apply((bits(results).reshape(-1), above, channels), band.size // max(1, channels), channels)

    threads.run_chunks(work, len(bands))


def _by_taps(weight):
    """(KH*KW*C,): the weights of a tap side by side, as the channels of a pixel are."""
    return kept(weight, "depthwise", lambda space: np.array(weight.reshape(len(weight), -1).T, order="C").reshape(-1))


def _bands(images):
    """[(image, first row, row behind the last)]: whole images, or bands of them where there are fewer than threads.

    Of bfloat16 ones, bands whose sums stay in the second cache.
    """
    n, height, width, channels = images.shape
    most = height * width * channels // LEAST_NUMBERS  # bands of an image
    wanted = most if images.dtype == BFLOAT16 else min(-(-threads.threads() // max(1, n)), most)
    bands = max(1, min(wanted, height))
    return [(image, i * height // bands, (i + 1) * height // bands) for image in range(n) for i in range(bands)]


def _pass(which, pixels, outputs, weight, start, geometry):
    """FORWARD or GRAD_WEIGHT, for the rows of outputs (rows, OW, C) of an image (H, W, C) from `start` on."""
    # the outputs begin further down: seen from there, less padding is above the image
    (top, left), down = geometry.before, geometry.stride[0]
    band = geometry._replace(out_size=outputs.shape[:2], before=(top - start * down, left))
    _image(which, bits(pixels).reshape(-1), bits(outputs).reshape(-1), weight, tuple(band))


def _grad_of_rows(pixels, outputs, weight, start, geometry):
    """GRAD_X, for the rows of pixels (rows, W, C) from `start` on, of an image's outputs (OH, OW, C)."""
    # the outputs whose windows reach into these rows
    (top, left), down, reach = geometry.before, geometry.stride[0], (geometry.taps[0] - 1) * geometry.dilation[0]
    first = max(0, -(-(start + top - reach) // down))
    outputs = outputs[first : max(first, (start + len(pixels) - 1 + top) // down + 1)]
    band = geometry._replace(
        size=pixels.shape[:2], out_size=outputs.shape[:2], before=(top + start - first * down, left)
    )
    _image(GRAD_X, pixels.reshape(-1), bits(outputs).reshape(-1), weight, tuple(band))


@jit
def _image(which, x, y, weight, geometry):
    """All triples (pixel, output, weight) that belong together: one of the three collects the product of the others."""
    (height, width), (out_h, out_w), (taps_h, taps_w), stride, before, step, channels, _, _ = geometry
    (stride_h, stride_w), (top, left), (step_h, step_w) = stride, before, step
    for i in range(out_h):
        for j in range(out_w):
            output = y[(i * out_w + j) * channels :]  # (i, j), from its first channel on
            for u in range(taps_h):
                row = i * stride_h + u * step_h - top  # the row of pixels that taps (u, ...) see
                if row < 0 or row >= height:  # padding, which adds 0
                    continue
                for v in range(taps_w):
                    column = j * stride_w + v * step_w - left
                    if column < 0 or column >= width:
                        continue
                    at, w = (row * width + column) * channels, (u * taps_w + v) * channels  # of the first channel
                    pixel, tap = x[at:], weight[w:]  # so LLVM sees that their channels follow one another
                    if which == FORWARD:
                        for c in range(channels):
                            output[c] += widened(pixel[c]) * tap[c]
                    elif which == GRAD_X:
                        for c in range(channels):
                            pixel[c] += widened(output[c]) * tap[c]
                    else:
                        for c in range(channels):
                            tap[c] += widened(pixel[c]) * widened(output[c])
