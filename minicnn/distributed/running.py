"""Running statistics of batch norm, where nobody sees the whole batch: those of its parts, averaged by their rows.

    before ──► each part, on each rank, moves them by what it has seen ──► before + sum of (rows / all rows) * moved

So all ranks have the same bits after every step, and parts that come one after the other do what ranks do side by side.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from ..contract import check_writeable
from ..types import Array
from ..variable import FLOATS
from .sums import Sum


class Running:
    """These running statistics in one step; moved: an empty sum, of what the parts move them by."""

    def __init__(self, buffers: list[Any], moved: Sum) -> None:
        self.buffers = buffers
        self.before = [buffer.data.copy() for buffer in buffers]
        self.moved = moved

    def begin_part(self) -> None:
        """Each part begins with what there was before the step."""
        for buffer, before in zip(self.buffers, self.before, strict=True):
            put(buffer, before)

    def end_part(self, share: float) -> None:
        """It has had this share of the rows of all."""
        if self.buffers:
            moved = [share * (buffer.data - old) for buffer, old in zip(self.buffers, self.before, strict=True)]
            self.moved.add(np.concatenate([array.reshape(-1) for array in moved]))

    def finish(self, over_ranks: Callable[[Array], Array]) -> None:
        """over_ranks: gives the sum of the ranks' arrays."""
        if self.buffers:
            moved, start = over_ranks(self.moved.total()), 0
            for buffer, before in zip(self.buffers, self.before, strict=True):
                stop = start + before.size
                put(buffer, before + moved[start:stop].reshape(before.shape))
                start = stop


def running_statistics(model: Any, parts: int, ranks: int) -> list[Any]:
    """The buffers that training changes by some of a batch's rows, where each of these ranks works on it in so many
    parts. Those of synchronised layers are the batch's own, unless it comes in parts."""
    if parts * ranks == 1:
        return []
    layers = [layer for layer in model.modules() if layer.training and not layer.frozen]
    layers = [layer for layer in layers if parts > 1 or not getattr(layer, "same_on_all_ranks", False)]
    return [b for layer in layers for b in layer.buffers(recurse=False) if b.data.dtype in FLOATS]


def put(tensor: Any, array: Array) -> None:
    """Write into a tensor's own memory; a graph that has saved it will notice."""
    check_writeable("DataParallel", tensor.data)
    tensor.data[...] = array
    tensor.version.count += 1
