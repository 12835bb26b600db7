"""From what a detector says of each default box to a list of objects: thresholds, and non-maximum suppression.

Many default boxes see the same object. Of boxes of one class that overlap, the one with the highest score stays, and
those go that overlap it by more than a threshold; then the next that is left, and so on. Two objects of one class that
lie upon each other are the price.

Source    Liu et al., ECCV 2016, section 3: 0.01, 0.45, the 200 best of a picture; 400 a class are its authors' code
"""

from typing import NamedTuple

import numpy as np

from ..types import Array
from .boxes import iou


class Detections(NamedTuple):
    """The objects found in one picture, the surest first."""

    boxes: Array  # float32 (K, 4), corners in pixels
    labels: Array  # int64 (K,), classes from 0
    scores: Array  # float32 (K,), probabilities


def nms(boxes: Array, scores: Array, iou_threshold: float) -> Array:
    """The numbers of the boxes (N, 4) that stay, the highest score first; of equal scores, the one that comes first."""
    order = np.argsort(-scores, kind="stable")
    kept = []
    while len(order):
        best, others = order[0], order[1:]
        kept.append(best)
        order = others[iou(boxes[best : best + 1], boxes[others])[0] <= iou_threshold]
    return np.array(kept, np.int64)


def best_boxes(
    boxes: Array,
    probabilities: Array,
    score_threshold: float = 0.01,
    iou_threshold: float = 0.45,
    most_per_class: int = 400,
    most: int = 200,
) -> Detections:
    """The objects of one picture.

    boxes           (D, 4), where each default box sees an object
    probabilities   (D, 1 + classes), background first
    most_per_class  candidates of a class, before suppression; most: objects of the picture
    """
    found = []
    for label in range(probabilities.shape[1] - 1):
        scores = probabilities[:, 1 + label]
        candidates = np.flatnonzero(scores > score_threshold)
        candidates = candidates[np.argsort(-scores[candidates], kind="stable")[:most_per_class]]
        kept = candidates[nms(boxes[candidates], scores[candidates], iou_threshold)]
        found.append(Detections(boxes[kept], np.full(len(kept), label, np.int64), scores[kept]))
    together = [np.concatenate(parts) for parts in zip(*found, strict=True)]
    best = np.argsort(-together[2], kind="stable")[:most]
    return Detections(*(part[best] for part in together))
