"""A task to transfer to: five classes, with pictures to train on, to choose settings by, and to test on.

What is chosen, such as a rate of learning, is chosen by the validation pictures, never by those it is tested on.
"""

from typing import NamedTuple

import numpy as np
from PIL import Image

from .digits import digits


class Task(NamedTuple):
    """Pictures float32 (N, 3, side, side) and labels int64 (N,), of each kind equally many of each class."""

    pool: np.ndarray  # to draw training sets from
    pool_labels: np.ndarray
    validation: np.ndarray
    validation_labels: np.ndarray
    test: np.ndarray
    test_labels: np.ndarray

    def training_set(self, per_class: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """(images, labels): so many pictures of each class out of the pool, other ones for another seed."""
        rng = np.random.default_rng(seed)
        chosen = [rng.permutation(np.flatnonzero(self.pool_labels == k))[:per_class] for k in range(self.classes)]
        if short := [k for k, some in enumerate(chosen) if len(some) < per_class]:
            raise ValueError(f"training_set: class {short[0]} has {len(chosen[short[0]])} pictures, not {per_class}")
        index = np.concatenate(chosen)
        return self.pool[index], self.pool_labels[index]

    @property
    def classes(self) -> int:
        """How many there are."""
        return int(self.pool_labels.max()) + 1


def split(images: np.ndarray, labels: np.ndarray, test: tuple[np.ndarray, np.ndarray], validation: int) -> Task:
    """A task whose validation pictures are the last so many of each class."""
    held_out = np.concatenate([np.flatnonzero(labels == k)[-validation:] for k in range(labels.max() + 1)])
    pool = np.setdiff1d(np.arange(len(labels)), held_out)
    return Task(images[pool], labels[pool], images[held_out], labels[held_out], *test)


def digit_pictures(side: int) -> tuple[np.ndarray, np.ndarray]:
    """(uint8 (2500, 3, side, side), labels): the handwritten digits 0 to 4, 500 of each, as colour pictures."""
    images, labels = digits()
    images, labels = images[labels < 5], labels[labels < 5]
    small = [np.asarray(Image.fromarray(image[0]).resize((side, side), Image.Resampling.BILINEAR)) for image in images]
    return np.repeat(np.stack(small)[:, None], 3, axis=1), labels
