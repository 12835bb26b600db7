"""Launches tensor_conv.cu, for bfloat16 arrays, and tensor_conv_float.cu, for float32 arrays that are rounded first.

bfloat16: activations and their gradients are channels-last in memory, whatever the order in which they are given;
weights, biases and their gradients are float32. Weights are rounded, where it can be once for both passes
(weight_as_factor). "tf32" and "float16": all arrays are float32, in the usual order.
"""

import math
from typing import NamedTuple

from minicnn.kernels.arguments import as_rows, check_positions, empty_channels_last, nchw_view, nhwc_view
from minicnn.ops.geometry import output_size

from .arrivals import COUNTERS, arrivals
from .launch import THREADS, CudaFile, blocks, contiguous, empty
from .layout import channels_last
from .source import TENSOR_TYPES
from .split import cut, parts_of_sums
from .tensor_cores import COLUMNS, ROWS, SHORTEST, TILE_BYTES, VECTOR, check_gpu, packed, shared_bytes

cu, cu_float = CudaFile("tensor_conv.cu"), CudaFile("tensor_conv_float.cu")
NARROW = 64  # columns of a thread block's results, where there are no more
POSITION_BYTES = 16  # of a Position of tensor_windows.cuh, one for each row
MOST = 2**31  # numbers of an image: offsets within it are ints


class Direct:
    """How bfloat16 arrays are handed to the kernels: as they are."""

    def __init__(self, like):
        self.dtype, self.per_vector = like.dtype, VECTOR // like.dtype.itemsize

    def images(self, x, groups):
        """x as (N, H, W, pitch), in which the channels of a group begin with a vector's beginning."""
        x = nhwc_view(channels_last(x))  # (N, H, W, C)
        *pixels, channels = x.shape
        depth = channels // groups
        filled = self.filled(depth)
        if depth == filled:
            return x
        y = empty(x, (*pixels, groups * filled))
        cu.pad_channels[blocks(y.size), THREADS](x, y, y.size, depth, filled)
        return y

    def filters(self, weight):
        """weight (OC, CG, KH, KW) as (OC, KH * KW, channels), rounded, as weight_as_factor's is."""
        filters, depth, *kernel = weight.shape
        taps, filled = math.prod(kernel), self.filled(depth)
        if weight.dtype == self.dtype:
            return self.images(weight, 1).reshape(filters, taps, filled)
        y = empty(weight, (filters, taps, filled), self.dtype)
        cu.pack_filters[filters, THREADS](weight, y, depth, taps, filled)
        return y

    def result(self, shape, like):
        """(a new array for a result, how the kernel takes it)."""
        y = empty_channels_last(like, shape, self.dtype)
        return y, nhwc_view(y)

    def kernel(self, name, columns):
        """(the kernel for so many columns, how many a thread block has)."""
        return (getattr(cu, f"{name}_narrow"), NARROW) if columns <= NARROW else (getattr(cu, name), COLUMNS)

    def filled(self, channels):
        """So many channels, filled up to whole vectors, at least one."""
        return max(1, math.ceil(channels / self.per_vector)) * self.per_vector


class Rounded(Direct):
    """How float32 arrays are handed to the kernels: packed, channels-last and rounded."""

    def __init__(self, precision):
        self.precision, self.dtype = precision, TENSOR_TYPES[precision]
        self.per_vector = VECTOR // self.dtype.itemsize

    def images(self, x, groups):
        n, channels, *size = x.shape
        depth, area = channels // groups, math.prod(size)
        strides = channels * area, 1, area
        y = packed(x, self.precision, n, area, depth, *strides, parts=groups)
        return y.reshape(n, *size, y.shape[-1])

    def filters(self, weight):
        filters, depth, *kernel = weight.shape
        taps = math.prod(kernel)
        return packed(weight, self.precision, filters, taps, depth, depth * taps, 1, taps)

    def result(self, shape, like):
        y = empty(like, shape)
        return y, y

    def kernel(self, name, columns):
        return getattr(cu_float, name), COLUMNS


