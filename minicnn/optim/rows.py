"""Arrays a few rows at a time: what one step makes of them on the way stays in a processor's cache."""

from collections.abc import Iterator
from typing import Any

import numpy as np

AT_A_TIME = 1 << 16  # elements of each array


def some_rows(*arrays: Any) -> Iterator[tuple[Any, ...]]:
    """The same few rows of each array, then the next ones, to the end: views, to be written into.

    The arrays are of one shape; all but the first may be None, and stay it.
    """
    if arrays[0].ndim == 0:  # a single number; slices want an axis, and reshape gives a view of the same memory
        arrays = tuple(None if array is None else array.reshape(1) for array in arrays)
    w = arrays[0]
    at_a_time = AT_A_TIME if isinstance(w, np.ndarray) else w.size  # on a GPU all at once: as few launches as can be
    rows = max(1, at_a_time // max(1, w[:1].size))  # w[:1] is one row: (1, C, KH, KW) of a convolution
    for start in range(0, len(w), rows):
        yield tuple(None if array is None else array[start : start + rows] for array in arrays)
