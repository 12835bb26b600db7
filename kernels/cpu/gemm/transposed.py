"""The product of a matrix's transpose with another one, which gradients of weights are, and the packing of both.

    multiply_transposed           c (rows, columns) (+)= a (depth, rows)^T @ b (depth, columns)
    multiply_windows_transposed   the same for windows of an image that are nowhere copied together (stem.py)

Here `depth` counts the pixels of all images; c is small beside a and b. So the loop over k comes first, and both are
packed slice by slice in the order in which the micro-kernel reads them, b in panels as in matmul.py:

    for k in range(0, depth, 256):
        for i in range(0, rows, 516):
            tiles = a[k : k + 256, i : i + 516].T.copy()       # 516 KB, in the second cache
            for j in range(0, columns, 32):
                panel = b[k : k + 256, j : j + 32].copy()      # 32 KB, in the first cache
                c[i : i + 516, j : j + 32] += tiles @ panel    # 12 rows at a time

A row of a is cut into pieces of 12 numbers, one for each register tile, and these are 256 * 12 numbers or 12 KB apart.
Numbers that are a multiple of 4 KB apart share a few lines of the first cache: the pieces would push each other out of
it before any line is full. So there is a GAP of a line between the tiles, with which packing takes half the time.
Where c has few columns, little use is made of a packed slice: a small one is read as it lies.
"""

from ..machine import memory
from ..machine.jit import jit
from .lanes import clear, copy, lanes, load, store
from .matmul import SUMMANDS, width
from .micro_kernel import TILE_ROWS, copy_row, tile_of_1, tile_of_4, tile_of_many

PACKED_ROWS = 516  # of c, for which a is packed: 43 register tiles, 516 * 256 numbers or 516 KB
FEW_COLUMNS = 96  # of c: fewer than three panels use a packed slice of a
NEAR = 1 << 15  # numbers of a slice of a, 128 KB, that are never far away
GAP = 16  # numbers between two packed register tiles: a line of float32


def transposing_space(dtype):
    """Scratch for multiply_transposed: SUMMANDS rows of a panel of b, and as many of a, packed."""
    size = SUMMANDS * (width(dtype) + PACKED_ROWS) + PACKED_ROWS // TILE_ROWS * GAP
    return memory.scratch("transposed.space", (size,), dtype)


@jit(forceinline=True)
def transposed_times(a, runs, panel, rows, depth, c, more):
    """c (+)= a^T @ panel, for a: (array, at, group, step).

    The rows of a register tile are side by side in a; register tiles are `group` apart, and steps of the sum `step`.
    """
    (x, at, group, step), (y, c_at, c_row), b = a, c, (panel, 0, 0)
    for i in range(0, rows, TILE_ROWS):
        left, tile, to = min(TILE_ROWS, rows - i), at + i // TILE_ROWS * group, c_at + i * c_row
        if left == TILE_ROWS:
            tile_of_many((x, tile, 1, step), runs, b, depth, (y, to, c_row), more)
            continue
        for n in range(0, left - left % 4, 4):
            tile_of_4((x, tile + n, 1, step), runs, b, depth, (y, to + n * c_row, c_row), more)
        for n in range(left - left % 4, left):
            tile_of_1((x, tile + n, 1, step), runs, b, depth, (y, to + n * c_row, c_row), more)


@jit(forceinline=True)
def multiply_transposed(a, b, c, size, more, space):
    """c (rows, columns) = (c if `more`) + a^T @ b for a (depth, rows) and b (depth, columns).

    size: (depth, rows, columns); space: transposing_space(dtype). Rows of c are at least padded(columns) apart.
    """
    (x, at, a_row), (z, b_at, b_row), (y, c_at, c_row), (depth, rows, columns) = a, b, c, size
    wide = 2 * lanes(x)
    panel, tiles = space[: SUMMANDS * wide], space[SUMMANDS * wide :]  # 32 KB, first cache; 516 KB, second cache
    for k in range(0, max(1, depth), SUMMANDS):
        height = min(SUMMANDS, depth - k)  # rows of both factors
        packed = tiles, 0, TILE_ROWS * height + GAP, TILE_ROWS  # (height, TILE_ROWS) of each register tile
        is_near = columns < FEW_COLUMNS and height * a_row <= NEAR  # little of a, and little use of it: as it lies
        for i in range(0, rows, PACKED_ROWS):
            count = min(PACKED_ROWS, rows - i)  # rows of c
            start = at + k * a_row + i  # where this slice of a begins
            if not is_near:
                _pack_tiles((x, start, a_row), tiles, height, count)
            for j in range(0, columns, wide):
                _pack_panel((z, b_at + k * b_row + j, b_row), panel, height, min(wide, columns - j))
                to, add = (y, c_at + i * c_row + j, c_row), more or k > 0
                if is_near:
                    transposed_times((x, start, TILE_ROWS, a_row), (1, 0), panel, count, height, to, add)
                else:
                    transposed_times(packed, (1, 0), panel, count, height, to, add)


@jit
def multiply_windows_transposed(frame, distances, b, c, counts, panel):
    """c (runs*depth, columns) += windows^T @ b (lines*rows, columns), for windows as in multiply_windows.

    c: (array, how far its rows are apart); panel: scratch for lines * rows * width numbers.
    """
    (runs, lines, rows, depth, columns), (row, line, run), (y, c_row) = counts, distances, c
    wide = 2 * lanes(frame)
    for j in range(0, columns, wide):
        _pack_panel((b, j, columns), panel, lines * rows, min(wide, columns - j))
        for i in range(runs):
            # the sum goes over the windows of a line, `row` apart, and over the lines: those are the runs here
            a_i, to = (frame, i * run, TILE_ROWS, row), (y, i * depth * c_row + j, c_row)
            transposed_times(a_i, (lines, line), panel, depth, rows, to, True)


@jit(forceinline=True)
def _pack_tiles(a, tiles, height, count):
    """a (height, count) as a row of register tiles' (height, TILE_ROWS), each in the order in which it is read."""
    x, at, row = a
    apart, full = TILE_ROWS * height + GAP, count // TILE_ROWS  # numbers of a register tile's; how many are full
    for k in range(height):
        for i in range(full):
            copy_row(x, at + k * row + i * TILE_ROWS, tiles, i * apart + k * TILE_ROWS)
        left = count - full * TILE_ROWS
        copy(x, at + k * row + count - left, tiles, full * apart + k * TILE_ROWS, left)


@jit(forceinline=True)
def _pack_panel(b, panel, height, count):
    """The panel (height, width) of `count` columns of b, and zeros."""
    x, at, row = b
    high = lanes(x)
    if count == 2 * high:  # a full panel: two vectors a row, no zeros
        for i in range(height):
            store(panel, i * 2 * high, high, 0, 2, load(x, at + i * row, high, 2, 0, 2))
        return
    clear(panel, 0, height * 2 * high)
    for i in range(height):
        copy(x, at + i * row, panel, i * 2 * high, count)
