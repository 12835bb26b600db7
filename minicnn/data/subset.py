"""Parts of a set of pictures: some of its classes, some pictures of each.

A set of pictures has `.classes` (names), `.samples` [(what identifies a picture, label)] and `load(index)`, which looks
at `.samples[index]`; an ``ImageFolder`` is one. The parts share everything but their list of samples.
"""

import copy
from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

import numpy as np

from .errors import DataError

SUBSET = 4  # the purpose of the generator that chooses; loader.py has the other purposes


class PictureSet(Protocol):
    """What a set of pictures has at least."""

    classes: list[str]
    samples: list[tuple[Any, int]]

    def __len__(self) -> int: ...

    def load(self, index: int) -> Any:
        """The picture of ``samples[index]``, as the loader's transform takes it: a PIL image, mostly."""


P = TypeVar("P", bound=PictureSet)


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
