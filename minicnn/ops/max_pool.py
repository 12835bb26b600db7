"""Max-pooling: the largest value of each window.

Shapes    x (N, C, H, W)   ->   y (N, C, OH, OW), each channel by itself; sizes as for a convolution (see geometry.py)
Forward   y[n,c,i,j] = max_{u,v} xpad[n, c, i*stride + u*dilation, j*stride + v*dilation], padded with -inf
Backward  all of grad_out[n,c,i,j] goes to the pixel that won; among equal pixels the first wins, and NaN wins over
          every number (the last NaN, as in PyTorch). Where windows overlap, a pixel sums what it receives from all of
          them.
Saves     which tap of the window won, u*KW + v, one small integer for each output
Mirrors   kernels/cpu/max_pool.py   kernels/numba_cuda/max_pool.py   kernels/cuda/max_pool.cu
Test      tests/ops/test_max_pool.py
Source    Krizhevsky et al., NIPS 2012, section 3.4 (overlapping max-pooling: window 3, stride 2)
"""

import numpy as np

from ..autograd import Function
from .geometry import tap
from .pooling import padded, padded_zeros, pool_geometry, unpadded


def max_pool2d(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    """Max-pool images (N, C, H, W), as ``torch.nn.functional.max_pool2d`` does.

    kernel_size, stride (default: kernel_size), padding, dilation: int or (height, width). The padding, at most half
    the kernel, never wins. ceil_mode: a last window may hang over the edge, if it starts before it.
    """
    geometry = pool_geometry("max_pool2d", input, kernel_size, stride, padding, dilation, ceil_mode)
    return MaxPool2d.apply(input, **geometry)


class MaxPool2d(Function):
    def forward(self, x, kernel, stride, padding, dilation, out_size):
        self.x_shape, self.geometry = x.shape, (kernel, stride, padding, dilation)
        if not self.needs_input_grad[0]:
            return self.run(max_pool2d_forward, x, *self.geometry, out_size)
        y, winners = self.run(max_pool2d_forward_and_winners, x, *self.geometry, out_size)
        self.save_for_backward(winners)
        return y

    def backward(self, grad_out):
        (winners,) = self.saved
        return self.run(max_pool2d_backward, grad_out, winners, self.x_shape, *self.geometry)


def max_pool2d_forward(x, kernel, stride, padding, dilation, out_size):
    """y (N, C, OH, OW): a running maximum over the taps of the window, each for all windows of an image at once."""
    xpad = padded(x, kernel, stride, padding, dilation, out_size, -np.inf)
    y = np.full((*x.shape[:2], *out_size), -np.inf, x.dtype)
    for y_n, xpad_n in zip(y, xpad, strict=True):  # one image at a time: it stays in the cache
        for u, v in np.ndindex(*kernel):
            np.maximum(y_n, xpad_n[tap(u, v, out_size, stride, dilation)], out=y_n)
    return y


def max_pool2d_winners(x, y, kernel, stride, padding, dilation):
    """winners (N, C, OH, OW): for each window, the first tap u*KW + v that sees its maximum y."""
    out_size, taps = y.shape[2:], kernel[0] * kernel[1]
    xpad = padded(x, kernel, stride, padding, dilation, out_size, -np.inf)
    score = np.zeros(y.shape, np.min_scalar_type(taps))  # taps for tap 0, 1 for the last one: the first of equals wins
    for score_n, y_n, xpad_n in zip(score, y, xpad, strict=True):
        for number, (u, v) in enumerate(np.ndindex(*kernel)):
            sees_maximum = xpad_n[tap(u, v, out_size, stride, dilation)] == y_n
            np.maximum(score_n, sees_maximum * score.dtype.type(taps - number), out=score_n)
    winners = np.subtract(score.dtype.type(taps), score, out=score)
    np.copyto(winners, _first_taps(kernel, stride, padding, dilation, out_size), where=np.isneginf(y), casting="unsafe")
    if np.isnan(y).any():
        for number, (u, v) in enumerate(np.ndindex(*kernel)):
            winners[np.isnan(xpad[tap(u, v, out_size, stride, dilation)])] = number
    return winners


def max_pool2d_forward_and_winners(x, kernel, stride, padding, dilation, out_size):
    """(y, winners): what training needs, so that a fast kernel can find both at once."""
    y = max_pool2d_forward(x, kernel, stride, padding, dilation, out_size)
    return y, max_pool2d_winners(x, y, kernel, stride, padding, dilation)


def max_pool2d_backward(grad_out, winners, x_shape, kernel, stride, padding, dilation):
    """grad_x (N, C, H, W): each pixel collects the gradients of the windows that it won."""
    out_size = grad_out.shape[2:]
    grad_pad = padded_zeros(x_shape, grad_out.dtype, kernel, stride, padding, dilation, out_size)
    for grad_pad_n, grad_out_n, winners_n in zip(grad_pad, grad_out, winners, strict=True):
        for number, (u, v) in enumerate(np.ndindex(*kernel)):
            grad_pad_n[tap(u, v, out_size, stride, dilation)] += np.where(winners_n == number, grad_out_n, 0)
    return unpadded(grad_pad, x_shape, padding)


def _first_taps(kernel, stride, padding, dilation, out_size):
    """(OH, OW): the first tap of each window that sees the image and not the padding before it."""
    u, v = (
        np.maximum(0, -((np.arange(out) * s - before) // d))
        for out, s, (before, _), d in zip(out_size, stride, padding, dilation, strict=True)
    )
    return u[:, None] * kernel[1] + v
