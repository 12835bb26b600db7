"""Data sets: one of arrays, where item i is row i of each; a base for those of one's own; chosen items of any."""

from collections.abc import Sequence
from typing import Any

from ..device import is_array
from ..tensor import Tensor
from .collate import check_dtype, named_array
from .errors import DataError


class Dataset:
    """A base for data sets of one's own, for those who like one: write __len__ and __getitem__.

    A loader takes any object that has both.
    """

    def __getitem__(self, index: int) -> Any:
        raise NotImplementedError(f"{type(self).__name__}: write __getitem__(self, index), which returns an item")


class Subset(Dataset):
    """The items of `dataset` at `indices`, in their order."""

    def __init__(self, dataset: Any, indices: Sequence[int]) -> None:
        self.dataset, self.indices = dataset, indices

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Any:
        """Item `indices[index]` of the data set."""
        return self.dataset[self.indices[index]]

    def __repr__(self):
        return f"Subset({len(self)} of {len(self.dataset)} items of {self.dataset!r:.60})"


class TensorDataset(Dataset):
    """Arrays or Tensors of one length, whose rows belong together: ``TensorDataset(images, labels)``.

    A loader that is given one, or a tuple of arrays, cuts whole batches out of them. TypeError for what is no array,
    DataError for different lengths.
    """

    def __init__(self, *tensors: Any) -> None:
        self.tensors = checked_parts("TensorDataset", tensors)

    def __len__(self) -> int:
        return len(self.tensors[0])

    def __getitem__(self, index: Any) -> tuple[Any, ...]:
        """Row `index` of each array; of a slice or an array of numbers, these rows."""
        return tuple(part[index] for part in self.tensors)

    def __repr__(self):
        parts = ", ".join(f"{part.dtype} {part.shape}" for part in self.tensors)
        return f"TensorDataset({parts})"


def checked_parts(owner: str, parts: Sequence[Any]) -> tuple[Any, ...]:
    """The Tensors or arrays of a data set, if they are some, and of one length. owner: for messages."""
    if not parts:
        raise TypeError(f"{owner}: give at least one array")
    checked = tuple(_checked(f"{owner}: array {i}", part) for i, part in enumerate(parts))
    lengths = [len(part) for part in checked]
    if len(set(lengths)) > 1:
        advice = "each has one row for each item; cut them to one length, or look for what is missing"
        raise DataError(f"{owner}: the arrays have different lengths, {', '.join(map(str, lengths))}; {advice}")
    return checked


def _checked(name, part):
    if isinstance(part, Tensor):
        if part.requires_grad:
            raise TypeError(f"{name} requires a gradient, which would not come back to it; .detach() it")
    elif hasattr(part, "to_numpy"):
        raise TypeError(f"{name} is a {type(part).__name__}; give its .to_numpy()")
    elif is_array(part) or (hasattr(part, "__array__") and hasattr(part, "shape")):  # another library's
        part = named_array(part, name)
    else:
        raise TypeError(f"{name} is a {type(part).__name__}; make an array of it: np.array(...)")
    if part.ndim == 0:
        raise TypeError(f"{name} has no axes; the first one counts the items")
    check_dtype(part, name)
    return part
