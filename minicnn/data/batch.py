"""A batch of pictures with their labels, as ``loader.epoch`` hands it over: for training loops that cut it further."""

from typing import Any, NamedTuple

import numpy as np

from ..device import is_array, to_device
from ..distributed.rows import rows
from ..tensor import Tensor
from .collate import as_labels


class Batch(NamedTuple):
    """Pictures with their labels, as arrays: a whole batch, or one process's part of it.

    What could not be read is missing, but its row in the batch remains empty: rows tells what is where.
    """

    images: np.ndarray  # uint8 (N, C, H, W), or what the arrays of the data set are; (N, views, C, H, W) after TenCrop
    labels: np.ndarray  # int64 (N,)
    indices: np.ndarray  # int64 (N,): which items of the data set these are
    epoch: int  # 0, 1, ...
    position: int  # 0, 1, ...: which batch of the epoch this is
    rows: np.ndarray  # int64 (N,), ascending: which rows of the whole batch these are
    size: int  # rows of the whole batch, those included that could not be read
    part: tuple[int, int]  # (which one, of how many): the loader's

    def cut(self, count: int) -> list["Batch"]:
        """`count` batches, views of this one, to be worked on one after the other; some may have no picture.

        They are what loaders would hand over that take `count` times as many parts. So a batch of 8 parts in all has
        the same ones, whether one process cuts it into 8, or each of 2 cuts its own into 4.
        """
        which, of = self.part
        return [self._only(number, of * count) for number in range(which * count, (which + 1) * count)]

    def _only(self, number, parts):
        own = rows(self.size, number, parts)
        start, stop = np.searchsorted(self.rows, (own.start, own.stop))
        of_each_row = {name: getattr(self, name)[start:stop] for name in ("images", "labels", "indices", "rows")}
        return self._replace(**of_each_row, part=(number, parts))


def as_batch(pair: Any, *place: Any) -> Batch:
    """A Batch of these pictures and labels; place: its other fields. TypeError if `pair` is something else."""
    arrays = [part.data if isinstance(part, Tensor) else part for part in pair] if isinstance(pair, tuple) else []
    if len(arrays) == 2 and all(map(is_array, arrays)):
        images, labels = arrays[0], as_labels(to_device(arrays[1], "cpu"))
        if labels.dtype == np.int64:
            return Batch(images, labels, *place)
    what = "DataLoader.epoch, which Trainer and evaluate call, hands over pictures, each with a label, a whole number"
    raise TypeError(f"{what}; this data set holds other items: iterate over the loader itself, for batch in loader")
