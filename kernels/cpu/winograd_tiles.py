"""The steps of winograd.py in memory: images into tiles, tiles into results, filters there and back.

Each transform is two-dimensional, X d X^T, and done along one axis after the other: a few vectors of channels are read,
mapped by a small matrix and written. On the way in, a *strip* of tiles that lie side by side goes first down the
columns of the image, whole rows of it at once, into a buffer (side, width, channels); then along the rows of the buffer
to the 36 (64) matrices of V. On the way out the other way round. A pixel is read once for each strip it belongs to.

A matrix for each place of a tile: `place` is how far apart they lie. taps: 3 or 5.
"""

from fractions import Fraction

from .cook_toom import SIDE, cook_toom, transposed
from .jit import jit
from .lanes import clear, lanes, linear_map, load, store, transpose
from .matmul import multiply, multiply_transposed

SUMMANDS = 128  # of the sum over channels: results are small differences of such sums, so they should round little

HALF = Fraction(1, 2)
A3, G3, B3 = cook_toom((0, 1, -1, HALF, -2), taps=3)
A5, G5, B5 = cook_toom((0, 1, -1, HALF, -2, 2, -HALF), taps=5)
_b3, _g3, _a3, _at3, _gt3 = map(linear_map, (B3, G3, A3, transposed(A3), transposed(G3)))
_b5, _g5, _a5, _at5, _gt5 = map(linear_map, (B5, G5, A5, transposed(A5), transposed(G5)))


@jit(forceinline=True)
def _cut_map(x, at, step, first, last, v, to, v_step, taps):
    if taps == 3:
        store(v, to, v_step, 0, 6, _b3(load(x, at, step, 6, first, last)))
    elif taps == 5:
        store(v, to, v_step, 0, 8, _b5(load(x, at, step, 8, first, last)))
    elif taps == -3:
        store(v, to, v_step, 0, 6, _at3(load(x, at, step, 4, first, last)))
    else:
        store(v, to, v_step, 0, 8, _at5(load(x, at, step, 4, first, last)))


@jit(forceinline=True)
def _join_map(m, at, step, y, to, y_step, last, taps):
    if taps == 3:
        store(y, to, y_step, 0, last, _a3(load(m, at, step, 6, 0, 6)))
    else:
        store(y, to, y_step, 0, last, _a5(load(m, at, step, 8, 0, 8)))


@jit(forceinline=True)
def _filter_map(g, at, step, u, to, u_step, taps):
    if taps == 3:
        store(u, to, u_step, 0, 6, _g3(load(g, at, step, 3, 0, 3)))
    else:
        store(u, to, u_step, 0, 8, _g5(load(g, at, step, 5, 0, 5)))


@jit(forceinline=True)
def _filter_gradient_map(m, at, step, g, to, g_step, taps):
    if taps == 3:
        store(g, to, g_step, 0, 3, _gt3(load(m, at, step, 6, 0, 6)))
    else:
        store(g, to, g_step, 0, 5, _gt5(load(m, at, step, 8, 0, 8)))


# Whole strips, whole filters


