"""Pooling: the largest value, or the average, of each window.

Shapes    x (N, C, H, W)   ->   y (N, C, OH, OW), each channel by itself; sizes as for a convolution
          (see geometry.py); adaptive pooling is told OH and OW and works out its windows
Forward   max       y[n,c,i,j] = max_{u,v} xpad[n, c, i*stride + u*dilation, j*stride + v*dilation], padded with -inf
          average   y[n,c,i,j] = sum_{u,v} xpad[n, c, i*stride + u, j*stride + v] / divisor[i,j], padded with 0
          adaptive  y = rows @ x @ columns^T, where row i of `rows` averages the pixels floor(i*H/OH) to
                    ceil((i+1)*H/OH) - 1
Backward  max       all of grad_out[n,c,i,j] goes to the pixel that won; among equal pixels the first wins, and NaN
                    wins over every number (the last NaN, as in PyTorch)
          average   every pixel of the window receives grad_out[n,c,i,j] / divisor[i,j]
          adaptive  grad_x = rows^T @ grad_out @ columns
          Where windows overlap, a pixel sums what it receives from all of them.
Saves     max: which tap of the window won, u*KW + v, one small integer for each output; average: nothing
Mirrors   kernels/cpu/pool.py   kernels/numba_cuda/pool.py   kernels/cuda/pool.cu
Test      tests/test_pool.py
Source    Krizhevsky et al., NIPS 2012, section 3.4 (overlapping max-pooling: window 3, stride 2)
"""

import numpy as np

from ..autograd import Function
from ..settings import real
from .geometry import check_images, output_size, pair, tap
from .summation import FEW, mean


