"""Parts of a data set, chosen by a seed; parts of a set of pictures: some of its classes, some pictures of each.

A set of pictures has `.classes` (names), `.samples` [(what identifies a picture, label)] and `load(index)`, which looks
at `.samples[index]`; an ``ImageFolder`` is one. The parts share everything but their list of samples.
"""

import copy
import math
from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

import numpy as np

from .datasets import Subset, TensorDataset
from .errors import DataError

SUBSET, RANDOM_SPLIT = 4, 5  # the purposes of the generators that choose; loader.py has the other purposes


class PictureSet(Protocol):
    """What a set of pictures has at least."""

    classes: list[str]
    samples: list[tuple[Any, int]]

    def __len__(self) -> int: ...

    def load(self, index: int) -> Any:
        """The picture of ``samples[index]``, as the loader's transform takes it: a PIL image, mostly."""


P = TypeVar("P", bound=PictureSet)


def random_split(dataset: Any, lengths: Sequence[float], *, seed: int = 0) -> list[Any]:
    """Parts of a data set, chosen by the seed, that share no item: ``random_split((images, labels), [0.9, 0.1])``.

    lengths: how many items each part has, all together len(dataset); or fractions with the sum 1, of which the parts'
    sizes are rounded down and what is left over is dealt out from the first part on. Parts of arrays (a tuple of them,
    a TensorDataset) are TensorDatasets with copies of the rows, of pictures (an ImageFolder) sets of their kind, of
    other data sets Subsets. ValueError if lengths do not add up.
    """
    if isinstance(dataset, tuple):
        dataset = TensorDataset(*dataset)
    sizes, start = _sizes(lengths, len(dataset)), 0
    order = np.random.default_rng([seed, RANDOM_SPLIT]).permutation(len(dataset))
    parts = []
    for size in sizes:
        parts.append(_items(dataset, order[start : start + size].tolist()))
        start += size
    return parts


def _sizes(lengths, total):
    if not all(length >= 0 for length in lengths):  # NaN, too
        raise ValueError(f"random_split: lengths must not be negative, got {list(lengths)}")
    if math.isclose(sum(lengths), 1) and total != 1:
        sizes = [math.floor(total * fraction + 1e-9) for fraction in lengths]
        left = total - sum(sizes)
        return [size + (i < left) for i, size in enumerate(sizes)]
    if sum(lengths) != total or any(length != int(length) for length in lengths):
        what = f"random_split: lengths {list(lengths)} must add up to the {total} items of the data set"
        raise ValueError(f"{what}, or as fractions to 1")
    return [int(length) for length in lengths]


def _items(dataset, indices):
    if isinstance(dataset, TensorDataset):
        return TensorDataset(*dataset[indices])
    if not hasattr(dataset, "samples"):
        return Subset(dataset, indices)
    part = copy.copy(dataset)
    part.samples = [dataset.samples[i] for i in indices]
    return part


def only_classes(pictures: P, names: Sequence[str]) -> P:
    """The pictures of these classes, numbered 0, 1, ... in their old order. DataError for a name that is no class."""
    unknown = [name for name in names if name not in pictures.classes]
    if unknown:
        raise DataError(f"there is no class {', '.join(unknown)}; the classes are {', '.join(pictures.classes)}")
    part = copy.copy(pictures)
    part.classes = [name for name in pictures.classes if name in names]
    new_label = {pictures.classes.index(name): label for label, name in enumerate(part.classes)}
    part.samples = [(key, new_label[label]) for key, label in pictures.samples if label in new_label]
    return part


def some_per_class(pictures: P, count: int, seed: int = 0) -> P:
    """`count` pictures of each class, or all where there are fewer, chosen by the seed, in their old order."""
    labels = np.array([label for _, label in pictures.samples], dtype=np.int64)
    chosen: list[int] = []
    for label in range(len(pictures.classes)):
        members = np.random.default_rng([seed, SUBSET, label]).permutation(np.flatnonzero(labels == label))
        chosen.extend(members[:count])
    part = copy.copy(pictures)
    part.samples = [pictures.samples[i] for i in sorted(chosen)]
    return part
