"""Products with sums of two lengths, from whose difference follows what the loop takes for each multiply-add.

Lengths stay below those at which a sum is cut into splits.
"""

import functools
from collections.abc import Callable, Iterator

import numpy as np

import minicnn
from minicnn.emulated import on_device
from minicnn.kernels.cuda import conv, matmul, split, tensor_cores, winograd
from minicnn.precision import precision

GEOMETRY = (1, 1), ((2, 2), (2, 2)), (2, 2), 1  # stride, padding, dilation, groups: not what Winograd's kernels do
SIDE = 12  # of a picture; one has few enough positions for a sum that is not cut, and so have three


def products() -> Iterator[Callable[[int], object]]:
    """Functions of a scale, 1 or 3: by how much sums are longer."""
    for busy in (split.BUSY, 1):  # as many thread blocks as keep a GPU busy: 1 has large tiles taken
        for filters in (64, 128):
            for convolve in (_forward, _grad_x, _grad_weight):
                yield functools.partial(_float, convolve, filters, busy)
        yield functools.partial(_winograd, 64, busy)
    yield functools.partial(_winograd, 128, 1)
    for filters in (64, 128):
        for convolve in (_forward, _grad_x, _grad_weight):
            yield functools.partial(_bfloat16, convolve, filters)
    for name in ("matmul_double", "matmul_large", "matmul_split"):
        yield functools.partial(_matmul, name)
    yield lambda scale: tensor_cores.multiply(_array(128, 128 * scale), _array(128 * scale, 128), None, "bfloat16")


def of_pictures() -> None:
    """A convolution of three channels, which no vector of 16 bytes fits: they are padded first."""
    with precision("bfloat16"):
        conv.conv2d_forward(_array(2, 3, SIDE, SIDE, dtype=minicnn.bfloat16), _array(64, 3, 3, 3), None, *GEOMETRY)


def _forward(filters, scale, dtype):
    x, weight = _array(1, 16 * scale, SIDE, SIDE, dtype=dtype), _array(filters, 16 * scale, 3, 3)
    conv.conv2d_forward(x, weight, None, *GEOMETRY)


def _grad_x(filters, scale, dtype):
    grad, weight = _array(1, 16 * scale, SIDE, SIDE, dtype=dtype), _array(16 * scale, filters, 3, 3)
    conv.conv2d_grad_x(grad, (1, filters, SIDE, SIDE), weight, *GEOMETRY)


def _grad_weight(filters, scale, dtype):
    grad, x = _array(scale, filters, SIDE, SIDE, dtype=dtype), _array(scale, 16, SIDE, SIDE, dtype=dtype)
    conv.conv2d_grad_weight(grad, x, (filters, 16, 3, 3), *GEOMETRY)


def _float(convolve, filters, busy, scale):
    before, split.BUSY = split.BUSY, busy
    try:
        convolve(filters, scale, np.float32)
    finally:
        split.BUSY = before


def _bfloat16(convolve, filters, scale):
    with precision("bfloat16"):
        convolve(filters, scale, minicnn.bfloat16)


def _winograd(filters, busy, scale):
    before, split.BUSY = split.BUSY, busy
    try:
        x, weight = _array(2, 16 * scale, 33, 25), _array(filters, 16 * scale, 3, 3)
        winograd.conv2d_forward(x, weight, None, (33, 25), ((1, 1), (1, 1)))
    finally:
        split.BUSY = before


def _matmul(name, scale):
    matmul.multiply(_array(128, 64 * scale), _array(64 * scale, 128), kernel=name)


def _array(*shape, dtype=np.float32):
    drawn = np.random.default_rng(len(shape)).standard_normal(shape, np.float32)
    return on_device(drawn.astype(dtype))