class Geometry(NamedTuple):
    """A convolution's shapes and numbers."""

    x_shape: tuple
    weight_shape: tuple
    out_shape: tuple
    stride: tuple
    padding: tuple
    dilation: tuple
    groups: int

    @property
    def taps(self):
        """Of a filter."""
        return math.prod(self.weight_shape[2:])

    def numbers(self, filled, x_pitch, grad_pitch):
        """GEOMETRY of tensor_conv.cu; `filled`: channels, filled up to whole vectors."""
        n, _, *size = self.x_shape
        filters, channels, *kernel = self.weight_shape
        filters //= self.groups
        (top, _), (left, _) = self.padding
        sizes = n, self.groups, filters, channels, filled(channels), filled(filters), x_pitch, grad_pitch
        return *sizes, *size, *self.out_shape[2:], *kernel, *self.stride, top, left, *self.dilation


class Sums(NamedTuple):
    """What a kernel works out: (rows, columns) sums of so many terms for each group and phase."""

    rows: int
    columns: int
    terms: int
    groups: int
    phases: int = 1


def weight_as_factor(x, weight, may_be_filled):
    """weight (OC, CG, KH, KW) or (OC, C), beside bfloat16 x: rounded and channels-last, for all kernels that multiply
    it. Channels of zeros fill up whole vectors; where that may not be, it stays as it is, and each makes a copy."""
    kind = _kind(x, "bfloat16")
    filters, depth, *kernel = weight.shape
    if depth != kind.filled(depth) and not may_be_filled:
        return weight
    y = kind.filters(weight.reshape(filters, depth, *(kernel or (1, 1))))
    return nchw_view(y.reshape(filters, *kernel, -1)) if kernel else y.reshape(filters, -1)


