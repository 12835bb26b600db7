"""Winograd's convolution of one small picture with kept weights, by tiles of 2 x 2 results (winograd.py has 4 x 4).

A network's last maps are small, and their weights many: 7 x 7 pixels of 512 channels, and 9 MB. There tiles of 4 x 4 do
not pay: V @ U has 4 rows at each of 36 places, and U, which is four times as large as the weights, comes out of memory
for them. Tiles of 2 x 2 see 4 x 4 pixels, so there are 16 places:

    7 x 7 results, of C x K weights    multiplications       numbers of weights to be read
    each window                        441 * C * K            9 * C * K
    tiles of 4 x 4                     144 * C * K           36 * C * K
    tiles of 2 x 2                     256 * C * K           16 * C * K

Three stages as in few_tiles.py; a tile's numbers pass through a buffer of 1 KB. The transforms of pixels and results
have no numbers but 0, 1 and -1, so they round less than those of larger tiles. A picture, or a weight, in which a
number stands out (outliers.py) is left to few.py.
"""

import functools
import itertools
import math

import numpy as np

from ..gemm.lanes import REGISTER, lanes, linear_map, load, nothing, store
from ..gemm.matmul import padded, width
from ..machine import memory, team, threads
from ..machine.jit import jit
from ..machine.kept import kept, plain
from . import few
from .cook_toom import cook_toom
from .few import epilogue_of, finish_columns
from .few_tiles import OUTLIERS, lines
from .outliers import larger, mark_outliers
from .winograd import apart_of
from .winograd_tiles import multiply_places

TILE, TAPS, SIDE = 2, 3, 4
PLACES = SIDE * SIDE
LEAST, MOST = 9, 36  # tiles: with fewer, U takes longer to read than to multiply; with more, others are ahead
MANY = 1 << 14  # C * K: for fewer, the stages take longer than the multiplications that they save
A, G, B = cook_toom(TILE, TAPS)  # A^T (2, 4), G (4, 3), B^T (4, 4)
_b, _a = linear_map(B), linear_map(A)


def suits(images, geometry):
    """Whether this is possible, and sooner than to multiply each window."""
    is_plain = geometry.stride == geometry.dilation == (1, 1) and geometry.groups == 1
    if not is_plain or geometry.taps != (TAPS, TAPS) or max(*geometry.before, *geometry.after) >= TAPS:
        return False
    channels, filters, tiles = geometry.channels, geometry.filters, math.prod(_grid_of(geometry.out_size))
    is_much = channels * filters >= MANY and min(channels, filters) >= 16  # a vector of channels must be full
    return images == 1 and is_much and LEAST <= tiles <= MOST and 0 not in geometry.size


def conv2d_forward(x, weight, bias, geometry, residual=None, relu=False, look=None):
    """y (1, OH, OW, OC) for x (1, H, W, C) and weight (OC, C, 3, 3); look: as in few.py."""
    u, dtype = _transformed_filters(weight), x.dtype
    if u is not None:
        y = memory.empty((1, *geometry.out_size, geometry.filters), dtype)
        tables, numbers, size = _plan(geometry, dtype, threads.threads())
        arrays = x.reshape(-1), u, y.reshape(-1), memory.scratch("few_small.space", (size,), dtype)
        epilogue = epilogue_of(bias, residual, relu, dtype)
        if threads.run_compiled(_convolve, *tables, (*arrays, numbers, tuple(geometry), epilogue)) != OUTLIERS:
            return y
    return few.conv2d_forward(x, weight, bias, geometry, residual, relu)


