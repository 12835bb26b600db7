"""Average-pooling: the mean of each window.

Shapes    x (N, C, H, W)   ->   y (N, C, OH, OW), each channel by itself; sizes as for a convolution (see geometry.py)
Forward   y[n,c,i,j] = sum_{u,v} xpad[n, c, i*stride + u, j*stride + v] / divisor[i,j], padded with 0
Backward  every pixel of the window receives grad_out[n,c,i,j] / divisor[i,j]; where windows overlap, a pixel sums what
          it receives from all of them
Saves     nothing
Mirrors   kernels/cpu/avg_pool.py   kernels/numba_cuda/avg_pool.py   kernels/cuda/avg_pool.cu
Test      tests/ops/test_avg_pool.py
"""

from typing import Any

import numpy as np

from ..autograd import Function
from ..settings import real
from ..types import Array, Shape, Size
from ..variable import V
from .summation import FEW
from .windows import Windows, padded, padded_zeros, unpadded, windows_of


def avg_pool2d(
    input: V,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: float | None = None,
) -> V:
    """Average-pool images (N, C, H, W), as ``torch.nn.functional.avg_pool2d`` does.

    count_include_pad: the average counts the padding's zeros (but never what hangs over it with ceil_mode).
    divisor_override: divide every sum by this number instead.
    """
    windows = windows_of("avg_pool2d", input, kernel_size, stride, padding, 1, ceil_mode)
    if divisor_override is not None:
        divisor_override = real("avg_pool2d", "divisor_override", divisor_override)
    if divisor_override == 0:
        raise ValueError("avg_pool2d: divisor_override must not be 0")
    return AvgPool2d.apply(input, windows=windows, divide=(count_include_pad, divisor_override))


class AvgPool2d(Function):
    takes_bfloat16 = True

    def forward(self, x, windows, divide):
        self.x_shape, self.windows, self.divide = x.shape, windows, divide
        return self.run(avg_pool2d_forward, x, windows, *divide)

    def backward(self, grad_out):
        return self.run(avg_pool2d_backward, grad_out, self.x_shape, self.windows, *self.divide)


def avg_pool2d_forward(x: Array, windows: Windows, count_include_pad: bool, divisor_override: float | None) -> Array:
    """y (N, C, OH, OW) = the sum of each window / divisor (OH, OW)."""
    xpad, taps = padded(x, windows, 0), windows.taps()
    # A long sum of float32 numbers loses digits (see summation.py)
    y = np.zeros((*x.shape[:2], *windows.out_size), x.dtype if len(taps) <= FEW else np.float64)
    for tap in taps:  # what this tap sees of every window: (N, C, OH, OW)
        y += xpad[tap]
    y /= divisor(x.shape[2:], windows, count_include_pad, divisor_override)  # (OH, OW), the same for every channel
    return y.astype(x.dtype, copy=False)


def avg_pool2d_backward(
    grad_out: Array, x_shape: Shape, windows: Windows, count_include_pad: bool, divisor_override: float | None
) -> Array:
    """grad_x (N, C, H, W): each pixel sums grad_out / divisor over the windows that it is in."""
    per_pixel = grad_out / divisor(x_shape[2:], windows, count_include_pad, divisor_override)  # (N, C, OH, OW)
    per_pixel = per_pixel.astype(grad_out.dtype, copy=False)  # float32 by integers (OH, OW) is float64
    grad_pad = padded_zeros(x_shape, grad_out.dtype, windows)
    for tap in windows.taps():  # through one tap, no two windows see the same pixel
        grad_pad[tap] += per_pixel
    return unpadded(grad_pad, x_shape, windows)


def divisor(size: Any, windows: Windows, count_include_pad: bool, divisor_override: float | None) -> Array:
    """What each sum is divided by, (OH, OW): the number of pixels in the window."""
    if divisor_override is not None:
        return np.full(windows.out_size, divisor_override)
    counts = []  # the windows' heights (OH,) and widths (OW,)
    for length, k, s, (before, after), _, out in zip(size, *windows, strict=True):
        start = np.arange(out) * s - before  # (out,); below 0 where it lies in the padding
        end = np.minimum(start + k, length + after)  # ceil_mode: what hangs over the padding never counts
        if not count_include_pad:
            start, end = np.maximum(start, 0), np.minimum(end, length)  # cut off at the image
        counts.append(end - start)
    return np.outer(*counts)  # height times width of each window