def max_pool2d(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    """Max-pool images (N, C, H, W), as ``torch.nn.functional.max_pool2d`` does.

    kernel_size, stride (default: kernel_size), padding, dilation: int or (height, width). The padding, at most half
    the kernel, never wins. ceil_mode: a last window may hang over the edge, if it starts before it.
    """
    geometry = _geometry("max_pool2d", input, kernel_size, stride, padding, dilation, ceil_mode)
    return MaxPool2d.apply(input, **geometry)


def avg_pool2d(
    input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None
):
    """Average-pool images (N, C, H, W), as ``torch.nn.functional.avg_pool2d`` does.

    count_include_pad: the average counts the padding's zeros (but never what hangs over it with ceil_mode).
    divisor_override: divide every sum by this number instead.
    """
    geometry = _geometry("avg_pool2d", input, kernel_size, stride, padding, 1, ceil_mode)
    if divisor_override is not None:
        divisor_override = real("avg_pool2d", "divisor_override", divisor_override)
    if divisor_override == 0:
        raise ValueError("avg_pool2d: divisor_override must not be 0")
    return AvgPool2d.apply(input, **geometry, count_include_pad=count_include_pad, divisor_override=divisor_override)


def adaptive_avg_pool2d(input, output_size):
    """Average-pool images (N, C, H, W) to (N, C, OH, OW), whatever their size; ``None`` keeps a size as it is.

    The windows divide the image evenly; they overlap where it is not a multiple, and repeat pixels where it is
    smaller than the output.
    """
    check_images("adaptive_avg_pool2d", input)
    sizes = output_size if isinstance(output_size, (tuple, list)) else (output_size, output_size)
    if len(sizes) != 2:
        raise TypeError(f"adaptive_avg_pool2d: output_size must be an int or a pair of ints, got {output_size!r}")
    sizes = [have if want is None else want for want, have in zip(sizes, input.data.shape[2:], strict=True)]
    out_size = pair("adaptive_avg_pool2d", "output_size", sizes, 1)
    if 0 in input.data.shape[1:]:
        raise ValueError(f"adaptive_avg_pool2d: input of shape {input.data.shape} has nothing to average")
    return AdaptiveAvgPool2d.apply(input, out_size=out_size)


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


class AvgPool2d(Function):
    def forward(self, x, kernel, stride, padding, dilation, out_size, count_include_pad, divisor_override):
        self.x_shape, self.geometry = x.shape, (kernel, stride, padding)
        self.divide = count_include_pad, divisor_override
        return self.run(avg_pool2d_forward, x, *self.geometry, out_size, *self.divide)

    def backward(self, grad_out):
        return self.run(avg_pool2d_backward, grad_out, self.x_shape, *self.geometry, *self.divide)


class AdaptiveAvgPool2d(Function):
    def forward(self, x, out_size):
        self.x_shape = x.shape
        return self.run(adaptive_avg_pool2d_forward, x, out_size)

    def backward(self, grad_out):
        return self.run(adaptive_avg_pool2d_backward, grad_out, self.x_shape)


def max_pool2d_forward(x, kernel, stride, padding, dilation, out_size):
    """y (N, C, OH, OW): a running maximum over the taps of the window, each for all windows of an image at once."""
    xpad = _padded(x, kernel, stride, padding, dilation, out_size, -np.inf)
    y = np.full((*x.shape[:2], *out_size), -np.inf, x.dtype)
    for y_n, xpad_n in zip(y, xpad, strict=True):  # one image at a time: it stays in the cache
        for u, v in np.ndindex(*kernel):
            np.maximum(y_n, xpad_n[tap(u, v, out_size, stride, dilation)], out=y_n)
    return y


def max_pool2d_winners(x, y, kernel, stride, padding, dilation):
    """winners (N, C, OH, OW): for each window, the first tap u*KW + v that sees its maximum y."""
    out_size, taps = y.shape[2:], kernel[0] * kernel[1]
    xpad = _padded(x, kernel, stride, padding, dilation, out_size, -np.inf)
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
    grad_pad = _padded_zeros(x_shape, grad_out.dtype, kernel, stride, padding, dilation, out_size)
    for grad_pad_n, grad_out_n, winners_n in zip(grad_pad, grad_out, winners, strict=True):
        for number, (u, v) in enumerate(np.ndindex(*kernel)):
            grad_pad_n[tap(u, v, out_size, stride, dilation)] += np.where(winners_n == number, grad_out_n, 0)
    return _unpadded(grad_pad, x_shape, padding)


def avg_pool2d_forward(x, kernel, stride, padding, out_size, count_include_pad, divisor_override):
    """y (N, C, OH, OW) = the sum of each window / divisor (OH, OW)."""
    xpad = _padded(x, kernel, stride, padding, (1, 1), out_size, 0)
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
    grad_pad = _padded_zeros(x_shape, grad_out.dtype, kernel, stride, padding, (1, 1), out_size)
    for u, v in np.ndindex(*kernel):
        grad_pad[tap(u, v, out_size, stride, (1, 1))] += share
    return _unpadded(grad_pad, x_shape, padding)


def adaptive_avg_pool2d_forward(x, out_size):
    """y (N, C, OH, OW) = rows @ x @ columns^T, or the mean of each whole image."""
    if out_size == (1, 1):
        return mean(x, (2, 3), keepdims=True)
    rows, columns = (_averages(*sizes, x.dtype) for sizes in zip(x.shape[2:], out_size, strict=True))
    return rows @ x @ columns.T


def adaptive_avg_pool2d_backward(grad_out, x_shape):
    """grad_x (N, C, H, W) = rows^T @ grad_out @ columns."""
    rows, columns = (_averages(*s, grad_out.dtype) for s in zip(x_shape[2:], grad_out.shape[2:], strict=True))
    return rows.T @ grad_out @ columns


def _first_taps(kernel, stride, padding, dilation, out_size):
    """(OH, OW): the first tap of each window that sees the image and not the padding before it."""
    u, v = (
        np.maximum(0, -((np.arange(out) * s - before) // d))
        for out, s, (before, _), d in zip(out_size, stride, padding, dilation, strict=True)
    )
    return u[:, None] * kernel[1] + v


def _averages(size, out, dtype):
    """(out, size): row i holds 1/length at the pixels that output i averages, and 0 elsewhere."""
    matrix = np.zeros((out, size), dtype)
    for i in range(out):
        start, end = i * size // out, -(-(i + 1) * size // out)
        matrix[i, start:end] = 1 / (end - start)
    return matrix


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


def _sides(size, kernel, stride, padding, dilation, out_size):
    """The padding ((top, bottom), (left, right)) that lets every window see pixels (ceil_mode: more at the end)."""
    return tuple(
        (before, max(0, (out - 1) * s + d * (k - 1) + 1 - length - before))
        for length, k, s, (before, _), d, out in zip(size, kernel, stride, padding, dilation, out_size, strict=True)
    )


def _padded(x, kernel, stride, padding, dilation, out_size, value):
    sides = _sides(x.shape[2:], kernel, stride, padding, dilation, out_size)
    return np.pad(x, ((0, 0), (0, 0), *sides), constant_values=value) if np.any(sides) else x


def _padded_zeros(x_shape, dtype, kernel, stride, padding, dilation, out_size):
    sides = _sides(x_shape[2:], kernel, stride, padding, dilation, out_size)
    return np.zeros((*x_shape[:2], *(n + sum(s) for n, s in zip(x_shape[2:], sides, strict=True))), dtype)


def _unpadded(image, x_shape, padding):
    (top, _), (left, _) = padding
    return image[:, :, top : top + x_shape[2], left : left + x_shape[3]]


def _geometry(op, x, kernel_size, stride, padding, dilation, ceil_mode):
    check_images(op, x, min_channels=1)
    kernel = pair(op, "kernel_size", kernel_size, 1)
    stride = kernel if stride is None else pair(op, "stride", stride, 1)
    dilation, padding = pair(op, "dilation", dilation, 1), pair(op, "padding", padding, 0)
    if any(p > k // 2 for p, k in zip(padding, kernel, strict=True)):
        raise ValueError(f"{op}: padding must be at most half of kernel_size {kernel}, got {padding}")
    padding = tuple((p, p) for p in padding)
    out_size = output_size(op, x.data.shape[2:], kernel, stride, padding, dilation, ceil_mode)
    return {"kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation, "out_size": out_size}