def _grid_of(size):
    return -(-size[0] // TILE), -(-size[1] // TILE)


@functools.lru_cache(1024)
def _plan(geometry, dtype, count):
    """((Table of bands, of places), (columns of M, tiles, distances in V and M, where M and the peaks begin in
    scratch), numbers of scratch)."""
    bands, across = _grid_of(geometry.out_size)
    tiles, wide = bands * across, padded(geometry.filters, dtype)
    apart = [apart_of(tiles * columns, dtype) for columns in (geometry.channels, wide)]
    sizes = lines(PLACES * apart[0]), lines(PLACES * apart[1]), bands * (REGISTER // dtype.itemsize)
    ends = list(itertools.accumulate(sizes))
    return (team.table(bands, count, 1), team.table(PLACES, count, 1)), (wide, tiles, *apart, *ends[:2]), ends[2]


def _transformed_filters(weight):
    """U (16, panels, C, width): at each place the panels (matmul.py) of a matrix (C, OC), flat; kept with the weight.

    None if a weight stands out.
    """

    def make(space):
        filters, channels = weight.shape[:2]
        flat, g = plain(weight).reshape(-1), np.array(G, weight.dtype)  # G (4, 3)
        if mark_outliers(flat, flat, np.zeros(1, bool)):
            return None
        # (OC, C, 3, 3) -> (4, 4, OC, C), a place for each of the first two
        places = np.einsum("ru,kcuv,qv->rqkc", g, weight, g, optimize=True).reshape(PLACES, filters, channels)
        wide, columns = width(weight.dtype), padded(filters, weight.dtype)
        u = space("few_small.u", (PLACES, columns // wide, channels, wide), weight.dtype)
        rows = np.zeros((PLACES, columns, channels), weight.dtype)
        rows[:, :filters] = places
        u[...] = rows.reshape(PLACES, -1, wide, channels).transpose(0, 1, 3, 2)
        return u.reshape(-1)

    return kept(weight, "few_small.u", make)


@jit
def _convolve(boxes, of_bands, of_places, arguments):
    failed = team.stage(boxes, _cut, of_bands, arguments)
    failed |= team.stage(boxes, _multiply_places, of_places, arguments)
    failed |= team.stage(boxes, _join, of_bands, arguments)
    x, _, _, space, numbers, geometry, _ = arguments
    bands = (geometry[1][0] + TILE - 1) // TILE
    found = mark_outliers(x, space[numbers[5] : numbers[5] + bands * lanes(x)], np.zeros(1, np.bool_))
    return failed | (OUTLIERS if found else 0)


@jit
def _cut(limits, arguments):
    """Bands limits[0] ... limits[1] of V = B^T d B."""
    x, _, _, space, (_, _, apart, _, _, peaks), geometry, _ = arguments
    (height, line), (_, out_w), _, _, (top, left), _, channels, _, _ = geometry
    across, high = (out_w + TILE - 1) // TILE, lanes(x)
    buffer = np.empty(PLACES * high, x.dtype)  # a tile's numbers (4, 4) for a vector of channels
    for band in range(limits[0], limits[1]):
        down, most = band * TILE - top, nothing(x)  # the band's first row of pixels
        for t in range(across):
            for c in range(0, channels, high):
                c = min(c, channels - high)  # the last vector begins earlier
                for j in range(SIDE):  # down the columns
                    column = t * TILE - left + j
                    first, last, at = max(0, -down), min(SIDE, height - down), (down * line + column) * channels + c
                    if column < 0 or column >= line or last <= first:  # nothing of the image: do not even point there
                        first, last, at = 0, 0, 0
                    d = load(x, at, line * channels, SIDE, first, last)
                    most = larger(most, d)
                    store(buffer, j * high, SIDE * high, 0, SIDE, _b(d))
                for r in range(SIDE):  # along the rows, to the places (r, 0) ... (r, 3)
                    to = r * SIDE * apart + (band * across + t) * channels + c
                    store(space, to, apart, 0, SIDE, _b(load(buffer, r * SIDE * high, high, SIDE, 0, SIDE)))
        store(space, peaks + band * high, 0, 0, 1, (most,))  # the band's largest numbers, one in each lane


@jit
def _multiply_places(limits, arguments):
    """Places limits[0] ... limits[1] of M = V @ U."""
    _, u, _, space, (wide, tiles, v_apart, m_apart, m, _), geometry, _ = arguments
    first, channels = limits[0], geometry[6]
    multiply_places(
        (space[first * v_apart :], v_apart), u[first * channels * wide :], (space[m + first * m_apart :], m_apart),
        limits[1] - first, (tiles, channels, wide),
    )  # fmt: skip


@jit
def _join(limits, arguments):
    """Bands limits[0] ... limits[1] of the results, y = A^T M A, and what is done to them."""
    x, _, y, space, (wide, _, _, apart, m, _), geometry, epilogue = arguments
    (_, (out_h, out_w), _, _, _, _, _, filters, _), high = geometry, lanes(x)
    across, row = (out_w + TILE - 1) // TILE, out_w * filters
    buffer = np.empty(SIDE * TILE * high, x.dtype)  # (4, 2)
    for band in range(limits[0], limits[1]):
        top = band * TILE
        count = min(TILE, out_h - top)  # rows of results
        for t in range(across):
            for c in range(0, filters, high):
                c = min(c, filters - high)
                for r in range(SIDE):  # along the rows: 4 places become 2 columns
                    at = m + r * SIDE * apart + (band * across + t) * wide + c
                    store(buffer, r * TILE * high, high, 0, TILE, _a(load(space, at, apart, SIDE, 0, SIDE)))
                for j in range(min(TILE, out_w - t * TILE)):  # down the columns
                    to = top * row + (t * TILE + j) * filters + c
                    store(y, to, row, 0, count, _a(load(buffer, j * high, TILE * high, SIDE, 0, SIDE)))
        finish_columns((y, top * row, filters), (count * out_w, filters), 0, epilogue)
