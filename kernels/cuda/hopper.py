"""Launches hopper_product.cu: bfloat16 products by wgmma and TMA; hopper_conv.py, convolutions.

They are for GPUs of compute capability 9.0 and for no other, and **have never run on one**: what is known of them is
what the emulator, which decodes descriptors as NVIDIA documents them, and NVIDIA's compiler say. So nobody gets them
without asking: by ``kernel="product_hopper"`` of matmul.py, by conv.conv2d_by_hopper, or for all of a process by
MINICNN_HOPPER=1.
"""

import math

from minicnn.device import DeviceError, array_module
from minicnn.emulated import EmulatedArray, on_device
from minicnn.envvars import switch

from .cast import cast_forward
from .launch import CudaFile, contiguous, empty
from .source import BFLOAT16
from .split import add_up, cut
from .tensor_map import of_boxes

products = CudaFile("hopper_product.cu")
TILE, DEPTH, STAGES, THREADS = 128, 64, 3, 288  # as in hopper_pipeline.cuh; DEPTH numbers are 128 bytes, a row of a box
SHARED = STAGES * 2 * TILE * DEPTH * 2 + 1024  # bytes: the tiles, and what is lost to begin at a multiple of 1024
SHORTEST = 512  # terms of a split
UNIT = 8  # numbers of 16 bytes: rows begin at multiples of it


def is_chosen(array):
    """Whether MINICNN_HOPPER asks for these kernels, and this is a bfloat16 array where they can run."""
    chosen = array.dtype == BFLOAT16 and switch("MINICNN_HOPPER", default=False)
    return chosen and (isinstance(array, EmulatedArray) or array.device.compute_capability == "90")


def multiply(a, b, bias=None, *, a_is_transposed=False, b_is_transposed=False):
    """c (I, J) = a (I, K) @ b (K, J) + bias (J,); a transposed factor is given as (K, I), or as (J, K).

    a, b and c are bfloat16 (a weight b may be float32, and is rounded first), bias is float32, as the sums are, which
    are rounded once. But where a is transposed, c is the gradient of a weight, and float32: the sums as they are; then
    b is not transposed, and there is no bias.
    """
    check_gpu(a)
    if a_is_transposed:
        if b_is_transposed or bias is not None:
            raise ValueError("product_hopper: of a transposed a, b cannot be transposed, too, and there is no bias")
        return _multiply_transposed(a, b)
    (rows, depth), columns = a.shape, len(b) if b_is_transposed else b.shape[1]
    if 0 in (rows, columns, depth):
        c = empty(a, (rows, columns))
        c[...] = 0 if bias is None else bias
        return c
    b = b if b.dtype == BFLOAT16 else cast_forward(b, BFLOAT16)
    a, b, c = filled_up(a), filled_up(b), empty(a, (rows, whole(columns)))
    box_of_b = (TILE, DEPTH) if b_is_transposed else (DEPTH, DEPTH)
    maps = of_boxes(a, (TILE, DEPTH)), of_boxes(b, box_of_b), of_boxes(c, (TILE, DEPTH))
    kernel = products.product_hopper if b_is_transposed else products.product_hopper_b
    kernel[tiles_of(rows, columns), THREADS](*maps, bias, columns, depth, shared=SHARED, reaches=(a, b, c))
    return contiguous(c[:, :columns])


def _multiply_transposed(a, b):
    (depth, rows), columns = a.shape, b.shape[1]
    if 0 in (rows, columns, depth):
        c = empty(a, (rows, columns), "float32")
        c[...] = 0
        return c
    a, b = filled_up(a), filled_up(b)
    splits, length = cut(depth, tiles_of(rows, columns), SHORTEST, DEPTH)
    sums = empty(a, (splits, rows, columns), "float32")
    maps, grid = [of_boxes(factor, (DEPTH, DEPTH)) for factor in (a, b)], (tiles_of(rows, columns), splits)
    sizes = rows, columns, depth, length // DEPTH
    products.product_hopper_sums[grid, THREADS](*maps, sums, *sizes, shared=SHARED, reaches=(a, b))
    return add_up(sums)


def tiles_of(rows, columns):
    return math.ceil(rows / TILE) * math.ceil(columns / TILE)


def whole(count):
    return math.ceil(count / UNIT) * UNIT


def filled_up(array):
    """The array, in C order, or a copy whose last axis is filled up with zeros: its rows begin at whole vectors."""
    size = array.shape[-1]
    if size == whole(size):
        return contiguous(array)
    filled = array_module(array).zeros((*array.shape[:-1], whole(size)), array.dtype)
    filled = on_device(filled) if isinstance(array, EmulatedArray) else filled
    filled[..., :size] = array
    return filled


def check_gpu(array):
    if not isinstance(array, EmulatedArray) and array.device.compute_capability != "90":
        has = array.device.compute_capability
        raise DeviceError(
            f"the kernels of kernels/cuda/hopper.py need a GPU of compute capability 9.0, and this one has "
            f"{has[:-1]}.{has[-1]}; leave out kernel='product_hopper', or unset MINICNN_HOPPER"
        )
