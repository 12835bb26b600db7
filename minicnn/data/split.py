"""One split of a published data set, as a set of pictures."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from .decode import decoding


class Item(NamedTuple):
    """Which picture of which split."""

    split: str
    number: int

    def __str__(self):
        return f"{self.split} picture {self.number}"


class PublishedSet:
    """One split of a data set that gives (PIL image, ...) for an index, as a set of pictures."""

    def __init__(self, dataset: Any, split: str, labels: Iterable[int], classes: Iterable[str]) -> None:
        self.dataset, self.classes = dataset, list(classes)
        self.samples = [(Item(split, i), int(label)) for i, label in enumerate(labels)]

    def __len__(self):
        return len(self.samples)

    def load(self, index: int) -> Any:
        """Picture `index` -> PIL image of mode "RGB". Raises BadImage, or DataError for trouble of the machine."""
        item, _ = self.samples[index]
        with decoding(item):
            return self.dataset[item.number][0].convert("RGB")
