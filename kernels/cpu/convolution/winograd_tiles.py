"""The steps of winograd.py in memory: images into tiles, tiles into results, filters there and back.

A transform in two dimensions, X d X^T, is done along one axis after the other. To make V, `cut` takes a *band*: the
tiles that lie side by side, and the rows of pixels that they see, 6 for 3 taps. It transforms their columns first, all
along the rows, into a buffer, and then the rows of the buffer, tile by tile, into the 36 places:

    6 rows of an image              the buffer (6, line)                    V (36, tiles, C)
    . . . . . . . . . .             . . . . . . . . . .   r = 0
    . . . . . . . . . .             . . . . . . . . . .       1
    . . . . . . . . . .   --B^T-->  o o o o o o . . . .       2   --B^T-->  row 0 (tile 0) of places (2, 0) ... (2, 5)
    . . . . . . . . . .    down     . . . . . . . . . .       3    along
    . . . . . . . . . .             . . . . . . . . . .       4
    . . . . . . . . . .             . . . . . . . . . .       5
                                    [ tile 0  ]
                                            [ tile 1  ]       begins TILE = 4 pixels further and shares 2 with tile 0

A dot is all channels of a pixel, which are gone through a vector at a time; the last vector begins earlier, and repeats
some of the one before, so there must be as many channels as it has lanes (`pays` in winograd.py). `join` goes the same
way back with A: 6 places of a tile are 4 pixels in a row of the buffer, 6 rows of the buffer 4 rows of the result.

    row, line     numbers in a row of an image, and in a row of the buffer
    bands         (start, stop), numbered through all images: grid[0] in each
    tiling        a Tiling as a plain tuple (geometry.py says why)
    peaks         a vector for each band or panel: the largest numbers there, without signs (outliers.py)
    taps, side    3 or 5, and 6 or 8: a place (r, q) is the (r*side + q)-th
    v, w, m       (array, from a place's matrix to the next one's, for m: how far its rows are apart)
"""

from typing import NamedTuple

from ..gemm.lanes import (
    clear,
    end_of_stream,
    lanes,
    linear_map,
    load,
    load_real,
    nothing,
    store,
    store_real,
    stream,
    transpose,
)
from ..gemm.matmul import multiply
from ..gemm.transposed import multiply_transposed
from ..machine.jit import jit
from .cook_toom import cook_toom, transposed
from .outliers import larger

TILE = 4  # results in each direction of a tile
SUMMANDS = 128  # of the sum over channels: results are small differences of such sums, so they should round little

A3, G3, B3 = cook_toom(TILE, taps=3)  # A^T (4, 6), G (6, 3), B^T (6, 6)
A5, G5, B5 = cook_toom(TILE, taps=5)  # A^T (4, 8), G (8, 5), B^T (8, 8)
_b3, _g3, _a3, _at3, _gt3 = map(linear_map, (B3, G3, A3, transposed(A3), transposed(G3)))  # _a: A^T, _at: A, _gt: G^T
_b5, _g5, _a5, _at5, _gt5 = map(linear_map, (B5, G5, A5, transposed(A5), transposed(G5)))


class Tiling(NamedTuple):
    """How images, or results, fall into tiles."""

    size: tuple  # (height, width, channels) of an image
    grid: tuple  # how many tiles there are (below each other, side by side) in it
    corner: tuple  # (rows, columns) of padding before it, where its first tile begins
    taps: int

    def row_of_band(self, band):
        """The row where that band's results begin, both counted through all images."""
        return band // self.grid[0] * self.size[0] + band % self.grid[0] * TILE


# One transform along one axis: of a few vectors into a few others; at, to: (where the first is, numbers between them)


@jit(forceinline=True)
def _cut_map(x, at, inside, v, to, taps, of_results):
    """B^T, or A if it is a tile `of_results`; vectors that are not `inside` (first, last) count as 0."""
    first, last = inside
    if of_results:
        if taps == 3:
            store(v, to[0], to[1], 0, 6, _at3(load_real(x, at[0], at[1], 4, first, last)))  # 4 -> 6
        else:
            store(v, to[0], to[1], 0, 8, _at5(load_real(x, at[0], at[1], 4, first, last)))  # 4 -> 8
    elif taps == 3:
        store(v, to[0], to[1], 0, 6, _b3(load_real(x, at[0], at[1], 6, first, last)))  # 6 -> 6
    else:
        store(v, to[0], to[1], 0, 8, _b5(load_real(x, at[0], at[1], 8, first, last)))  # 8 -> 8


@jit(forceinline=True)
def _join_map(m, at, y, to, last, taps):
    """A^T, of which the first `last` results are written."""
    if taps == 3:
        store_real(y, to[0], to[1], 0, last, _a3(load(m, at[0], at[1], 6, 0, 6)))  # 6 -> 4
    else:
        store_real(y, to[0], to[1], 0, last, _a5(load(m, at[0], at[1], 8, 0, 8)))  # 8 -> 4


