"""Launches tensor_cores.cu and tensor_conv.cu: products of float32 arrays whose factors are rounded (precision.py)."""

import math

from minicnn.device import DeviceError
from minicnn.emulated import EmulatedArray
from minicnn.kernels.arguments import check_positions
from minicnn.ops.geometry import output_size

from .launch import CudaFile, empty
from .source import TENSOR_TYPES
from .split import add_up, cut

products, convolutions = CudaFile("tensor_cores.cu"), CudaFile("tensor_conv.cu")
TILE, THREADS = 128, 128  # as in tensor_pipeline.cuh
MULTIPLE, SHORTEST = 32, 512  # terms: a split has a multiple of what a tile holds; fewer are not worth adding up
VECTOR, STEP = 16, 32  # bytes: what is copied at once, and what an instruction takes of a row
MOST_BATCHES = 65535  # of a grid; a thread block goes on to the next ones


def multiply(a, b, bias, precision, *, a_is_transposed=False, b_is_transposed=False, kernel="product_pipelined"):
    """c (I, J) = a (I, K) @ b (K, J) + bias (J,), all float32; a transposed factor is given as (K, I), or as (J, K)."""
    a = _packed_matrix(a, precision, a_is_transposed)  # (I, pitch)
    b = _packed_matrix(b, precision, not b_is_transposed)  # (J, pitch)
    (rows, pitch), columns = a.shape, len(b)  # both have k as their last axis
    if kernel == "product_naive":
        c = empty(a, (rows, columns), "float32")
        grid = math.ceil(columns / 8), math.ceil(rows / 16)
        products.product_naive[grid, 32](a, b, bias, c, rows, columns, pitch)
        return c
    grid = _grid(rows, columns)
    splits, length = cut(pitch, math.prod(grid), SHORTEST, MULTIPLE)
    c = empty(a, (splits, rows, columns), "float32")  # a product for each split of k
    products.product_pipelined[(*grid, splits), THREADS](a, b, bias, c, rows, columns, pitch, length)
    return add_up(c)


def conv2d_forward(x, weight, bias, stride, padding, dilation, groups, precision):
    """As conv.conv2d_forward, of float32 arrays."""
    out_size = output_size("conv2d", x.shape[2:], weight.shape[2:], stride, padding, dilation)
    y = empty(x, (len(x), len(weight), *out_size))
    check_positions(x.shape, y.shape)
    images = _packed_images(x, precision, groups)  # (N * groups, H * W, CG and zeros)
    filters, depth, *kernel = weight.shape  # OC, CG, (KH, KW)
    taps = math.prod(kernel)
    weight = _packed(weight, precision, filters, taps, depth, depth * taps, 1, taps)  # (OC, KH * KW, CG)
    (top, _), (left, _) = padding
    geometry = *stride, -top, -left, *dilation, 1, 1  # stride, offset, step, divide of tensor_conv.cu
    _convolve(images, weight, bias, y, x.shape[2:], kernel, geometry, groups)
    return y


def conv2d_grad_x(grad_out, x_shape, weight, stride, padding, dilation, groups, precision):
    """As conv.conv2d_grad_x, of float32 arrays: the windows slide over grad_out."""
    check_positions(x_shape, grad_out.shape)
    grad_x = empty(grad_out, x_shape)
    images = _packed_images(grad_out, precision, groups)  # (N * groups, H * W of grad_out, OG and zeros)
    filters, rows, *kernel = len(weight) // groups, math.prod(weight.shape[1:]), *weight.shape[2:]  # OG, CG * KH * KW
    weight = _packed(weight, precision, groups, rows, filters, filters * rows, 1, rows)  # (groups, CG * KH * KW, OG)
    (top, _), (left, _) = padding
    geometry = 1, 1, top, left, *(-d for d in dilation), *stride  # as above
    _convolve(images, weight, None, grad_x, grad_out.shape[2:], kernel, geometry, groups)
    return grad_x


def conv2d_grad_weight(grad_out, x, weight_shape, stride, padding, dilation, groups, precision):
    """As conv.conv2d_grad_weight, of float32 arrays."""
    check_positions(x.shape, grad_out.shape)
    images, gradients = (_packed_images(array, precision, groups) for array in (x, grad_out))
    n, filters, *out_size = grad_out.shape
    filters, depth, *kernel = filters // groups, *weight_shape[1:]  # OG, CG, (KH, KW)
    grid = _grid(filters, math.prod(kernel) * images.shape[-1])
    splits, length = cut(n * math.prod(out_size), math.prod(grid) * groups, SHORTEST, MULTIPLE)
    sums = empty(x, (splits, *weight_shape))  # a gradient for each split of positions
    sizes = filters, gradients.shape[-1], depth, images.shape[-1], *x.shape[2:], *out_size, *kernel
    (top, _), (left, _) = padding
    geometry = length, groups, n, *sizes, *stride, top, left, *dilation
    grid = *grid, groups * splits
    convolutions.conv2d_grad_weight[grid, THREADS](gradients, images, sums, *geometry)
    return add_up(sums)


def _convolve(images, weight, bias, y, size, kernel, geometry, groups):
    """Launch conv2d of tensor_conv.cu; `size` is (H, W) of the packed images."""
    n, channels, *out_size = y.shape
    rows = channels // groups  # of y, in a group
    grid = *_grid(rows, n * math.prod(out_size)), groups
    sizes = n, rows, *size, images.shape[-1], *out_size, *kernel
    convolutions.conv2d[grid, THREADS](images, weight, bias, y, *sizes, *geometry)


def _grid(rows, columns):
    return math.ceil(columns / TILE), math.ceil(rows / TILE)


def _packed_matrix(matrix, precision, is_transposed):
    """(rows, pitch) of `matrix`, or of its transpose."""
    rows, columns = matrix.shape[::-1] if is_transposed else matrix.shape
    strides = (1, rows) if is_transposed else (columns, 1)
    return _packed(matrix, precision, 1, rows, columns, 0, *strides, unit=STEP).reshape(rows, -1)


def _packed_images(x, precision, groups):
    """(N * groups, H * W, channels of a group) of x (N, C, H, W): channels last."""
    n, channels, *size = x.shape
    depth, area = channels // groups, math.prod(size)
    return _packed(x, precision, n * groups, area, depth, depth * area, 1, area)


def _packed(x, precision, batches, rows, columns, *strides, unit=VECTOR):
    """(batches, rows, pitch) in the precision's type, the pitch a multiple of `unit` bytes; `strides` are those of the
    batches, rows and columns in x, in elements."""
    _check_gpu(x, precision)
    dtype = TENSOR_TYPES[precision]
    pitch = math.ceil(columns * dtype.itemsize / unit) * unit // dtype.itemsize
    packed = empty(x, (batches, rows, pitch), dtype)
    grid = math.ceil(rows / 32), math.ceil(pitch / 32), min(batches, MOST_BATCHES)
    products.pack[grid, (32, 8)](x, packed, batches, rows, columns, pitch, *strides)
    return packed


def _check_gpu(array, precision):
    if not isinstance(array, EmulatedArray) and int(array.device.compute_capability) < 80:
        raise DeviceError(
            f"precision {precision!r} needs tensor cores of compute capability 8.0 or newer, this GPU has "
            f"{array.device.compute_capability[:-1]}.{array.device.compute_capability[-1]}; use precision 'float32'"
        )
