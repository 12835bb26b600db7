"""What a loader can be given as `dataset`, and how a batch is got out of it.

    Arrays      a tuple of arrays, a TensorDataset, one array     rows(indices): a whole batch at once
    Items       anything with __len__ and __getitem__             item(index, rng), one by one; stack(items, indices)
    Pictures    a set of pictures (.samples, .load): ImageFolder  the same

Everything else is refused here, in one line that says what to give instead.
"""

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..device import device_of, is_array, to_device
from ..tensor import Tensor
from ..types import Array
from .collate import stack, stack_arrays
from .datasets import TensorDataset, checked_parts
from .errors import BadImage, DataError, shown
from .transform import to_array


class Arrays:
    """Rows of arrays: a tuple of them, or one, if one array was given."""

    def __init__(self, parts: tuple[Any, ...], single: bool) -> None:
        self.parts, self.single = parts, single

    def __repr__(self):
        rows = [f"{part.dtype} {part.shape[1:]}" if part.ndim > 1 else str(part.dtype) for part in self.parts]
        return rows[0] if self.single else f"({', '.join(rows)})"

    def __len__(self) -> int:
        return len(self.parts[0])

    def name(self, index: int) -> str:
        """What messages call an item."""
        return f"item {index}"

    def rows(self, indices: Array) -> Any:
        """Copies of these rows: the batch may be changed, the data set stays."""
        batch = tuple(self._rows(part, indices) for part in self.parts)
        return batch[0] if self.single else batch

    @staticmethod
    def _rows(part, indices):
        if isinstance(part, Tensor):
            return Tensor(part.data[to_device(indices, part.device)])
        return part[to_device(indices, device_of(part))]


class Items:
    """Items of a data set with __getitem__, one by one; the transform is of an item's first part."""

    def __init__(self, dataset: Any, transform: Callable | None) -> None:
        self.dataset, self.transform = dataset, transform

    def __repr__(self):
        return type(self.dataset).__name__

    def __len__(self) -> int:
        return len(self.dataset)

    def name(self, index: int) -> str:
        """What messages call an item."""
        return f"dataset[{index}]"

    def item(self, index: int, rng: Callable[[], np.random.Generator]) -> Any:
        """Item `index`, transformed; rng(): its random numbers. What it raises gets a note that names it."""
        try:
            item = self.dataset[index]
            if self.transform is None:
                return item
            if not isinstance(item, (tuple, list)):
                return self.transform(item, rng())
            parts = self.transform(item[0], rng()), *item[1:]
            return type(item)(*parts) if hasattr(item, "_fields") else parts  # a named tuple stays one
        except StopIteration as end:  # the loader's own generators would take it for theirs
            what = f"{self.name(index)} has raised StopIteration: next(...) of what was at its end"
            raise RuntimeError(f"DataLoader: {what}") from end
        except Exception as error:
            error.add_note(f"in {self.name(index)}, which a DataLoader asked for")
            raise

    def stack(self, items: Sequence[Any], indices: Array) -> Any:
        """Their batch."""
        return stack(items, lambda i: self.name(indices[i]))


class Pictures(Items):
    """Pictures of a set that has .samples, [(path, label)], and .load(index), which raises BadImage."""

    def name(self, index: int) -> str:
        """Its path."""
        return str(self.dataset.samples[index][0])

    def item(self, index: int, rng: Callable[[], np.random.Generator]) -> tuple[Array, int]:
        """(array, label). BadImage also for one that the transform cannot use, DataError where memory ends."""
        path, label = self.dataset.samples[index]
        try:
            image = self.dataset.load(index)
        except MemoryError as error:
            raise _no_memory(path) from error
        try:
            return to_array(image if self.transform is None else self.transform(image, rng())), label
        except BadImage as bad:  # it can be decoded, and yet not be used
            raise BadImage(path, str(bad)) from bad
        except MemoryError as error:
            raise _no_memory(path) from error
        except Exception as error:
            error.add_note(f"in the transform of {path}")
            raise

    def stack(self, items: Sequence[Any], indices: Array) -> tuple[Array, Array]:
        """(pictures, int64 labels)"""
        arrays, labels = zip(*items, strict=True)
        advice = "end the transform with a crop: transform=Compose([ResizeShorter(64), CenterCrop(64)])"
        return stack_arrays(arrays, lambda i: shown(self.name(indices[i])), advice), np.array(labels, np.int64)


def source_of(dataset: Any, transform: Callable | None) -> Arrays | Items:
    """How batches are got out of `dataset`. TypeError or DataError if they cannot be."""
    source = _arrays(dataset)
    if source is None and hasattr(dataset, "samples") and hasattr(dataset, "load"):
        source = Pictures(dataset, transform)
    elif source is None:
        _refuse(dataset)
        source = Items(dataset, transform)
    elif transform is not None:
        what = "DataLoader: transform= takes pictures one by one, and arrays are cut into whole batches"
        raise TypeError(f"{what}; change the batch in the loop, or give a data set with __getitem__")
    if not len(source):
        raise DataError("DataLoader: dataset has no items; look at how it was made")
    return source


def _arrays(dataset):
    if isinstance(dataset, TensorDataset):
        return Arrays(dataset.tensors, single=False)
    if isinstance(dataset, tuple):
        return Arrays(checked_parts("DataLoader", dataset), single=False)
    if is_array(dataset) or isinstance(dataset, Tensor):
        return Arrays(checked_parts("DataLoader", [dataset]), single=True)
    return None


def _refuse(dataset):
    """TypeError for what is no data set, with what to give instead."""
    kind = type(dataset).__name__
    if isinstance(dataset, (str, bytes, os.PathLike)):
        problem = f"{dataset!r:.60} names a file; for a folder of pictures give minicnn.data.ImageFolder(...)"
    elif isinstance(dataset, type):
        problem = f"this is the class {dataset.__name__}; make a data set of it: {dataset.__name__}(...)"
    elif isinstance(dataset, dict):
        problem = "a dict is no data set; give a tuple of its arrays, (arrays['images'], arrays['labels'])"
    elif hasattr(dataset, "to_numpy"):
        ways = "(table[columns].to_numpy(), table[label].to_numpy())"
        problem = f"a {kind} is no data set; give arrays: {ways}"
    elif hasattr(dataset, "dataset") and hasattr(dataset, "batch_size"):
        problem = f"a {kind} hands over batches already; give its .dataset"
    elif isinstance(dataset, list) and dataset and all(map(_has_axes, dataset)):
        ways = "a tuple, (images, labels), if they belong together row by row, or np.stack(arrays) if each is an item"
        problem = f"a list of arrays can be read in two ways; give {ways}"
    elif missing := [name for name in ("__len__", "__getitem__") if not hasattr(dataset, name)]:
        can_be_listed = hasattr(dataset, "__iter__")
        way_out = "list(...) of it has both" if can_be_listed else "give arrays, or an object that has both"
        problem = f"{kind} has no {' and no '.join(missing)}; {way_out}"
    else:
        return
    raise TypeError(f"DataLoader: dataset: {problem}")


def _has_axes(value):
    return isinstance(value, Tensor) or (hasattr(value, "__array__") and getattr(value, "ndim", 0) > 0)


def _no_memory(path):
    return DataError(f"{shown(path)}: there is no memory left for it; fewer --workers, or a smaller batch, need less")
