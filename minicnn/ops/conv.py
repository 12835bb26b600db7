"""2-D convolution (cross-correlation), as im2col followed by one matrix product.

Shapes    x (N, C, H, W)   weight (OC, C/groups, KH, KW)   bias (OC,) or None   ->   y (N, OC, OH, OW)
          OH = (H + 2*padding - dilation*(KH-1) - 1) // stride + 1, OW likewise
Forward   y[n,o,i,j] = bias[o] + sum_{c,u,v} xpad[n,c, i*stride + u*dilation, j*stride + v*dilation] * weight[o,c,u,v]
Backward  grad_weight[o,c,u,v] = sum_{n,i,j} grad_out[n,o,i,j] * xpad[n,c, i*stride + u*dilation, j*stride + v*dilation]
          grad_xpad[n,c,a,b] = sum of grad_out[n,o,i,j] * weight[o,c,u,v] over all o and all (i,u), (j,v) with
          i*stride + u*dilation = a and j*stride + v*dilation = b; grad_x is what remains without the padding
          grad_bias[o] = sum_{n,i,j} grad_out[n,o,i,j]
As        With the windows of x as the columns of a matrix, col (C*KH*KW, N*OH*OW), and weight as (OC, C*KH*KW):
matrices  y = weight @ col     grad_weight = grad_out @ col^T     grad_x = col2im(weight^T @ grad_out)
          where col2im adds every entry of a column back to the pixel that im2col copied it from.
          With groups, each group of C/groups channels is a product of its own.

              x (3, 3)       a window of (2, 2) has 4 places      col (4, 4): a column is a window, a row is a tap
              a b c          a b    b c    d e    e f             tap (0, 0)   a b d e
              d e f          d e    e f    g h    h i             tap (0, 1)   b c e f
              g h i                                               tap (1, 0)   d e g h
                                                                  tap (1, 1)   e f h i
          weight as (OC, 4) @ col gives (OC, 4): for each filter, its dot product with each window. Each row of col is x
          without a border, which is how im2col fills it: KH*KW slices, no loop over pixels.
Saves     x, weight and what weight_as_factor makes of it, mostly itself (col is made again in backward: it is up to
          KH*KW times larger than x)
Mirrors   kernels/cpu/conv.py   kernels/numba_cuda/conv.py   kernels/cuda/conv.cu
Test      tests/ops/test_conv.py
Source    Chellapilla et al., "High performance convolutional neural networks for document processing", 2006;
          Krizhevsky et al., "ImageNet classification with deep convolutional neural networks", NIPS 2012, section 3.5
          (groups)
"""

import math
from typing import Any

import numpy as np

from ..autograd import Function
from ..precision import ALL, float32
from ..types import Array, Shape, Size
from ..variable import V, Variable
from .cast import as_factor
from .conv_arguments import checked_geometry
from .geometry import output_size, tap
from .linear import weight_of_passes
from .summation import total

COL_BYTES = 8 << 20  # bytes of col at a time: so many images are taken that it fits into a processor's cache


