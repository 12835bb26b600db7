"""Split-K: a product of few results, each a very long sum, cut into splits so that a whole GPU has something to do."""

import math

from .launch import THREADS, CudaFile, blocks, empty

BUSY = 128  # thread blocks that keep a large GPU busy, about one for each of its multiprocessors

cu = CudaFile("conv.cu")


def cut(terms, tiles, shortest, multiple=1):
    """(how many splits sums of so many terms are cut into, terms of each), for a grid of so many tiles.

    Twice as many thread blocks as keep a GPU busy, if that leaves `shortest` terms or more to each; the number of terms
    is a multiple of `multiple`. It depends on sizes alone, not on the GPU: the result is the same on all of them.
    """
    splits = max(1, min(2 * BUSY // max(1, tiles), terms // shortest))
    length = max(1, math.ceil(terms / splits / multiple)) * multiple  # terms of a split
    return max(1, math.ceil(terms / length)), length  # rounding up may leave fewer splits


def add_up(sums):
    """The sum of `sums` (splits, ...) over the splits, in their order."""
    if len(sums) == 1:
        return sums[0]
    result = empty(sums, sums.shape[1:])
    cu.sum_splits[blocks(result.size), THREADS](sums, result, len(sums), result.size)
    return result
