"""The product of matrices of bfloat16 numbers: factors bfloat16, sums float32.

    multiply16              c (rows, columns) = a (rows, depth) @ b (depth, columns)
    multiply_transposed16   c (rows, columns) (+)= a (depth, rows)^T @ b (depth, columns)

A product of two bfloat16 numbers has 16 digits at most: exact in float32. Long sums are cut as in matmul.py. What
multiplies is the processor's best unit (machine/unit.py), or the one that $MINICNN_CPU names:

    amx                       amx.py       an instruction for tiles of 16 x 32 numbers (tiles.py)
    avx512bf16                vdpbf16.py   an instruction for pairs of numbers (dot.py)
    avx512, avx2, baseline    widened.py   factors made float32 in the caches, and the products of float32

A number is given as its 16 bits (machine/bfloat16.py: ``bits``), a matrix of them as a tuple (1-D array, where it
begins, how far its rows are apart), as in matmul.py. Panels of b are packed by panels16() in the order that the unit
reads them in: nobody else looks inside.
"""

from minicnn.precision import wide

from ..machine import memory
from ..machine.bfloat16 import rounded
from ..machine.jit import jit
from ..machine.kept import kept, plain
from ..machine.unit import unit
from . import amx, vdpbf16, widened

PANEL = 32  # columns of c that are worked out together, whatever the unit
way = {"amx": amx, "avx512bf16": vdpbf16}.get(unit(), widened)


def padded16(columns):
    """`columns` rounded up to whole panels."""
    return columns + -columns % PANEL


def panels16(name, weight, start, counts, steps, columns, column_step):
    """Scratch panels of the matrix b (depth, columns), as matmul.py's panels(), of `weight` rounded to bfloat16; of an
    immutable weight, they are kept. A 1-D array; multiply16() gets it whole. weight: float32 (or bfloat16).
    """
    matrix = start, counts, steps, columns, column_step

    def make(space):
        found = way.panels(name, plain(wide(weight)).reshape(-1), *matrix)
        return found if space is memory.scratch else found.copy()

    return kept(weight, (name, *matrix), make)


def multiply16(a, b, c, size):
    """c = a @ b; a: bits of bfloat16, read as it lies; b: panels16(...); c: float32; size: (rows, depth, columns)."""
    way.multiply(a, b, c, size)


def multiply_transposed16(a, b, c, size, more):
    """c (rows, columns) = (c if `more`) + a^T @ b for a (depth, rows) and b (depth, columns), both bits of bfloat16.

    size: (depth, rows, columns); c: float32, whose rows are at least padded16(columns) apart.
    """
    way.multiply_transposed(a, b, c, size, more)


@jit
def store_rows16(c, bias, y, size):
    """y = c + bias, rounded to bfloat16, once; c: float32; y: bits; size: (rows, columns); bias: (columns,) or None."""
    (x, at, row), (z, to, y_row), (rows, columns) = c, y, size
    for i in range(rows):
        sums, out = x[at + i * row :], z[to + i * y_row :]  # so LLVM sees that a row's numbers follow one another
        for j in range(columns):
            out[j] = rounded(sums[j] if bias is None else sums[j] + bias[j])
