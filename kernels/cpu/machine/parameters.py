"""An optimiser's pass over all parameters, as if they stood one after the other in one row of elements.

The row is cut into equal chunks: a thread may have half of one large parameter, or many small ones.
"""

import numpy as np

from minicnn.kernels.arguments import write_back

from . import threads
from .layout import contiguous


def update_all(kernel, parameters, gradients, kept, settings):
    """``kernel(w, grad, ..., numbers)`` on 1-D slices of each parameter, of its gradient and of what is kept for it.

    kept      lists of arrays, or of None
    settings  a tuple of numbers for each parameter; `numbers` are the same in its dtype
    """
    given = list(zip(parameters, gradients, *kept, strict=True))
    used = [tuple(map(contiguous, arrays)) for arrays in given]
    ends = np.cumsum([w.size for w in parameters]).tolist()
    rows = [(w.dtype.type, row) for w, row in zip(parameters, settings, strict=True)]
    numbers = {(real, row): tuple(map(real, row)) for real, row in set(rows)}  # few: those of the groups
    flat = [tuple(a if a is None or a.ndim == 1 else a.reshape(-1) for a in arrays) for arrays in used]
    each = [(arrays, numbers[row], end) for arrays, row, end in zip(flat, rows, ends, strict=True)]

    def work(start, stop):
        for arrays, row, end in each:
            size = arrays[0].size
            a, b = max(0, start - end + size), min(size, stop - end + size)  # the chunk's slice of it
            if b - a == size:
                kernel(*arrays, row)
            elif a < b:
                kernel(*(None if array is None else array[a:b] for array in arrays), row)

    threads.run_chunks(work, ends[-1] if ends else 0, threads.LEAST)
    write_back(given, used)
