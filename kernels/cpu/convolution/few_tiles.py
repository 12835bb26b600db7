"""winograd.py's convolution of a few pictures with kept weights: three stages, which threads share (few.py says why).

    cut         bands of tiles out of the images, transformed: V
    multiply    the places' matrix products. Threads share the places: so each transformed weight is read by one of them
                only, once. Of a picture of 14 x 14 pixels they are most of the bytes
    join        bands of the results, out of M

Results are those of winograd.py, to the last bit.
"""

import functools
import itertools
import math

import numpy as np

from ..gemm.lanes import REGISTER, lanes
from ..gemm.matmul import padded
from ..machine import memory, team, threads
from ..machine.jit import jit
from . import few, winograd
from .few import epilogue_of, finish_columns
from .outliers import mark_outliers
from .winograd import apart_of, grid_of, transformed_filters
from .winograd_tiles import TILE, Tiling, cut, join, multiply_places

MOST_BYTES = 1 << 22  # of V and M, which lie there as a whole: in the second caches of two cores
OUTLIERS = 2  # what the compiled function returns if a number stands out


def suits(images, geometry):
    """Whether it is so little work that what lies around the products counts, and V and M stay in the caches."""
    places, tiles = (geometry.taps[0] + TILE - 1) ** 2, images * math.prod(grid_of(geometry.out_size))
    return few.suits(images, geometry) and 4 * places * tiles * (geometry.channels + geometry.filters) <= MOST_BYTES


def conv2d_forward(x, weight, bias, geometry, residual=None, relu=False, look=None):
    """y (N, OH, OW, OC) for x (N, H, W, C) and weight (OC, C, R, R), R 3 or 5."""
    u, dtype = transformed_filters(weight, False), x.dtype
    if u is not None:
        y = memory.empty((len(x), *geometry.out_size, geometry.filters), dtype)
        tables, numbers, tilings, size = _plan(len(x), geometry, dtype, threads.threads())
        arrays = x.reshape(-1), u, y.reshape(-1), memory.scratch("few_tiles.space", (size,), dtype)
        epilogue = epilogue_of(bias, residual, relu, dtype)
        if threads.run_compiled(_convolve, *tables, (*arrays, numbers, tilings, epilogue)) != OUTLIERS:
            return y
    return winograd.conv2d_forward(x, weight, bias, geometry, residual, relu)  # a number stands out: as is done there


@functools.lru_cache(1024)
def _plan(images, geometry, dtype, count):
    """((Table of bands, of places), (side, C, K, columns of M, tiles, distances in V and M, size of a buffer, where M,
    the buffers and the peaks begin in scratch), tilings of the images and of the results, numbers of scratch)."""
    taps, channels, filters = geometry.taps[0], geometry.channels, geometry.filters
    grid, side, wide = grid_of(geometry.out_size), taps + TILE - 1, padded(filters, dtype)
    of_x = Tiling((*geometry.size, channels), grid, geometry.before, taps)
    of_y = of_x._replace(size=(*geometry.out_size, filters))
    bands, places = images * grid[0], side * side
    tables = team.table(bands, count, 1), team.table(places, count, 1)
    apart = [apart_of(bands * grid[1] * columns, dtype) for columns in (channels, wide)]
    buffer = lines(side * (grid[1] * TILE + taps - 1) * max(channels, filters))
    of_v, of_m = (lines(places * distance) for distance in apart)
    ends = list(itertools.accumulate((of_v, of_m, len(tables[0]) * buffer, bands * (REGISTER // dtype.itemsize))))
    numbers = side, channels, filters, wide, bands * grid[1], *apart, buffer, *ends[:3]
    return tables, numbers, (tuple(of_x), tuple(of_y)), ends[3]


def lines(numbers):
    """As many, or a few more, which fill whole lines of the caches."""
    return numbers + -numbers % 16


@jit
def _convolve(boxes, of_bands, of_places, arguments):
    failed = team.stage(boxes, _cut, of_bands, arguments)
    failed |= team.stage(boxes, _multiply_places, of_places, arguments)
    failed |= team.stage(boxes, _join, of_bands, arguments)
    x, _, _, space, numbers, (tiling, _), _ = arguments
    images = len(x) // (tiling[0][0] * tiling[0][1] * tiling[0][2])
    peaks = space[numbers[-1] : numbers[-1] + images * tiling[1][0] * lanes(x)]
    return failed | (OUTLIERS if mark_outliers(x, peaks, np.zeros(images, np.bool_)) else 0)


@jit
def _cut(limits, arguments):
    """Bands limits[0] ... limits[1] of V = B^T d B."""
    x, _, _, space, numbers, (tiling, _), _ = arguments
    side, channels, _, _, _, v_apart, _, size, _, buffers, peaks = numbers
    at = limits[0] * tiling[1][1] * channels  # the bands' first row at each place
    rows = limits[0], limits[1], 0, side
    cut(x, (space[at:], v_apart), space[buffers + limits[2] * size :], space[peaks:], rows, tiling, False)


@jit
def _multiply_places(limits, arguments):
    """Places limits[0] ... limits[1] of M = V @ U."""
    _, u, _, space, numbers, _, _ = arguments
    _, channels, _, wide, tiles, v_apart, m_apart, _, m, _, _ = numbers
    first = limits[0]
    multiply_places(
        (space[first * v_apart :], v_apart), u[first * channels * wide :], (space[m + first * m_apart :], m_apart),
        limits[1] - first, (tiles, channels, wide),
    )  # fmt: skip


@jit
def _join(limits, arguments):
    """Bands limits[0] ... limits[1] of the results: y = A^T M A."""
    _, _, y, space, numbers, (_, tiling), (bias, residual, relu) = arguments
    side, _, filters, wide, _, _, m_apart, size, m, buffers, _ = numbers
    (height, line, _), grid, _, _ = tiling
    tiles, at = (limits[1] - limits[0]) * grid[1], limits[0] * grid[1] * wide
    none = bias[:0]
    # the points (1, 1) are second in both directions
    at += m
    finish_columns((space, at + (side + 1) * m_apart, wide), (tiles, filters), 0, (bias, none, False))
    join((space[at:], m_apart, wide), y, space[buffers + limits[2] * size :], (limits[0], limits[1]), tiling)
    top = limits[0] // grid[0] * height + limits[0] % grid[0] * TILE  # rows of y, counted through all images
    bottom = limits[1] // grid[0] * height + limits[1] % grid[0] * TILE
    finish_columns((y, top * line * filters, filters), ((bottom - top) * line, filters), 0, (none, residual, relu))
