"""Average-pooling: the mean of each window.

Shapes    x (N, C, H, W)   ->   y (N, C, OH, OW), each channel by itself; sizes as for a convolution (see geometry.py)
Forward   y[n,c,i,j] = sum_{u,v} xpad[n, c, i*stride + u, j*stride + v] / divisor[i,j], padded with 0
Backward  every pixel of the window receives grad_out[n,c,i,j] / divisor[i,j]; where windows overlap, a pixel sums what
          it receives from all of them
Saves     nothing
Mirrors   kernels/cpu/avg_pool.py   kernels/numba_cuda/avg_pool.py   kernels/cuda/avg_pool.cu
Test      tests/ops/test_avg_pool.py
"""

import numpy as np

from ..autograd import Function
from ..settings import real
from .geometry import tap
from .pooling import padded, padded_zeros, pool_geometry, unpadded
from .summation import FEW


def avg_pool2d(
    input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None
):
    """Average-pool images (N, C, H, W), as ``torch.nn.functional.avg_pool2d`` does.

    count_include_pad: the average counts the padding's zeros (but never what hangs over it with ceil_mode).
    divisor_override: divide every sum by this number instead.
    """
    geometry = pool_geometry("avg_pool2d", input, kernel_size, stride, padding, 1, ceil_mode)
    if divisor_override is not None:
        divisor_override = real("avg_pool2d", "divisor_override", divisor_override)
    if divisor_override == 0:
        raise ValueError("avg_pool2d: divisor_override must not be 0")
    return AvgPool2d.apply(input, **geometry, count_include_pad=count_include_pad, divisor_override=divisor_override)


class AvgPool2d(Function):
    def forward(self, x, kernel, stride, padding, dilation, out_size, count_include_pad, divisor_override):
        self.x_shape, self.geometry = x.shape, (kernel, stride, padding)
        self.divide = count_include_pad, divisor_override
        return self.run(avg_pool2d_forward, x, *self.geometry, out_size, *self.divide)

    def backward(self, grad_out):
        return self.run(avg_pool2d_backward, grad_out, self.x_shape, *self.geometry, *self.divide)


def avg_pool2d_forward(x, kernel, stride, padding, out_size, count_include_pad, divisor_override):
    """y (N, C, OH, OW) = the sum of each window / divisor (OH, OW)."""
    xpad = padded(x, kernel, stride, padding, (1, 1), out_size, 0)
    y = np.zeros((*x.shape[:2], *out_size), x.dtype if kernel[0] * kernel[1] <= FEW else np.float64)
    for u, v in np.ndindex(*kernel):
        y += xpad[tap(u, v, out_size, stride, (1, 1))]
    y /= _divisor(x.shape[2:], kernel, stride, padding, out_size, count_include_pad, divisor_override)
    return y.astype(x.dtype, copy=False)


def avg_pool2d_backward(grad_out, x_shape, kernel, stride, padding, count_include_pad, divisor_override):
    """grad_x (N, C, H, W): each pixel sums grad_out / divisor over the windows that it is in."""
    out_size = grad_out.shape[2:]
    share = grad_out / _divisor(x_shape[2:], kernel, stride, padding, out_size, count_include_pad, divisor_override)
    share = share.astype(grad_out.dtype, copy=False)
    grad_pad = padded_zeros(x_shape, grad_out.dtype, kernel, stride, padding, (1, 1), out_size)
    for u, v in np.ndindex(*kernel):
        grad_pad[tap(u, v, out_size, stride, (1, 1))] += share
    return unpadded(grad_pad, x_shape, padding)


def _divisor(size, kernel, stride, padding, out_size, count_include_pad, divisor_override):
    """What each sum is divided by, (OH, OW): the number of pixels in the window."""
    if divisor_override is not None:
        return np.full(out_size, divisor_override)
    counts = []
    for length, k, s, (before, after), out in zip(size, kernel, stride, padding, out_size, strict=True):
        start = np.arange(out) * s - before
        end = np.minimum(start + k, length + after)
        if not count_include_pad:
            start, end = np.maximum(start, 0), np.minimum(end, length)
        counts.append(end - start)
    return np.outer(*counts)
