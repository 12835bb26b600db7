"""Launches winograd.cu: 3 x 3 convolutions of stride 1 with a quarter of the multiplications, forward and grad_x.

Two launches a pass, and two more for each further part of a batch whose scratch would be larger than SCRATCH_BYTES. The
gradient of the filters stays with conv.cu. What the method is: kernels/cpu/convolution/winograd.py.
"""

import math

from . import split
from .arrivals import arrivals
from .launch import THREADS, CudaFile, contiguous, empty
from .split import best_tile

cu = CudaFile("winograd.cu")
PLACES, SIDE = 36, 4  # of a tile: places in the transform domain, results along each side
SCRATCH_BYTES = 512 << 20  # of V and M
WORTH = 48  # multiplications in the time in which a number is written to memory and read again


def pays(images, weight_shape, out_size, geometry):
    """Whether this is possible, less work than multiplying every window, and work enough for a whole GPU.

    geometry: (stride, padding, dilation, groups). It looks at sizes alone, so that results are the same on every GPU.
    """
    stride, padding, dilation, groups = geometry
    filters, channels, *taps = weight_shape
    if (tuple(taps), tuple(stride), tuple(dilation), groups) != ((3, 3), (1, 1), (1, 1), 1):
        return False
    if max(*padding[0], *padding[1]) > 2:  # a tile might see nothing but padding
        return False
    if _bytes(channels, filters, math.prod(_grid(out_size)), 4) > SCRATCH_BYTES:  # of a single image
        return False
    tiles = images * math.prod(_grid(out_size))
    moved = tiles * (channels + filters) + channels * filters  # numbers at each place
    work = PLACES * (tiles * channels * filters + WORTH * moved)
    enough = PLACES * math.prod(best_tile(filters, tiles, PLACES).grid[:2]) >= split.BUSY
    return enough and work < images * math.prod(out_size) * 9 * channels * filters


def conv2d_forward(x, weight, bias, out_size, padding):
    """y (N, OC, OH, OW) for x (N, C, H, W), weight (OC, C, 3, 3)."""
    (top, _), (left, _) = padding
    return _convolve(x, weight, bias, out_size, (top, left), turned=False)


def conv2d_grad_x(grad_out, size, weight, padding):
    """grad_x (N, C, H, W) for grad_out (N, OC, OH, OW), by the same road: the filters turned by 180 degrees."""
    (top, _), (left, _) = padding
    return _convolve(grad_out, weight, None, size, (2 - top, 2 - left), turned=True)


def _convolve(x, weight, bias, out_size, corner, *, turned):
    """y (N, I, *out_size); corner: (rows, columns) of padding before x."""
    x = contiguous(x)
    n, depth, *size = x.shape
    rows = weight.shape[1 if turned else 0]
    y = empty(x, (n, rows, *out_size))
    down, across = _grid(out_size)
    u = empty(x, (PLACES, depth, rows))
    some = _images_at_once(n, depth, rows, down * across, x.itemsize)
    for first in range(0, n, some):
        part = x[first : first + some]  # of the images
        columns = len(part) * down * across  # tiles
        tile = best_tile(rows, columns, PLACES)
        v = empty(x, (PLACES, depth, columns))
        places = columns, down * across, across
        image_blocks, filter_blocks = math.ceil(depth * columns / THREADS), math.ceil(depth * rows / THREADS)
        grid = image_blocks + (filter_blocks if first == 0 else 0)  # U is made once
        cu.winograd_spread[grid, THREADS](
            part, weight, v, u, depth, rows, *size, *places, *corner, image_blocks, turned
        )
        products = math.prod(tile.grid[:2])
        sums = empty(x, (products, PLACES, tile.rows, tile.columns))
        grid = PLACES, *tile.grid[:2]
        kernel = getattr(cu, f"winograd_{tile.rows}x{tile.columns}")
        kernel[grid, (16, 16)](
            u, v, bias, y[first : first + some], sums, arrivals(x, products), depth, rows, *out_size, *places
        )
    return y


def _images_at_once(images, depth, rows, tiles, itemsize):
    """So many that V and M take SCRATCH_BYTES, and that there are counters; parts of nearly one size."""
    most = max(1, SCRATCH_BYTES // max(1, _bytes(depth, rows, tiles, itemsize)))
    parts = math.ceil(images / most)
    return math.ceil(images / max(1, parts))


def _bytes(depth, rows, tiles, itemsize):
    """What V and M of so many tiles take."""
    return PLACES * (depth + rows) * tiles * itemsize


def _grid(size):
    """How many tiles cover so many rows and columns of results."""
    return math.ceil(size[0] / SIDE), math.ceil(size[1] / SIDE)
