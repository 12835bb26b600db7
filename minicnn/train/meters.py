"""What a run is watched by: averages over an epoch, top-k accuracy, and the clock."""

import time
from typing import Any

import numpy as np

from ..types import Array


class Average:
    """A running mean: the sum so far and how many samples it is over."""

    def __init__(self, total: float = 0.0, count: int = 0) -> None:
        self.total, self.count = total, count

    def add(self, total: float, count: int) -> None:
        """`count` more samples, whose sum is `total`."""
        self.total += total
        self.count += count

    @property
    def value(self) -> float:
        """The mean; NaN without samples."""
        return self.total / self.count if self.count else float("nan")


def correct_at(scores: Array, labels: Array, k: int) -> int:
    """How many of N labels stand among the k highest of their row of scores (N, C).

    Equal scores count as ranked by class number. A label whose score is NaN is wrong, and any other NaN ranks above it,
    so that a network which has broken down never looks good. With k >= C, everything else is right.
    """
    own = np.take_along_axis(scores, labels[:, None], axis=1)  # (N, 1)
    classes = np.arange(scores.shape[1])
    # (N, C): not lower, so that NaN is ahead of everything; of equal scores only those of lower class numbers
    ahead = ~(scores < own) & ~((scores == own) & (classes >= labels[:, None]))
    return int(((ahead.sum(axis=1) < k) & ~np.isnan(own[:, 0])).sum())


class Scores:
    """Loss, top-1 and top-5 (in %) over the samples seen so far; they can be saved in the middle of an epoch."""

    NAMES = ("loss", "top1", "top5")

    def __init__(self) -> None:
        self.averages = {name: Average() for name in self.NAMES}

    def update(self, loss: float, scores: Array, labels: Array) -> None:
        """loss: the batch's mean; scores (N, C) and labels (N,): NumPy arrays."""
        count = len(labels)
        self.averages["loss"].add(loss * count, count)
        self.averages["top1"].add(100 * correct_at(scores, labels, 1), count)
        self.averages["top5"].add(100 * correct_at(scores, labels, 5), count)

    @property
    def count(self) -> int:
        """How many samples these are."""
        return self.averages["loss"].count

    def values(self) -> dict[str, float]:
        """{"loss": ..., "top1": ..., "top5": ...}; NaN where nothing was seen."""
        return {name: average.value for name, average in self.averages.items()}

    def __str__(self):
        values = self.values()
        return f"loss {values['loss']:.3f}  top-1 {values['top1']:.1f} %  top-5 {values['top5']:.1f} %"

    def state_dict(self) -> dict[str, list]:
        """{name: [sum, count]}."""
        return {name: [average.total, average.count] for name, average in self.averages.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what ``state_dict`` has returned."""
        self.averages = {name: Average(*state[name]) for name in self.NAMES}


class Clock:
    """Speed since it was made, and the time that is left."""

    def __init__(self) -> None:
        self.start, self.images, self.batches = time.perf_counter(), 0, 0

    def update(self, images: int) -> None:
        """A batch of so many images is through."""
        self.images += images
        self.batches += 1

    @property
    def seconds(self) -> float:
        """Since the clock was made."""
        return time.perf_counter() - self.start

    @property
    def images_per_second(self) -> float:
        """Over all of that time."""
        return self.images / self.seconds

    def left(self, batches: int) -> float:
        """Seconds that `batches` more will take, at the speed so far."""
        return batches * self.seconds / max(1, self.batches)


def duration(seconds: float) -> str:
    """63.2 -> "1:03", 3723 -> "1:02:03"."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
