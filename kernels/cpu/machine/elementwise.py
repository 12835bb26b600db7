"""Work on each element by itself, divided among the threads."""

import numpy as np

from . import memory, threads
from .bfloat16 import bits, convert
from .layout import empty_like, flat

AT_ONCE = 1 << 13  # elements of a block, which stays in the cache: 32 KB of float32


def elementwise(kernel, *arrays, numbers=()):
    """What kernel(*arrays, result, *numbers) makes of arrays of one shape: an array, laid out in memory as the first.

    The kernel gets them as 1-D slices, a chunk at a time. In the GPU's languages, ``launch.py`` has the same function.
    """
    result = empty_like(arrays[0])
    views = [bits(view) for view in flat(*arrays, result)]

    def work(start, stop):
        kernel(*(view[start:stop] for view in views), *numbers)

    threads.run_chunks(work, result.size, threads.LEAST)
    return result


def by_blocks(kernel):
    """A kernel for ``elementwise`` out of kernel(x, y), which knows no bfloat16: it gets blocks of float32 numbers."""

    def widening(x, y):
        if x.dtype != np.uint16:
            kernel(x, y)
            return
        for start in range(0, x.size, AT_ONCE):
            few = slice(start, start + AT_ONCE)
            given, found = memory.scratch("elementwise.blocks", (2, *x[few].shape), np.float32)
            convert(x[few], given)
            kernel(given, found)
            convert(found, y[few])

    return widening
