"""Convolution on the processor; mirrors minicnn/ops/conv.py. Here only the algorithm is chosen, by the shapes.

                for                               why                                               rounding
pointwise.py    1x1 windows, stride 1             a matrix product without a copy                   6e-7
winograd.py     3x3 windows, stride 1, at least   a quarter of the multiplications                  3e-6
                16 channels; 5x5 windows          a sixth of them                                   9e-6
stem.py         larger windows of few channels    a matrix product that copies next to nothing      1e-6
depthwise.py    a filter for each channel         nothing to multiply as matrices                   3e-7
im2col.py       everything else                   windows are copied together in the cache          6e-7

Rounding: the largest difference of float32 to float64 over the largest result, in any pass of layers like those of
AlexNet and ResNet, by `python benchmarks/cpu.py rounding`; test_cpu_conv.py keeps it below 1e-5. winograd.py
leaves images with a NaN, an infinity or a number far larger than their others to im2col.py (outliers.py): those change
no window that does not see them. All but depthwise.py stand on the matrix product of matmul.py.

`python benchmarks/cpu.py layers` times each pass of such layers beside PyTorch's and beside a matrix product of as many
multiplications: benchmarks/results/cpu/.
"""

import numpy as np

from minicnn.ops.geometry import output_size

from .convolution import depthwise, im2col, pointwise, stem, winograd
from .gemm.sums import column_sums
from .machine.layout import behind_channels, channels_last, contiguous, rows


def conv2d_forward(x, weight, bias, stride, padding, dilation, groups):
    """y (N, OC, OH, OW)."""
    out_size = output_size("conv2d", x.shape[2:], weight.shape[2:], stride, padding, dilation)
    algorithm = choose(x.shape, weight.shape, out_size, stride, padding, dilation, groups)
    x, weight, bias = channels_last(x), contiguous(weight), contiguous(bias)
    if algorithm is pointwise:
        y = pointwise.conv2d_forward(x, weight, bias)
    elif algorithm is winograd:
        y = winograd.conv2d_forward(x, weight, bias, padding)
    elif algorithm is stem:
        y = stem.conv2d_forward(x, weight, bias, out_size, stride, _before(padding))
    elif algorithm is depthwise:
        y = depthwise.conv2d_forward(x, weight, bias, out_size, stride, _before(padding), dilation)
    else:
        y = im2col.conv2d_forward(x, weight, bias, out_size, stride, _before(padding), dilation, groups)
    return behind_channels(y)


def conv2d_grad_x(grad_out, x_shape, weight, stride, padding, dilation, groups):
    """grad_x (N, C, H, W)."""
    algorithm = choose(x_shape, weight.shape, grad_out.shape[2:], stride, padding, dilation, groups)
    grad_out, weight = channels_last(grad_out), contiguous(weight)
    if algorithm is pointwise:
        grad_x = pointwise.conv2d_grad_x(grad_out, weight)
    elif algorithm is winograd:
        grad_x = winograd.conv2d_grad_x(grad_out, weight, padding)
    elif algorithm is stem:
        grad_x = stem.conv2d_grad_x(grad_out, x_shape, weight, stride, _before(padding))
    elif algorithm is depthwise:
        grad_x = depthwise.conv2d_grad_x(grad_out, x_shape, weight, stride, _before(padding), dilation)
    else:
        grad_x = im2col.conv2d_grad_x(grad_out, x_shape, weight, stride, _before(padding), dilation, groups)
    return behind_channels(grad_x)


def conv2d_grad_weight(grad_out, x, weight_shape, stride, padding, dilation, groups):
    """grad_weight (OC, C/groups, KH, KW)."""
    algorithm = choose(x.shape, weight_shape, grad_out.shape[2:], stride, padding, dilation, groups)
    grad_out, x = channels_last(grad_out), channels_last(x)
    if algorithm is pointwise:
        return pointwise.conv2d_grad_weight(grad_out, x)
    if algorithm is winograd:
        return winograd.conv2d_grad_weight(grad_out, x, weight_shape[2], padding)
    if algorithm is stem:
        return stem.conv2d_grad_weight(grad_out, x, weight_shape, stride, _before(padding))
    if algorithm is depthwise:
        return depthwise.conv2d_grad_weight(grad_out, x, weight_shape, stride, _before(padding), dilation)
    return im2col.conv2d_grad_weight(grad_out, x, weight_shape, stride, _before(padding), dilation, groups)


def conv2d_grad_bias(grad_out):
    """grad_bias (OC,) = grad_out summed over images and positions."""
    return column_sums(rows(grad_out))


def choose(x_shape, weight_shape, out_size, stride, padding, dilation, groups):
    """The module for a geometry.

    winograd wins wherever it saves work at all (`pays`); the least for many channels of small pictures, where few tiles
    share the transformed filters.
    stem: faster than im2col on AlexNet's first layer, above all for grad_weight. From 16 channels on im2col is ahead.
    """
    filters, channels, *kernel = weight_shape
    if stride == dilation == (1, 1) and groups == 1:
        if kernel == [1, 1] and not np.any(padding):
            return pointwise
        if 0 not in x_shape and winograd.pays(x_shape[0], out_size, kernel, padding, channels, filters):
            return winograd
    if stem.suits(kernel, channels, dilation, groups):
        return stem
    if groups > 1 and groups == filters and channels == 1:
        return depthwise
    return im2col


def _before(padding):
    return padding[0][0], padding[1][0]
