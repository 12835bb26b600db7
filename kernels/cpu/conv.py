"""Convolution on the processor; mirrors minicnn/ops/conv.py. Here only the algorithm is chosen, by the shapes.

                for                               why                                               rounding
pointwise.py    1x1 windows, stride 1             a matrix product without a copy                   6e-7
winograd.py     3x3 windows, stride 1, at least   a quarter of the multiplications                  3e-6
                16 channels; 5x5 windows          a sixth of them                                   9e-6
stem.py         larger windows of few channels    a matrix product that copies next to nothing      1e-6
depthwise.py    a filter for each channel         nothing to multiply as matrices                   3e-7
im2col.py       everything else                   windows are copied together in the cache          6e-7
few.py          few pictures by kept weights:     no Python, and no copy twice, between the cores   theirs
few_tiles.py    in their place; winograd.py's,
few_stem.py     stem.py's
few_small.py    one small picture by kept 3x3     fewer multiplications than windows have, fewer    5e-7
                weights                           bytes of weights than larger tiles
bfloat16.py     all of it in bfloat16, but        products alone                                    3e-7
                depthwise.py's
stem16.py       in its place, stem.py's, where    rows of windows are read as pairs of numbers      3e-7
                pairs of numbers are multiplied
winograd16.py   winograd.py's in bfloat16, where  Winograd's way, in float32: bfloat16 is only      8e-6
                no unit multiplies whole tiles    twice as fast, or not at all

Rounding: the largest difference to float64 over the largest result, in any pass of layers like those of AlexNet and
ResNet, by `python benchmarks/cpu.py rounding` (few_small.py's: of a 7 x 7 layer of 512 channels, by itself);
test_cpu_conv.py keeps it below 1e-5. In bfloat16 it is that to float64
of the rounded factors, before results are rounded (test_cpu_conv16.py). winograd.py leaves images with a NaN, an
infinity or a number far larger than their others to im2col.py (outliers.py): those change no window that does not see
them. All but depthwise.py stand on the matrix product of gemm/matmul.py, or of gemm/bfloat16.py.

`python benchmarks/cpu.py layers` times each pass of such layers beside PyTorch's and beside a matrix product of as many
multiplications: benchmarks/results/cpu/.
"""

import functools

import numpy as np

from minicnn.immutable import is_immutable
from minicnn.ops.geometry import output_size
from minicnn.precision import BFLOAT16, takes_bfloat16, wide

from .convolution import (
    bfloat16,
    depthwise,
    few,
    few_small,
    few_stem,
    few_tiles,
    im2col,
    pointwise,
    stem,
    winograd,
    winograd16,
)
from .convolution.geometry import Geometry
from .gemm.sums import column_sums
from .machine.kept import plain, readable
from .machine.layout import behind_channels, channels_last, rows

# forward, of a few pictures with kept weights
OF_FEW = {pointwise: few, im2col: few, winograd: few_tiles, stem: few_stem}


@takes_bfloat16
def conv2d_forward(x, weight, bias, stride, padding, dilation, groups):
    """y (N, OC, OH, OW)."""
    return convolved(x, weight, bias, (stride, padding, dilation, groups))


def convolved(x, weight, bias, numbers, **more):
    """The same; numbers: (stride, padding, dilation, groups); more: residual and relu, of conv_relu.py."""
    geometry, algorithm = _plan(x.shape, weight.shape, numbers, x.dtype, is_immutable(weight))
    x = x if algorithm is few_stem else channels_last(x)  # which is done there on the way
    y = algorithm.conv2d_forward(x, readable(weight), plain(wide(bias)), geometry, **more)
    return behind_channels(y)


@takes_bfloat16
def conv2d_grad_x(grad_out, x_shape, weight, stride, padding, dilation, groups):
    """grad_x (N, C, H, W)."""
    geometry = geometry_of(x_shape, weight.shape, grad_out.shape[2:], stride, padding, dilation, groups)
    algorithm = choose(len(grad_out), geometry, grad_out.dtype, is_immutable(weight))
    grad_x = algorithm.conv2d_grad_x(channels_last(grad_out), readable(weight), geometry)
    return behind_channels(grad_x)


@takes_bfloat16
def conv2d_grad_weight(grad_out, x, weight_shape, stride, padding, dilation, groups):
    """grad_weight (OC, C/groups, KH, KW)."""
    geometry = geometry_of(x.shape, weight_shape, grad_out.shape[2:], stride, padding, dilation, groups)
    return choose(len(x), geometry, x.dtype).conv2d_grad_weight(channels_last(grad_out), channels_last(x), geometry)


@takes_bfloat16
def conv2d_grad_bias(grad_out):
    """grad_bias (OC,) = grad_out summed over images and positions."""
    return column_sums(rows(grad_out))  # (N*OH*OW, OC) -> (OC,)


@functools.lru_cache(1024)  # a network asks the same again with each batch
def _plan(x_shape, weight_shape, numbers, dtype, weight_is_kept):
    """(The geometry, the module that takes channels-last arrays); numbers: (stride, padding, dilation, groups)."""
    out_size = output_size("conv2d", x_shape[2:], weight_shape[2:], *numbers[:3])
    geometry = geometry_of(x_shape, weight_shape, out_size, *numbers)
    algorithm = choose(x_shape[0], geometry, dtype, weight_is_kept)
    of_few = few_small if algorithm is im2col and few_small.suits(x_shape[0], geometry) else OF_FEW.get(algorithm)
    return geometry, of_few if weight_is_kept and of_few and of_few.suits(x_shape[0], geometry) else algorithm


def geometry_of(x_shape, weight_shape, out_size, stride, padding, dilation, groups):
    """What all passes of a convolution share; its algorithms see channels-last arrays."""
    before = padding[0][0], padding[1][0]  # rows above an image, columns to its left
    taps, size, out_size = tuple(weight_shape[2:]), tuple(x_shape[2:]), tuple(out_size)  # (KH, KW), (H, W), (OH, OW)
    return Geometry(size, out_size, taps, stride, before, dilation, x_shape[1], weight_shape[0], groups)


def choose(images, geometry, dtype=np.float32, weight_is_kept=False):
    """The module for a geometry and so many images of that dtype; weight_is_kept: packed or transformed (kept.py).

    winograd wins wherever it saves work at all (`pays`); the least for many channels of small pictures, where few tiles
    share the transformed filters.
    stem: faster than im2col on AlexNet's first layer, above all for grad_weight. From 16 channels on im2col is ahead.
    """
    is_depthwise = 1 < geometry.groups == geometry.filters == geometry.channels  # a filter for each channel
    if dtype == BFLOAT16:
        return depthwise if is_depthwise else winograd16 if winograd16.pays(images, geometry) else bfloat16
    if geometry.stride == geometry.dilation == (1, 1) and geometry.groups == 1:
        if geometry.taps == (1, 1) and geometry.before == geometry.after == (0, 0):
            return pointwise
        if images and 0 not in geometry.size and winograd.pays(images, geometry, weight_is_kept):
            return winograd
    if stem.suits(geometry):  # few channels and a window of several taps; any stride
        return stem
    return depthwise if is_depthwise else im2col
