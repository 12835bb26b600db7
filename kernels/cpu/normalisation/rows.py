"""Images as matrices, and how threads share their rows."""

from ..machine import threads
from ..machine.bfloat16 import bits
from ..machine.layout import rows

TOGETHER = 4  # rows that are added up first, in registers
BLOCK_ROWS = 12 * TOGETHER  # 12 additions in float32, one after the other; many more would lose digits
SHORT = 32  # channels: of shorter rows TOGETHER are taken for one, as a loop along memory should be long


def matrix_of(x):
    """(M, C), bfloat16 as its bits; None stays None."""
    return None if x is None else bits(rows(x))


def folded(matrix):
    """(The matrix, short rows TOGETHER in one if they are that many, how many are in one)."""
    count, channels = matrix.shape
    together = TOGETHER if channels < SHORT and count % TOGETHER == 0 else 1  # rows in one
    return matrix.reshape(count // together, together * channels), together


def some(matrix, start, stop):
    """Rows start ... stop; None stays None."""
    return None if matrix is None else matrix[start:stop]


def least(matrix):
    """How many rows a thread should have at least."""
    return threads.LEAST // matrix.shape[1]


def chunks(matrix):
    """(start, stop) of the rows that each thread takes."""
    return threads.chunks(len(matrix), least(matrix))
