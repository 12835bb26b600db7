"""Split-K: a product of few results, each a very long sum, cut into parts so that a whole GPU has something to do."""

import math

from .launch import THREADS, blocks, empty, load

BUSY = 128  # blocks that keep a large GPU busy, about one for each of its multiprocessors

cu = load("conv.cu")


def cut(terms, tiles, shortest, multiple=1):
    """(how many parts sums of so many terms are cut into, terms of each), for a grid of so many tiles.

    Twice as many blocks as keep a GPU busy, if that leaves `shortest` terms or more to each; the number of terms is a
    multiple of `multiple`. It depends on sizes alone, not on the GPU: the result is the same on all of them.
    """
    parts = max(1, min(2 * BUSY // max(1, tiles), terms // shortest))
    length = max(1, math.ceil(terms / parts / multiple)) * multiple
    return max(1, math.ceil(terms / length)), length


def add_up(parts):
    """The sum of `parts` (splits, ...) over the splits, in their order."""
    if len(parts) == 1:
        return parts[0]
    result = empty(parts, parts.shape[1:])
    cu.sum_parts[blocks(result.size), THREADS](parts, result, len(parts), result.size)
    return result
