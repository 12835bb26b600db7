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
from ..types import Array, Shape, Size
from ..variable import V
from .windows import Windows, padded, padded_zeros, unpadded, windows_of


def max_pool2d(
    input: V,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
) -> V:
    """Max-pool images (N, C, H, W), as ``torch.nn.functional.max_pool2d`` does.

    kernel_size, stride (default: kernel_size), padding, dilation: int or (height, width). The padding, at most half
    the kernel, never wins. ceil_mode: a last window may hang over the edge, if it starts before it.
    """
    windows = windows_of("max_pool2d", input, kernel_size, stride, padding, dilation, ceil_mode)
    return MaxPool2d.apply(input, windows=windows)


class MaxPool2d(Function):
    takes_bfloat16 = True

    def forward(self, x, windows):
        self.x_shape, self.windows = x.shape, windows
        if not self.needs_input_grad[0]:  # nobody will ask who won
            return self.run(max_pool2d_forward, x, windows)
        y, winners = self.run(max_pool2d_forward_and_winners, x, windows)  # both (N, C, OH, OW)
        self.save_for_backward(winners)
        return y

    def backward(self, grad_out):
        (winners,) = self.saved
        return self.run(max_pool2d_backward, grad_out, winners, self.x_shape, self.windows)


def max_pool2d_forward(x: Array, windows: Windows) -> Array:
    """y (N, C, OH, OW): a running maximum over the taps of the window, each for all windows of an image at once."""
    xpad, taps = padded(x, windows, -np.inf), windows.taps()
    y = np.full((*x.shape[:2], *windows.out_size), -np.inf, x.dtype)  # less than any number
    for y_n, xpad_n in zip(y, xpad, strict=True):  # one image at a time: it stays in the cache
        for tap in taps:
            np.maximum(y_n, xpad_n[tap], out=y_n)  # both (C, OH, OW)
    return y


def max_pool2d_forward_and_winners(x: Array, windows: Windows) -> tuple[Array, Array]:
    """(y, winners): what training needs, so that a fast kernel can find both at once."""
    y = max_pool2d_forward(x, windows)
    return y, _winners(x, y, windows)


def max_pool2d_backward(grad_out: Array, winners: Array, x_shape: Shape, windows: Windows) -> Array:
    """grad_x (N, C, H, W): each pixel collects the gradients of the windows that it won."""
    grad_pad, taps = padded_zeros(x_shape, grad_out.dtype, windows), windows.taps()  # like xpad: (N, C, padded H and W)
    for grad_pad_n, grad_out_n, winners_n in zip(grad_pad, grad_out, winners, strict=True):
        for number, tap in enumerate(taps):  # through one tap, no two windows see the same pixel
            grad_pad_n[tap] += np.where(winners_n == number, grad_out_n, 0)  # not a product: infinity * 0 is NaN
    return unpadded(grad_pad, x_shape, windows)


def _winners(x, y, windows):
    """winners (N, C, OH, OW): for each window, the first tap u*KW + v that sees its maximum y."""
    xpad, taps = padded(x, windows, -np.inf), windows.taps()
    # A tap that sees the maximum scores count - number, the first tap most, so the highest score tells the first tap: a
    # maximum over whole arrays of small integers, 2 to 5 times as fast as storing `number` where a mask allows it.
    count = np.min_scalar_type(len(taps)).type(len(taps))  # uint8 for up to 255 taps
    score = np.zeros(y.shape, count.dtype)  # 0: no tap has seen it yet
    for score_n, y_n, xpad_n in zip(score, y, xpad, strict=True):
        for number, tap in enumerate(taps):
            sees_maximum = xpad_n[tap] == y_n  # booleans (C, OH, OW)
            np.maximum(score_n, sees_maximum * score.dtype.type(count - number), out=score_n)
    winners = np.subtract(count, score, out=score)  # count - (count - number) = number
    # Where all pixels are -inf, the padding before them has scored, too: it must not win
    np.copyto(winners, _first_taps(windows), where=np.isneginf(y), casting="unsafe")
    if np.isnan(y).any():  # NaN equals nothing, and has not scored
        for number, tap in enumerate(taps):
            winners[np.isnan(xpad[tap])] = number  # a later tap overwrites: the last NaN wins
    return winners


def _first_taps(windows):
    """(OH, OW): the first tap of each window that sees the image and not the padding before it."""
    kernel, stride, padding, dilation, out_size = windows
    u, v = (  # of each row and column of windows; -(a // d) is -a / d rounded up
        np.maximum(0, -((np.arange(out) * s - before) // d))  # the first for which i * s - before + u * d >= 0
        for out, s, (before, _), d in zip(out_size, stride, padding, dilation, strict=True)
    )
    return u[:, None] * kernel[1] + v  # (OH, 1) and (OW,): (OH, OW)
