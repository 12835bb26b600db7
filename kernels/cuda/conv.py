"""Launches conv.cu; mirrors minicnn/ops/conv.py. Functions conv2d_by_... are other rungs of its ladder."""

import math

from minicnn.kernels.arguments import check_positions, folded_shape
from minicnn.ops.geometry import output_size
from minicnn.precision import takes_bfloat16

from . import hopper, hopper_conv, tensor_conv, winograd
from .launch import THREADS, CudaFile, blocks, contiguous, empty
from .matmul import multiply
from .split import best_tile, cut, parts_of_sums
from .tensor_cores import tensor_precision

cu = CudaFile("conv.cu")
BLOCK = 16, 16  # threads of a tile
SHORTEST = 256  # positions of a split: below that it would cost more to add up than it saves


@takes_bfloat16
def conv2d_forward(x, weight, bias, stride, padding, dilation, groups):
    """y (N, OC, OH, OW) = weight @ im2col(x) + bias, where im2col(x) is nowhere in memory."""
    if hopper.is_chosen(x):
        return hopper_conv.conv2d_forward(x, weight, bias, stride, padding, dilation, groups)
    if precision := tensor_precision(x):
        return tensor_conv.conv2d_forward(x, weight, bias, stride, padding, dilation, groups, precision)
    out_size = output_size("conv2d", x.shape[2:], weight.shape[2:], stride, padding, dilation)
    if _by_winograd(x, weight, out_size, (stride, padding, dilation, groups)):
        return winograd.conv2d_forward(x, weight, bias, out_size, padding)
    y, geometry = _output(x, weight, stride, padding, dilation, groups)
    tile = best_tile(len(weight) // groups, len(x) * math.prod(y.shape[2:]), groups)
    _kernel("conv2d_forward", tile)[tile.grid, BLOCK](x, weight, bias, y, *geometry)
    return y


@takes_bfloat16
def conv2d_grad_x(grad_out, x_shape, weight, stride, padding, dilation, groups):
    """grad_x (N, C, H, W): each pixel collects from the outputs that saw it."""
    if hopper.is_chosen(grad_out):
        return hopper_conv.conv2d_grad_x(grad_out, x_shape, weight, stride, padding, dilation, groups)
    if precision := tensor_precision(grad_out):
        return tensor_conv.conv2d_grad_x(grad_out, x_shape, weight, stride, padding, dilation, groups, precision)
    if _by_winograd(grad_out, weight, x_shape[2:], (stride, padding, dilation, groups)):
        return winograd.conv2d_grad_x(grad_out, x_shape[2:], weight, padding)
    grad_x = empty(grad_out, x_shape)
    geometry = _geometry(x_shape, weight.shape, grad_out.shape, stride, padding, dilation, groups)
    if grad_x.size == 0:
        return grad_x
    pixels = [math.ceil(size / step) for size, step in zip(x_shape[2:], stride, strict=True)]  # of the largest phase
    phases = math.prod(min(size, step) for size, step in zip(x_shape[2:], stride, strict=True))
    tile = best_tile(x_shape[1] // groups, x_shape[0] * math.prod(pixels), groups * phases)
    grid = tile.grid[0] * phases, tile.grid[1], groups
    _kernel("conv2d_grad_x", tile)[grid, BLOCK](grad_out, weight, grad_x, *geometry)
    return grad_x


@takes_bfloat16
def conv2d_grad_weight(grad_out, x, weight_shape, stride, padding, dilation, groups):
    """grad_weight (OC, C/groups, KH, KW) = grad_out @ im2col(x)^T, summed over the images."""
    if hopper.is_chosen(x):
        return hopper_conv.conv2d_grad_weight(grad_out, x, weight_shape, stride, padding, dilation, groups)
    if precision := tensor_precision(x):
        return tensor_conv.conv2d_grad_weight(grad_out, x, weight_shape, stride, padding, dilation, groups, precision)
    geometry = _geometry(x.shape, weight_shape, grad_out.shape, stride, padding, dilation, groups)
    filters, weights = weight_shape[0] // groups, math.prod(weight_shape[1:])
    positions = len(x) * math.prod(grad_out.shape[2:])  # the terms of each sum
    tile = best_tile(filters, weights, groups, most_splits=max(1, positions // SHORTEST))
    tiles = math.prod(tile.grid)
    splits, length = cut(positions, tiles, SHORTEST)
    parts, arrived = parts_of_sums(x, tiles, splits, tile.rows * tile.columns)
    grid = *tile.grid[:2], groups * splits
    grad_weight = empty(x, weight_shape)
    _kernel("conv2d_grad_weight", tile)[grid, BLOCK](
        grad_out, x, grad_weight, parts, arrived, splits, length, *geometry
    )
    return grad_weight


@takes_bfloat16
def conv2d_grad_bias(grad_out):
    """grad_bias (OC,) = grad_out summed over images and positions."""
    if tensor_precision(grad_out) == "bfloat16":
        return tensor_conv.conv2d_grad_bias(grad_out)
    n, channels, area = folded_shape(grad_out.shape, 3)
    grad_bias = empty(grad_out, (channels,))
    cu.conv2d_grad_bias[channels, THREADS](grad_out, grad_bias, n, channels, area)
    return grad_bias


def conv2d_by_hopper(x, weight, bias, stride, padding, dilation, groups):
    """conv2d_forward of bfloat16 images by wgmma and TMA, on GPUs of compute capability 9.0 alone: the last rung, which
    has never run on one (hopper.py)."""
    return hopper_conv.conv2d_forward(x, weight, bias, stride, padding, dilation, groups)


def conv2d_by_direct_sums(x, weight, bias, stride, padding, dilation, groups):
    """conv2d_forward by conv2d_direct."""
    y, geometry = _output(x, weight, stride, padding, dilation, groups)
    cu.conv2d_direct[blocks(y.size), THREADS](x, weight, bias, y, *geometry)
    return y


def conv2d_by_implicit_im2col(x, weight, bias, stride, padding, dilation, groups):
    """conv2d_forward by conv2d_implicit."""
    y, geometry = _output(x, weight, stride, padding, dilation, groups)
    grid = math.ceil(len(x) * math.prod(y.shape[2:]) / 64), math.ceil(len(weight) // groups / 64), groups
    cu.conv2d_implicit[grid, BLOCK](x, weight, bias, y, *geometry)
    return y


def conv2d_by_im2col(x, weight, bias, stride, padding, dilation, groups):
    """conv2d_forward by im2col, image by image, and a product for each group."""
    y, geometry = _output(x, weight, stride, padding, dilation, groups)
    depth, area, filters = math.prod(weight.shape[1:]), math.prod(y.shape[2:]), len(weight) // groups
    x, matrix = contiguous(x), contiguous(weight).reshape(groups, filters, depth)
    col = empty(x, (groups, depth, area))  # of one image
    for image in range(len(x)):
        cu.im2col[blocks(col.size), THREADS](x, col, image, *geometry)
        for group in range(groups):  # y (filters, area) = weight (filters, depth) @ col (depth, area)
            channels = slice(group * filters, (group + 1) * filters)
            y[image, channels] = multiply(matrix[group], col[group]).reshape(filters, *y.shape[2:])
    if bias is not None:
        y += bias.reshape(-1, 1, 1)
    return y


def _output(x, weight, stride, padding, dilation, groups):
    """(y to be filled, the kernels' geometry)."""
    out_size = output_size("conv2d", x.shape[2:], weight.shape[2:], stride, padding, dilation)
    y = empty(x, (len(x), len(weight), *out_size))
    return y, _geometry(x.shape, weight.shape, y.shape, stride, padding, dilation, groups)


def _geometry(x_shape, weight_shape, y_shape, stride, padding, dilation, groups):
    """GEOMETRY of conv.cu."""
    check_positions(x_shape, y_shape)
    for what, shape in (("image", x_shape), ("output", y_shape)):
        if math.prod(shape[1:]) >= 2**31:
            raise ValueError(f"conv2d: one {what} of {shape[1:]} has more numbers than an int can count; cut it up")
    (top, _), (left, _) = padding
    return *x_shape, *y_shape[1:], *weight_shape[2:], *stride, top, left, *dilation, groups


def _by_winograd(images, weight, out_size, geometry):
    """Only in float32: in float64 people want the digits."""
    return images.dtype == "float32" and winograd.pays(len(images), weight.shape, out_size, geometry)


def _kernel(name, tile):
    return getattr(cu, f"{name}_{tile.rows}x{tile.columns}")
