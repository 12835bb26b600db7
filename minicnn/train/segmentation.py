"""How good the classes are that a network gives to pixels: accuracy, and intersection over union (IU).

n_ij pixels of class i are taken for class j; t_i = sum_j n_ij are of class i. Then

    pixel accuracy   sum_i n_ii / sum_i t_i                               large classes decide
    mean accuracy    mean over classes of n_ii / t_i                      every class counts the same
    IU of a class    n_ii / (t_i + sum_j n_ji - n_ii)                     of the pixels that either says, what both say
    mean IU          its mean over classes                                what segmentation is usually measured by

Of a picture that is half background, who calls all of it background has half of the pixels right, and a mean IU of 1/4
for two classes. The sums run over all pictures first: a rare class is no 0 or 1 in each of them.

Source    Long, Shelhamer and Darrell, "Fully convolutional networks for semantic segmentation", CVPR 2015, section 5
"""

from typing import Any

import numpy as np

from ..settings import whole
from ..types import Array


class Confusion:
    """The table n_ij over the pixels seen so far; it can be saved in the middle of a pass.

    ignore_index: the label of pixels that nobody has given a class, which do not count.
    """

    def __init__(self, num_classes: int, ignore_index: int = 255) -> None:
        self.num_classes = whole("Confusion", "num_classes", num_classes)
        self.ignore_index = ignore_index
        # int64 (classes, classes + 1): label, prediction; the last column is of pixels whose scores were no numbers
        self.table = np.zeros((self.num_classes, self.num_classes + 1), np.int64)

    def update(self, scores: Any, labels: Any) -> None:
        """scores (N, classes, H, W) and whole-number labels (N, H, W): arrays or Tensors.

        A pixel with a NaN among its scores is taken for none of the classes. ValueError for shapes that do not fit,
        TypeError for labels that are no whole numbers, IndexError for one that is neither a class nor `ignore_index`.
        """
        scores, labels = np.asarray(scores), np.asarray(labels)
        shape = scores.shape
        if len(shape) < 2 or shape[1] != self.num_classes or labels.shape != (shape[0], *shape[2:]):
            wanted = f"scores (N, {self.num_classes}, H, W) and labels (N, H, W)"
            raise ValueError(f"Confusion: takes {wanted}, got {shape} and {labels.shape}")
        if labels.dtype.kind not in "iu":
            raise TypeError(f"Confusion: labels must be whole numbers, the class of each pixel, got {labels.dtype}")
        counted = labels != self.ignore_index
        predicted = np.where(np.isnan(scores).any(axis=1), self.num_classes, scores.argmax(axis=1))[counted]
        true = labels[counted].astype(np.int64)  # uint8 would not hold the products below
        if true.size and not 0 <= true.min() <= true.max() < self.num_classes:
            wrong = true.max() if true.max() >= self.num_classes else true.min()
            what = f"labels are 0 to {self.num_classes - 1}, or {self.ignore_index} where there is none"
            raise IndexError(f"Confusion: {what}; got {wrong}")
        places = true * (self.num_classes + 1) + predicted  # of the table, row by row
        self.table += np.bincount(places, minlength=self.table.size).reshape(self.table.shape)

    @property
    def iu(self) -> Array:
        """float64 (classes,): intersection over union; NaN for a class that is neither in labels nor in predictions."""
        right, true, predicted = self._sums()
        return _ratio(right, true + predicted - right)

    @property
    def pixel_accuracy(self) -> float:
        """What part of all pixels is right; NaN without pixels, as the others."""
        right, true, _ = self._sums()
        return float(_ratio(right.sum(), true.sum()))

    @property
    def mean_accuracy(self) -> float:
        """What part of a class's pixels is right, averaged over the classes that there are among the labels."""
        right, true, _ = self._sums()
        return _mean(_ratio(right, true))

    @property
    def mean_iu(self) -> float:
        """Intersection over union, averaged over the classes that there are among labels or predictions."""
        return _mean(self.iu)

    def state_dict(self) -> dict[str, Any]:
        """{"table": list of lists}."""
        return {"table": self.table.tolist()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what ``state_dict`` has returned. ValueError for a table of other classes."""
        table = np.array(state["table"], np.int64)
        if table.shape != self.table.shape:
            raise ValueError(f"Confusion: the table must be {self.table.shape}, got {table.shape}")
        self.table = table

    def __str__(self):
        return f"pixel accuracy {100 * self.pixel_accuracy:.1f} %  mean IU {100 * self.mean_iu:.1f} %"

    def _sums(self):
        """Of each class: pixels that are right, that are of it, that are taken for it."""
        return self.table.diagonal(), self.table.sum(axis=1), self.table[:, :-1].sum(axis=0)


def _ratio(part, total):
    """part / total; NaN where total is 0."""
    return np.where(total > 0, part / np.maximum(total, 1), np.nan)


def _mean(values):
    """Their mean without NaNs; NaN if there is nothing else."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")