@jit
def cut(x, v, place, strip, start, stop, top, bottom, size, grid, corner, taps):
    """V for the tiles of strips start ... stop, the places in rows top ... bottom: images cut into tiles, transformed.

    taps > 0: tiles of SIDE + taps - 1 pixels that overlap, through B; the image begins at -corner. taps < 0: tiles of
    SIDE pixels, through A. Pixels outside are 0.
    """
    height, width, channels = size
    side = SIDE + abs(taps) - 1
    pixels = side if taps > 0 else SIDE
    row, line = width * channels, (grid[1] * SIDE + pixels - SIDE) * channels
    strip[: side * line] = 0
    for s in range(start, stop):
        y = s % grid[0] * SIDE - corner[0]
        first, last = max(0, -y), min(pixels, height - y)
        at = (s // grid[0] * height + y) * row
        if last <= first:  # nothing of the image: do not even point there
            first, last, at = 0, 0, 0
        for i in range(0, row, lanes(x)):
            i = min(i, row - lanes(x))
            _cut_map(x, at + i, row, first, last, strip, corner[1] * channels + i, line, taps)
        for r in range(top, bottom):
            for t in range(grid[1]):
                for c in range(0, channels, lanes(x)):
                    c = min(c, channels - lanes(x))
                    to = (r - top) * side * place + ((s - start) * grid[1] + t) * channels + c
                    _cut_map(strip, r * line + t * SIDE * channels + c, channels, 0, pixels, v, to, place, taps)


@jit
def join(m, place, m_row, y, strip, start, stop, size, grid, taps):
    """Results out of M, for the tiles of strips start ... stop."""
    height, width, channels = size
    side = SIDE + taps - 1
    row, line = width * channels, grid[1] * SIDE * channels
    for s in range(start, stop):
        for r in range(side):
            for t in range(grid[1]):
                for c in range(0, channels, lanes(y)):
                    c = min(c, channels - lanes(y))
                    at = r * side * place + ((s - start) * grid[1] + t) * m_row + c
                    _join_map(m, at, place, strip, r * line + t * SIDE * channels + c, channels, SIDE, taps)
        top = s % grid[0] * SIDE
        at = (s // grid[0] * height + top) * row
        for i in range(0, row, lanes(y)):
            i = min(i, row - lanes(y))
            _join_map(strip, i, line, y, at + i, row, min(SIDE, height - top), taps)


@jit
def spread_filters(weight, depth_step, column_step, u, buffer, start, stop, depth, columns, turned, taps):
    """U for panels start ... stop."""
    wide, side, area = 2 * lanes(u), SIDE + taps - 1, taps * taps
    place = (columns + wide - 1) // wide * depth * wide
    high, half = 2 * lanes(u) * area, 2 * lanes(u) * (area + lanes(u))
    for panel in range(start, stop):
        first = panel * wide * column_step
        count = min(wide, columns - panel * wide)
        for k in range(depth):
            at = first + k * depth_step
            if count == wide and at + (wide - 1) * column_step + area + lanes(u) <= len(weight):
                for i in range(0, area, lanes(u)):
                    for j in range(0, wide, lanes(u)):
                        transpose(weight, at + j * column_step + i, column_step, buffer, i * wide + j, wide)
            else:  # the last panel, or the end of the weights
                clear(buffer, 0, high)
                for j in range(count):
                    for i in range(area):
                        buffer[i * wide + j] = weight[at + j * column_step + i]
            for j in range(0, taps * wide, lanes(u)):
                # turned around, the filter is read from its end
                from_, step = (area - 1) * wide + j % wide - j // wide * wide, -taps * wide
                if not turned:
                    from_, step = j, taps * wide
                _filter_map(buffer, from_, step, buffer, half + j, taps * wide, taps)
            for r in range(side):
                for j in range(0, wide, lanes(u)):
                    to = r * side * place + (panel * depth + k) * wide + j
                    _filter_map(buffer, half + r * taps * wide + j, wide, u, to, place, taps)


@jit
def collect_filters(m, place, m_row, grad_weight, buffer, start, stop, channels, taps):
    """grad_weight out of M, for filters start ... stop."""
    side, area = SIDE + taps - 1, taps * taps
    half = area * channels
    for k in range(start, stop):
        for r in range(side):
            for c in range(0, channels, lanes(m)):
                c = min(c, channels - lanes(m))
                at = r * side * place + k * m_row + c
                _filter_gradient_map(m, at, place, buffer, half + r * taps * channels + c, channels, taps)
        for i in range(0, taps * channels, lanes(m)):
            i = min(i, taps * channels - lanes(m))
            _filter_gradient_map(buffer, half + i, taps * channels, buffer, i, taps * channels, taps)
        for c in range(channels):
            for i in range(area):
                grad_weight[(k * channels + c) * area + i] = buffer[i * channels + c]


@jit
def multiply_places(v, v_place, u, m, m_place, places, tiles, depth, columns):
    for place in range(places):
        multiply(
            v,
            place * v_place,
            depth,
            u,
            place * depth * columns,
            m,
            place * m_place,
            columns,
            tiles,
            depth,
            columns,
            SUMMANDS,
        )


@jit
def sum_places(w, w_place, v, v_place, m, m_place, places, tiles, filters, channels, m_row, more, space):
    for place in range(places):
        a, b, c = place * w_place, place * v_place, place * m_place
        multiply_transposed(w, a, filters, v, b, channels, m, c, m_row, tiles, filters, channels, more, space)