def conv2d_forward(x, weight, bias, stride, padding, dilation, groups, precision="bfloat16"):
    """y (N, OC, OH, OW)."""
    kind = _kind(x, precision)
    out_size = output_size("conv2d", x.shape[2:], weight.shape[2:], stride, padding, dilation)
    y, result = kind.result((len(x), len(weight), *out_size), x)
    geometry = _geometry(x.shape, _own_shape(weight, x.shape, groups), y.shape, stride, padding, dilation, groups)
    images = kind.images(x, groups)
    terms = geometry.taps * kind.filled(x.shape[1] // groups)
    sums = Sums(len(x) * math.prod(out_size), len(weight) // groups, terms, groups)
    numbers = geometry.numbers(kind.filled, images.shape[-1], 0)
    _launch(kind, "conv2d_forward", (images, kind.filters(weight), bias, result), sums, numbers)
    return y


def conv2d_grad_x(grad_out, x_shape, weight, stride, padding, dilation, groups, precision="bfloat16"):
    """grad_x (N, C, H, W)."""
    own = _own_shape(weight, x_shape, groups)
    geometry = _geometry(x_shape, own, grad_out.shape, stride, padding, dilation, groups)
    return _grad_x(grad_out, weight, None, geometry, precision)


def conv_transpose2d_forward(x, weight, bias, y_shape, stride, padding, dilation, groups):
    """y of that shape, bfloat16: what conv2d_grad_x gives, and the bias before it is rounded."""
    geometry = _geometry(y_shape, _own_shape(weight, y_shape, groups), x.shape, stride, padding, dilation, groups)
    return _grad_x(x, weight, bias, geometry, "bfloat16")


def conv2d_grad_weight(grad_out, x, weight_shape, stride, padding, dilation, groups, precision="bfloat16"):
    """grad_weight (OC, C/groups, KH, KW), float32."""
    kind = _kind(x, precision)
    geometry = _geometry(x.shape, weight_shape, grad_out.shape, stride, padding, dilation, groups)
    images, gradients = kind.images(x, groups), kind.images(grad_out, groups)
    grad_weight = empty(x, weight_shape, "float32")
    rows, positions = geometry.taps * kind.filled(weight_shape[1]), len(x) * math.prod(grad_out.shape[2:])
    sums = Sums(rows, weight_shape[0] // groups, positions, groups)
    numbers = geometry.numbers(kind.filled, images.shape[-1], gradients.shape[-1])
    _launch(kind, "conv2d_grad_weight", (gradients, images, grad_weight), sums, numbers)
    return grad_weight


def conv2d_grad_bias(grad_out):
    """grad_bias (OC,), float32: bfloat16 grad_out summed over images and positions."""
    return _column_sums(as_rows(nhwc_view(channels_last(grad_out))))


def linear_forward(x, weight, bias):
    """y (..., OC), bfloat16, = x @ weight^T + bias."""
    y = conv2d_forward(_one_pixel(_rows(x)), _one_pixel(weight), bias, *_POINTWISE)
    return y.reshape(*x.shape[:-1], len(weight))


def linear_grad_x(grad_out, weight):
    """grad_x (..., C), bfloat16, = grad_out @ weight."""
    rows = _rows(grad_out)
    x_shape = len(rows), weight.shape[1], 1, 1
    grad_x = conv2d_grad_x(_one_pixel(rows), x_shape, _one_pixel(weight), *_POINTWISE)
    return grad_x.reshape(*grad_out.shape[:-1], weight.shape[1])


def linear_grad_weight(grad_out, x):
    """grad_weight (OC, C), float32, = grad_out^T @ x, summed over the leading axes."""
    gradients, rows = _rows(grad_out), _rows(x)
    shape = gradients.shape[1], rows.shape[1]
    grad_weight = conv2d_grad_weight(_one_pixel(gradients), _one_pixel(rows), (*shape, 1, 1), *_POINTWISE)
    return grad_weight.reshape(shape)


def linear_grad_bias(grad_out):
    """grad_bias (OC,), float32: grad_out summed over the leading axes."""
    return _column_sums(_rows(grad_out))


_POINTWISE = (1, 1), ((0, 0), (0, 0)), (1, 1), 1  # stride, padding, dilation, groups


def _rows(x):
    return as_rows(contiguous(x))


def _one_pixel(rows):
    return rows.reshape(*rows.shape, 1, 1)


def _kind(array, precision):
    check_gpu(array, precision)
    return Rounded(precision) if array.dtype == "float32" else Direct(array)


def _own_shape(weight, x_shape, groups):
    """The weight's shape without the channels of zeros that weight_as_factor fills it up with."""
    return len(weight), x_shape[1] // groups, *weight.shape[2:]


def _geometry(x_shape, weight_shape, out_shape, *options):
    check_positions(x_shape, out_shape)
    for _, channels, *size in (x_shape, out_shape):
        if (channels + VECTOR) * math.prod(size) >= MOST:
            raise ValueError(
                f"conv2d: images of {channels} channels of {size} pixels are too large: 2^31 numbers or more"
            )
    return Geometry(tuple(x_shape), tuple(weight_shape), tuple(out_shape), *options)


def _grad_x(grad_out, weight, bias, geometry, precision):
    kind = _kind(grad_out, precision)
    n, _, *size = geometry.x_shape
    grad_x, result = kind.result(geometry.x_shape, grad_out)
    gradients = kind.images(grad_out, geometry.groups)
    largest = [math.ceil(pixels / step) for pixels, step in zip(size, geometry.stride, strict=True)]  # of the phases
    every = [s // math.gcd(s, d) for s, d in zip(geometry.stride, geometry.dilation, strict=True)]  # taps, of a phase
    taps = math.prod(math.ceil(k / step) for k, step in zip(weight.shape[2:], every, strict=True))  # at most
    terms = taps * kind.filled(len(weight) // geometry.groups)
    phases = math.prod(geometry.stride)
    sums = Sums(n * math.prod(largest), geometry.weight_shape[1], terms, geometry.groups, phases)
    numbers = *every, *geometry.numbers(kind.filled, 0, gradients.shape[-1])
    _launch(kind, "conv2d_grad_x", (gradients, kind.filters(weight), bias, result), sums, numbers)
    return grad_x


def _launch(kind, name, arrays, sums, numbers):
    kernel, width = kind.kernel(name, sums.columns)
    tiles = math.ceil(sums.rows / ROWS) * math.ceil(sums.columns / width)
    count = tiles * sums.groups * sums.phases
    splits, length = cut(sums.terms, count, SHORTEST, TILE_BYTES // kind.dtype.itemsize)
    parts = parts_of_sums(arrays[0], count, splits, ROWS * width, "float32")
    grid, shared = (tiles, sums.groups, sums.phases * splits), shared_bytes(width) + ROWS * POSITION_BYTES
    kernel[grid, ROWS](*arrays, *parts, length, splits, *numbers, shared=shared)


def _column_sums(rows):
    """The columns of a bfloat16 matrix summed, float32."""
    count, columns = rows.shape
    tiles = math.ceil(columns / 32)
    splits, length = cut(count, tiles, SHORTEST) if tiles <= COUNTERS else (1, max(1, count))
    sums, parts = empty(rows, (columns,), "float32"), empty(rows, (splits, columns), "float32")
    cu.column_sums[(tiles, splits), (32, 8)](rows, sums, parts, arrivals(rows, tiles), count, columns, length)
    return sums
