"""What a run is watched by: averages over an epoch, and top-k accuracy."""

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

    def sums(self) -> Array:
        """float64 (4,): the sums of loss, top1 and top5, and how many samples; those of several Scores can be added."""
        return np.array([*(average.total for average in self.averages.values()), self.count], np.float64)

    def add(self, sums: Array) -> None:
        """The samples of other Scores, whose (added) ``sums()`` these are."""
        *totals, count = sums.tolist()
        for average, total in zip(self.averages.values(), totals, strict=True):
            average.add(total, int(count))

    @property
    def count(self) -> int:
        """How many samples these are."""
        return self.averages["loss"].count

    def values(self) -> dict[str, float]:
        """{"loss": ..., "top1": ..., "top5": ...}; NaN where nothing was seen."""
        return {name: average.value for name, average in self.averages.items()}

    def texts(self) -> tuple[str, str, str]:
        """("loss 2.303", "top-1 10.0 %", "top-5 50.0 %")."""
        values = self.values()
        return f"loss {values['loss']:.3f}", f"top-1 {values['top1']:.1f} %", f"top-5 {values['top5']:.1f} %"

    def __str__(self):
        return "  ".join(self.texts())

    def state_dict(self) -> dict[str, list]:
        """{name: [sum, count]}."""
        return {name: [average.total, average.count] for name, average in self.averages.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what ``state_dict`` has returned."""
        self.averages = {name: Average(*state[name]) for name in self.NAMES}
