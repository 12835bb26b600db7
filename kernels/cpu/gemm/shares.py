"""How threads share a matrix product: its rows, or its columns where rows are few.

One small picture has 49 pixels, or 196, in a network's last layers, and filters of many megabytes in all. If each
thread took some of the pixels it would read all of the weights; so each takes some of the filters, and all pixels.
"""

from ..machine import threads
from .matmul import padded, width

FEW_ROWS = 252  # for each thread: whole register tiles


def share(work, rows, columns, dtype):
    """``work(start, stop, first, last)`` for chunks of c: for its rows start ... stop, columns first ... last.

    Chunks of columns are whole panels, but for the last column of c.
    """
    if rows >= FEW_ROWS * threads.threads() or columns < width(dtype) * threads.threads():
        threads.run_chunks(lambda start, stop: work(start, stop, 0, columns), rows)
        return
    wide = width(dtype)
    count = padded(columns, dtype) // wide  # panels
    threads.run_chunks(lambda first, last: work(0, rows, first * wide, min(last * wide, columns)), count)
