"""Work on each element by itself, divided among the threads."""

from . import threads
from .layout import empty_like, flat


def elementwise(kernel, *arrays, numbers=()):
    """What kernel(*arrays, result, *numbers) makes of arrays of one shape: an array, laid out in memory as the first.

    The kernel gets them as 1-D slices, a chunk at a time. In the GPU's languages, ``launch.py`` has the same function.
    """
    result = empty_like(arrays[0])
    views = flat(*arrays, result)

    def work(start, stop):
        kernel(*(view[start:stop] for view in views), *numbers)

    threads.run_chunks(work, result.size, threads.LEAST)
    return result
