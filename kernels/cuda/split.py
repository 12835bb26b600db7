"""How a product is shared out: tiles for thread blocks, and split-K, sums cut into splits, where tiles are too few.

A whole GPU should have something to do. A large product has tiles enough, one of few results and long sums has not.
"""

import math
from typing import NamedTuple

from .arrivals import arrivals
from .launch import THREADS, CudaFile, blocks, empty

BUSY = 128  # thread blocks that keep a large GPU busy, about one for each of its multiprocessors
TILES = (
    (128, 128),
    (64, 128),
    (64, 64),
)  # of product.cuh, rows and columns: the best for large products first
FAN = 16  # as in product.cuh

cu = CudaFile("split.cu")


class Tile(NamedTuple):
    """What one thread block works out, and how many there are."""

    rows: int
    columns: int
    grid: tuple  # (tiles along the columns, along the rows, products)


def best_tile(rows, columns, products=1, most_splits=1):
    """The largest Tile for so many products of (rows, columns) results that leaves enough for a whole GPU.

    most_splits: into how many parts each sum may be cut. Of a tile, no half is empty where there is a smaller one.
    """
    for high, wide in TILES:
        tile = Tile(high, wide, (math.ceil(columns / wide), math.ceil(rows / high), products))
        if rows > high // 2 and columns > wide // 2 and math.prod(tile.grid) * most_splits >= BUSY:
            break
    return tile  # or the smallest one


def cut(terms, tiles, shortest, multiple=1):
    """(how many splits sums of so many terms are cut into, terms of each), for a grid of so many tiles.

    Twice as many thread blocks as keep a GPU busy, if that leaves `shortest` terms or more to each; the number of terms
    is a multiple of `multiple`. It depends on sizes alone, not on the GPU: the result is the same on all of them.
    """
    splits = max(1, min(2 * BUSY // max(1, tiles), terms // shortest, FAN * FAN))
    length = max(1, math.ceil(terms / splits / multiple)) * multiple  # terms of a split
    return max(1, math.ceil(terms / length)), length  # rounding up may leave fewer splits


def parts_of_sums(like, tiles, splits, size, dtype=None):
    """(scratch for the parts of the sums, counters) of add_splits, product.cuh, for so many tiles of so many results.

    Without splits nothing is added: (None, None). dtype: of the sums; by default that of `like`
    """
    if splits == 1:
        return None, None
    return empty(like, (tiles, splits, size), dtype), arrivals(like, tiles * splits)


def add_up(sums):
    """The sum of `sums` (splits, ...) over the splits, in their order."""
    if len(sums) == 1:
        return sums[0]
    result = empty(sums, sums.shape[1:])
    cu.sum_splits[blocks(result.size), THREADS](sums, result, len(sums), result.size)
    return result
