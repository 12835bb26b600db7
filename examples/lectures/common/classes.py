"""Pictures of some classes, as arrays: the ten textures that minicnn draws, or what lies in a folder of the user's."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from minicnn.data import CenterCrop, ChannelMeanStd, Compose, DataLoader, ResizeShorter, train_and_val
from minicnn.data.sample import PATTERNS, draw_picture
from minicnn.data.subset import PictureSet, only_classes, some_per_class
from minicnn.errors import SettingError

TEXTURES = tuple(PATTERNS)


class Split(NamedTuple):
    """Pictures uint8 (N, 3, side, side) and labels int64 (N,), to train on and to test on; the names of the classes."""

    train: np.ndarray
    train_labels: np.ndarray
    test: np.ndarray
    test_labels: np.ndarray
    classes: tuple[str, ...]

    def standardised(self) -> "Split":
        """The same in float32, each channel with the mean 0 and the variance 1 over the training pictures."""
        normalize = ChannelMeanStd().fit([self.train])
        return self._replace(train=normalize(self.train), test=normalize(self.test))

    def of_classes(self, chosen: tuple[int, ...]) -> "Split":
        """The pictures of some classes alone, which are numbered 0, 1, ... in the order given."""
        parts = (_of(chosen, *pair) for pair in ((self.train, self.train_labels), (self.test, self.test_labels)))
        return Split(*(array for part in parts for array in part), tuple(self.classes[i] for i in chosen))


def classes(
    folder: Path | None, train: int, test: int, side: int = 32, seed: int = 0, first: int | None = None
) -> Split:
    """`train` and `test` pictures of each class, `side` pixels wide and high: textures, or those of `folder`.

    A folder is ImageNet's layout, DIR/train/<class>/* and DIR/val/<class>/*, or DIR/<class>/*; with `first`, only so
    many of its classes are read, the first by their names. DataError if it is none, or a picture cannot be read;
    SettingError if there are too few classes or pictures.
    """
    if folder is None:
        parts = (textures(count, side, [seed, part]) for part, count in enumerate((train, test)))
        return Split(*(array for part in parts for array in part), TEXTURES)
    sets = train_and_val(folder, val_fraction=0.2)
    if (count := len(sets[0].classes)) < (needed := first or 2):
        raise SettingError(f"{folder} has {count} of the {needed} classes that are needed; give another folder")
    sets = [only_classes(part, part.classes[:first]) for part in sets]
    for part, count, use in zip(sets, (train, test), ("to train on", "to test on"), strict=True):
        _check_count(part, count, f"{folder}, pictures {use}")
    parts = (_loaded(part, count, side, seed) for part, count in zip(sets, (train, test), strict=True))
    return Split(*(array for part in parts for array in part), tuple(sets[0].classes))


def textures(per_class: int, side: int, seed: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """(uint8 (10 * per_class, 3, side, side), labels), class by class; all of it depends on `seed` alone."""
    labels = np.repeat(np.arange(len(TEXTURES)), per_class)
    drawn = [
        _small(draw_picture(name, np.random.default_rng([*seed, label, number])), side)
        for label, name in enumerate(TEXTURES)
        for number in range(per_class)
    ]
    return np.stack(drawn).transpose(0, 3, 1, 2), labels


def _small(picture, side):
    """The middle square, in that size."""
    edge = min(picture.shape[:2])
    top, left = (picture.shape[0] - edge) // 2, (picture.shape[1] - edge) // 2
    box = left, top, left + edge, top + edge
    return np.asarray(Image.fromarray(picture).resize((side, side), Image.Resampling.BILINEAR, box))


def _check_count(pictures: PictureSet, per_class, which):
    labels = np.array([label for _, label in pictures.samples], np.int64)
    counts = np.bincount(labels, minlength=len(pictures.classes))
    if counts.min() < per_class:
        few = f"{pictures.classes[counts.argmin()]} has {counts.min()} pictures"
        raise SettingError(f"{which}: {few} where {per_class} of each class are needed; add some, or leave it out")


def _loaded(pictures: PictureSet, per_class, side, seed):
    chosen = some_per_class(pictures, per_class, seed)
    transform = Compose([ResizeShorter(side), CenterCrop(side)])
    loader = DataLoader(chosen, 256, transform=transform, num_workers=2, max_bad_fraction=0)
    batches = list(loader.epoch(0))  # of uint8; `for images, labels in loader` would give floats
    return np.concatenate([batch.images for batch in batches]), np.concatenate([batch.labels for batch in batches])


def _of(chosen, images, labels):
    new = np.full(labels.max() + 1, -1)
    new[list(chosen)] = range(len(chosen))
    kept = new[labels] >= 0
    return images[kept], new[labels[kept]]