def conv2d(
    input: V,
    weight: Variable,
    bias: Variable | None = None,
    stride: Size = 1,
    padding: Size | str = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> V:
    """Convolve images, as ``torch.nn.functional.conv2d`` does (the formula is at the top of this file).

    input (N, C, H, W), weight (OC, C/groups, KH, KW), bias (OC,) or None, all of one float dtype
    stride, dilation: int or (height, width); padding: the same, or "valid" (none) or "same" (the output is as
    large as the input; only at stride 1). groups: C and OC are cut into that many groups which do not see each
    other; groups=C is a depthwise convolution. Returns (N, OC, OH, OW).
    """
    geometry = checked_geometry("conv2d", (input, weight, bias), stride, padding, dilation, groups)
    return Conv2d.apply(as_factor(input), weight, bias, **geometry)


class Conv2d(Function):
    takes_bfloat16 = float32_weights = is_fresh = True

    def forward(self, x, weight, bias, stride, padding, dilation, groups):
        factor = weight_of_passes(self, x, weight, may_be_filled=True)  # mostly itself
        self.save_for_backward(x, weight, factor)  # never col, which is up to KH*KW times larger than x
        self.geometry = stride, padding, dilation, groups
        return self.run(conv2d_forward, x, factor, bias, *self.geometry)

    def backward(self, grad_out):
        x, weight, factor, *_ = self.saved
        need_x, need_weight, need_bias, *_ = self.needs_input_grad  # the first layer's x, the images, needs none
        return (
            self.grad_x(grad_out, x, factor) if need_x else None,
            self.run(conv2d_grad_weight, grad_out, x, weight.shape, *self.geometry) if need_weight else None,
            self.run(conv2d_grad_bias, grad_out) if need_bias else None,
        )

    def grad_x(self, grad_out: Array, x: Array, factor: Array) -> Array:
        """The gradient of x; conv_batchnorm.py does more in the same pass."""
        return self.run(conv2d_grad_x, grad_out, x.shape, factor, *self.geometry)


@float32(factors=(1,))
def conv2d_forward(
    x: Array, weight: Array, bias: Array | None, stride: Shape, padding: Any, dilation: Shape, groups: int
) -> Array:
    """y (N, OC, OH, OW) = weight @ im2col(x) + bias."""
    out_channels, _, *kernel = weight.shape
    out_size = output_size("conv2d", x.shape[2:], kernel, stride, padding, dilation)
    y = np.empty((len(x), out_channels, *out_size), x.dtype)  # (N, OC, OH, OW)
    matrix = weight.reshape(groups, out_channels // groups, math.prod(weight.shape[1:]))  # (G, OC/G, C/G*KH*KW)
    for some in _few_images(x, kernel, out_size):  # a slice of n images
        product = matrix @ im2col(x[some], kernel, stride, padding, dilation, groups)  # (G, OC/G, n*OH*OW)
        if bias is not None:
            product += bias.reshape(groups, -1, 1)  # (G, OC/G, 1): a filter's bias for all of its row
        y[some] = _to_images(product, y[some].shape)  # (n, OC, OH, OW)
    return y


@float32(factors=(2,))
def conv2d_grad_x(
    grad_out: Array, x_shape: Shape, weight: Array, stride: Shape, padding: Any, dilation: Shape, groups: int
) -> Array:
    """grad_x (N, C, H, W) = col2im(weight^T @ grad_out)."""
    out_channels, _, *kernel = weight.shape
    grad_x = np.empty(x_shape, grad_out.dtype)  # each image is written once, by col2im
    matrix = weight.reshape(groups, out_channels // groups, math.prod(weight.shape[1:])).swapaxes(1, 2)
    for some in _few_images(grad_x, kernel, grad_out.shape[2:]):  # n images
        grad_col = matrix @ _to_columns(grad_out[some], groups)  # (G, C/G*KH*KW, OC/G) @ (G, OC/G, n*OH*OW)
        col2im(grad_col, grad_x[some], kernel, grad_out.shape[2:], stride, padding, dilation)
    return grad_x


@float32(results=ALL)
def conv2d_grad_weight(
    grad_out: Array, x: Array, weight_shape: Shape, stride: Shape, padding: Any, dilation: Shape, groups: int
) -> Array:
    """grad_weight (OC, C/groups, KH, KW) = grad_out @ im2col(x)^T, summed over the images."""
    out_channels, _, *kernel = weight_shape
    grad_weight = np.zeros((groups, out_channels // groups, math.prod(weight_shape[1:])), x.dtype)  # a sum over images
    for some in _few_images(x, kernel, grad_out.shape[2:]):
        col = im2col(x[some], kernel, stride, padding, dilation, groups)  # (G, C/G*KH*KW, n*OH*OW)
        grad_weight += _to_columns(grad_out[some], groups) @ col.swapaxes(1, 2)  # (G, OC/G, n*OH*OW) @ (.., C/G*KH*KW)
    return grad_weight.reshape(weight_shape)


@float32(results=ALL)
def conv2d_grad_bias(grad_out: Array) -> Array:
    """grad_bias (OC,) = grad_out summed over images and positions."""
    return total(grad_out, (0, 2, 3))


def im2col(x: Array, kernel: Any, stride: Shape, padding: Any, dilation: Shape, groups: int) -> Array:
    """The windows of x as columns: (groups, C/groups*KH*KW, N*OH*OW)."""
    n, channels, *size = x.shape
    out_size = output_size("conv2d", size, kernel, stride, padding, dilation)
    xpad = np.pad(x, ((0, 0), (0, 0), *padding)) if np.any(padding) else x  # zeros around it
    col = np.empty((channels, *kernel, n, *out_size), x.dtype)  # (C, KH, KW, N, OH, OW): rows, then columns
    for u, v in np.ndindex(*kernel):  # what tap (u, v) sees, in all windows at once: xpad[:, :, u::stride, v::stride]
        col[:, u, v] = xpad[tap(u, v, out_size, stride, dilation)].swapaxes(0, 1)  # (N, C, OH, OW) -> (C, N, OH, OW)
    return col.reshape(groups, channels // groups * kernel[0] * kernel[1], n * out_size[0] * out_size[1])


def col2im(col: Array, images: Array, kernel: Any, out_size: Any, stride: Shape, padding: Any, dilation: Shape) -> None:
    """The transpose of im2col: `images` (N, C, H, W) becomes, at each pixel, the sum of the pixel's copies in col."""
    n, channels, height, width = images.shape
    (top, bottom), (left, right) = padding
    col = col.reshape(channels, *kernel, n, *out_size)  # (C, KH, KW, N, OH, OW)
    padded = np.zeros((channels, n, height + top + bottom, width + left + right), col.dtype)  # channels first, as col
    for u, v in np.ndindex(*kernel):  # += and not =: windows overlap, and a pixel has a copy in each that it lies in
        padded[tap(u, v, out_size, stride, dilation)] += col[:, u, v]
    images[...] = padded[:, :, top : top + height, left : left + width].swapaxes(0, 1)  # back to (N, C, H, W)


def _few_images(images, kernel, out_size):
    """Slices of consecutive images, as many at a time as COL_BYTES of columns hold."""
    n, channels = images.shape[:2]
    bytes_per_image = channels * kernel[0] * kernel[1] * out_size[0] * out_size[1] * images.itemsize
    step = max(1, COL_BYTES // max(1, bytes_per_image))  # images
    return [slice(start, start + step) for start in range(0, n, step)]


def _to_columns(images, groups):
    """(N, OC, OH, OW) -> (groups, OC/groups, N*OH*OW), the layout of a matrix product over columns."""
    n, channels, height, width = images.shape
    return images.swapaxes(0, 1).reshape(groups, channels // groups, n * height * width)  # from (OC, N, OH, OW)


def _to_images(matrix, shape):
    """The way back: (groups, OC/groups, N*OH*OW) -> (N, OC, OH, OW)."""
    n, channels, height, width = shape
    return matrix.reshape(channels, n, height, width).swapaxes(0, 1)  # from (OC, N, OH, OW)