@jit(forceinline=True)
def _filter_map(g, at, u, to, taps, streamed):
    """G."""
    if taps == 3:
        transformed = _g3(load(g, at[0], at[1], 3, 0, 3))  # 3 -> 6
        if streamed:
            stream(u, to[0], to[1], transformed)
        else:
            store(u, to[0], to[1], 0, 6, transformed)
    else:
        transformed5 = _g5(load(g, at[0], at[1], 5, 0, 5))  # 5 -> 8
        if streamed:
            stream(u, to[0], to[1], transformed5)
        else:
            store(u, to[0], to[1], 0, 8, transformed5)


@jit(forceinline=True)
def _filter_gradient_map(m, at, g, to, taps):
    """G^T."""
    if taps == 3:
        store(g, to[0], to[1], 0, 3, _gt3(load(m, at[0], at[1], 6, 0, 6)))  # 6 -> 3
    else:
        store(g, to[0], to[1], 0, 5, _gt5(load(m, at[0], at[1], 8, 0, 8)))  # 8 -> 5


# Whole bands, whole filters


@jit
def cut(x, v, buffer, peaks, rows, tiling, of_results):
    """V, for the tiles of bands start ... stop, from images x. Pixels outside are 0.

    rows: (start, stop, top, bottom). Only places (r, q) with top <= r < bottom are made, and v begins with those:
    threads of grad_weight share them.
    of_results: x is the gradient of the results, whose tiles are their own 4 x 4 pixels, and go through A: A dy A^T.
    """
    (v, apart), (start, stop, top, bottom), ((height, width, channels), grid, corner, taps) = v, rows, tiling
    side = TILE + taps - 1
    pixels = TILE if of_results else side  # of a tile, in each direction; they become `side`
    row, line = width * channels, (grid[1] * TILE + pixels - TILE) * channels
    buffer[: side * line] = 0  # what lies beside the image stays so
    for s in range(start, stop):
        y = s % grid[0] * TILE - corner[0]  # the band's first row of pixels
        first, last = max(0, -y), min(pixels, height - y)  # those of its rows that are inside the image
        at = (s // grid[0] * height + y) * row  # where that row begins in x
        if last <= first:  # nothing of the image: do not even point there
            first, last, at = 0, 0, 0
        to, most = corner[1] * channels, nothing(v)  # the buffer's columns before that are padding
        # down the columns, into the buffer
        # inside an image no load is tested, and the rows from TILE on are the next band's first ones
        if first == 0 and last == pixels and s % grid[0] < grid[0] - 1:
            for i in range(0, row, lanes(v)):
                i = min(i, row - lanes(v))  # the last vector begins earlier, as all last ones here
                most = larger(most, load_real(x, at + i, row, TILE, 0, TILE))
                _cut_map(x, (at + i, row), (0, 8), buffer, (to + i, line), taps, of_results)
        else:
            for i in range(0, row, lanes(v)):
                i = min(i, row - lanes(v))
                most = larger(most, load_real(x, at + i, row, 8, first, last))
                _cut_map(x, (at + i, row), (first, last), buffer, (to + i, line), taps, of_results)
        store(peaks, s * lanes(v), 0, 0, 1, (most,))  # the band's largest numbers, one in each lane
        # along the rows of the buffer, into V
        for r in range(top, bottom):
            for t in range(grid[1]):
                for c in range(0, channels, lanes(v)):
                    c = min(c, channels - lanes(v))
                    to = (r - top) * side * apart + ((s - start) * grid[1] + t) * channels + c  # place (r, 0), tile t
                    at = r * line + t * TILE * channels + c  # row r of the buffer, the tile's first pixel
                    _cut_map(buffer, (at, channels), (0, pixels), v, (to, apart), taps, of_results)


@jit
def join(m, y, buffer, bands, tiling):
    """Results y out of M, for the tiles of bands start ... stop."""
    (m, apart, m_row), (start, stop), ((height, width, channels), grid, _, taps) = m, bands, tiling
    side = TILE + taps - 1
    row, line = width * channels, grid[1] * TILE * channels
    for s in range(start, stop):
        # along the rows: 6 places become 4 pixels of the buffer
        for r in range(side):
            for t in range(grid[1]):
                for c in range(0, channels, lanes(m)):
                    c = min(c, channels - lanes(m))
                    at = r * side * apart + ((s - start) * grid[1] + t) * m_row + c  # place (r, 0), the tile's row
                    _join_map(m, (at, apart), buffer, (r * line + t * TILE * channels + c, channels), TILE, taps)
        # down the columns: 6 rows of the buffer become 4 of y, or what is left of the image
        top = s % grid[0] * TILE
        at = (s // grid[0] * height + top) * row  # where row `top` of the image begins in y
        for i in range(0, row, lanes(m)):
            i = min(i, row - lanes(m))
            _join_map(buffer, (i, line), y, (at + i, row), min(TILE, height - top), taps)


@jit
def spread_filters(weight, steps, u, buffer, peaks, numbers, size, how):
    """U, for the panels of these numbers (start, stop): at each place those (matmul.py) of a matrix (depth, columns).

    A panel is `wide` filters side by side, two vectors of them, which are transformed as pixels' channels are. The
    filter at (k, column) begins at weight[k*steps[0] + column*steps[1]].
    size: (depth, columns, taps); how: (whether they are turned by 180 degrees, whether U goes past the caches).
    buffer: first the filters' numbers (taps*taps, wide), then, from `half` on, those transformed down the columns.
    """
    (depth_step, column_step), (depth, columns, taps), (turned, streamed) = steps, size, how
    wide, side, area = 2 * lanes(u), TILE + taps - 1, taps * taps
    apart = (columns + wide - 1) // wide * depth * wide  # numbers of a place: its panels (depth, wide)
    half = wide * (area + lanes(u))  # as the squares of transpose() may go beyond `area`
    for panel in range(numbers[0], numbers[1]):
        first, most = panel * wide * column_step, nothing(u)  # where its first filter begins
        count = min(wide, columns - panel * wide)  # filters in this panel
        for k in range(depth):
            # (wide, taps*taps) in memory -> (taps*taps, wide) in the buffer
            at = first + k * depth_step
            if count == wide and at + (wide - 1) * column_step + area + lanes(u) <= len(weight):
                for i in range(0, area, lanes(u)):
                    for j in range(0, wide, lanes(u)):
                        transpose(weight, at + j * column_step + i, column_step, buffer, i * wide + j, wide)
            else:  # the last panel, or the end of the weights
                clear(buffer, 0, wide * area)
                for j in range(count):
                    for i in range(area):
                        buffer[i * wide + j] = weight[at + j * column_step + i]
            for i in range(0, area * wide, lanes(u)):
                most = larger(most, load(buffer, i, 0, 1, 0, 1))
            for j in range(0, taps * wide, lanes(u)):  # G g: (taps, taps, wide) -> (side, taps, wide)
                # turned around, the filter is read from its end
                from_, step = (area - 1) * wide + j % wide - j // wide * wide, -taps * wide
                if not turned:
                    from_, step = j, taps * wide
                _filter_map(buffer, (from_, step), buffer, (half + j, taps * wide), taps, False)
            for r in range(side):  # (G g) G^T: to the places (r, 0) ... (r, side - 1)
                for j in range(0, wide, lanes(u)):
                    to = r * side * apart + (panel * depth + k) * wide + j  # place (r, 0), row k of the panel
                    _filter_map(buffer, (half + r * taps * wide + j, wide), u, (to, apart), taps, streamed)
        store(peaks, panel * lanes(u), 0, 0, 1, (most,))
    if streamed:
        end_of_stream()


@jit
def collect_filters(m, grad_weight, buffer, numbers, size):
    """grad_weight (filters, channels, taps*taps) = G^T M G, for the filters of these numbers (start, stop).

    size: (channels, taps).
    buffer: from `half` on M G, of places (r, 0) ... (r, side-1) row by row, and at its beginning G^T of that.
    """
    (m, apart, m_row), (channels, taps) = m, size
    side, area = TILE + taps - 1, taps * taps
    half = area * channels
    for k in range(numbers[0], numbers[1]):
        for r in range(side):
            for c in range(0, channels, lanes(m)):
                c = min(c, channels - lanes(m))
                at = r * side * apart + k * m_row + c  # place (r, 0), filter k
                _filter_gradient_map(m, (at, apart), buffer, (half + r * taps * channels + c, channels), taps)
        for i in range(0, taps * channels, lanes(m)):
            i = min(i, taps * channels - lanes(m))
            _filter_gradient_map(buffer, (half + i, taps * channels), buffer, (i, taps * channels), taps)
        for c in range(channels):  # (taps*taps, channels) -> (channels, taps*taps)
            for i in range(area):
                grad_weight[(k * channels + c) * area + i] = buffer[i * channels + c]


@jit
def multiply_places(v, u, m, places, size):
    """M = V @ U at each place; size: (tiles, depth, columns)."""
    (v, v_apart), (m, m_apart), (_, depth, columns) = v, m, size
    for place in range(places):
        a, b, c = place * v_apart, place * depth * columns, place * m_apart  # where the place's matrices begin
        multiply((v, a, depth), (u, b), (m, c, columns), size, SUMMANDS)


@jit
def sum_places(w, v, m, places, size, more, space):
    """M = (M if `more`) + W^T @ V at each place, W being the transformed gradients of the results.

    size: (tiles, filters, channels).
    """
    (w, w_apart), (v, v_apart), (m, m_apart, m_row), (_, filters, channels) = w, v, m, size
    for place in range(places):
        a, b, c = (w, place * w_apart, filters), (v, place * v_apart, channels), (m, place * m_apart, m_row)
        multiply_transposed(a, b, c, size, more, space)
