"""Published data sets, as torchvision downloads and reads them: CIFAR-10 and Flowers-102.

Source    Krizhevsky, "Learning multiple layers of features from tiny images", 2009 (60,000 pictures of 32 x 32);
          Nilsback and Zisserman, "Automated flower classification over a large number of classes", ICVGIP 2008
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from ..cache import keeping_in
from .decode import decoding
from .errors import DataError


class Item(NamedTuple):
    """Which picture of which split."""

    split: str
    number: int

    def __str__(self):
        return f"{self.split} picture {self.number}"


class PublishedSet:
    """One split of a torchvision data set, which gives (PIL image, label) for an index, as a set of pictures."""

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


def cifar10(root: Path | str, download: bool = True) -> tuple[PublishedSet, ...]:
    """(train, test) of CIFAR-10, 50,000 and 10,000 pictures of ten classes; downloaded into `root` if need be."""
    splits = [_open("CIFAR10", root, download, train=train) for train in (True, False)]
    return tuple(
        PublishedSet(dataset, name, dataset.targets, dataset.classes)
        for dataset, name in zip(splits, ("train", "test"), strict=True)
    )


def flowers102(root: Path | str, download: bool = True) -> tuple[PublishedSet, ...]:
    """(train, val) of Flowers-102, ten pictures of each of 102 flowers in both; downloaded into `root` if need be."""
    names = ("train", "val")
    splits = [_open("Flowers102", root, download, split=name) for name in names]
    classes = getattr(splits[0], "classes", None) or [f"flower {label + 1}" for label in range(102)]
    return tuple(
        PublishedSet(dataset, name, dataset._labels, classes) for dataset, name in zip(splits, names, strict=True)
    )


def _open(name, root, download, **split):
    try:
        from torchvision import datasets  # an optional package: only whoever asks for these sets needs it
    except Exception as error:  # RuntimeError, OSError, AttributeError ...: it does not fit the PyTorch that is there
        raise DataError(_missing(name, f"{type(error).__name__}: {error}")) from error
    with keeping_in(root):
        Path(root).mkdir(parents=True, exist_ok=True)
    try:
        return getattr(datasets, name)(str(root), download=download, **split)
    except ImportError as error:  # SciPy
        raise DataError(_missing(name, error)) from None
    except (RuntimeError, OSError) as error:
        advice = "look at the connection, or give a folder of pictures"
        raise DataError(f"{name} could be neither found in {root} nor downloaded: {error}; {advice}") from error


def _missing(name, reason):
    advice = "pip install 'minicnn[datasets]', or give a folder of pictures"
    return f"{name} is read by torchvision, which is not all there ({reason}); {advice}"
