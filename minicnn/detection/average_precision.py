"""How good a detector is: average precision, AP, and its mean over the classes, mAP.

All detections of a class, in all pictures, are sorted by score. One is *right* if it overlaps an object of its class by
at least `iou_threshold` and no surer one has found that object before: the second box on one object is wrong. Then

    precision   of the k surest, how many are right            recall   of all objects, how many the k surest have found

precision_at(r), the highest precision at any recall of r or more, falls as the recall rises. AP is its area. The PASCAL
VOC challenge of 2007 took its mean at the 11 recalls 0, 0.1, ... 1, from 2010 on the whole area. Here it is the area,
and the mean of 11 with ``eleven_points=True``: results on VOC 2007 are usually those.

A class without objects has no AP and is left out of the mean. Boxes marked "difficult" are as if they were not there:
it is neither right nor wrong to find them.

Source    Everingham et al., "The PASCAL visual object classes (VOC) challenge", IJCV 2010, section 4.2
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..types import Array
from .boxes import iou
from .matching import checked_truth
from .nms import Detections


class Curve(NamedTuple):
    """Of one class: precision and recall of the k surest detections, k = 1, 2, ..."""

    precision: Array  # float64 (K,)
    recall: Array  # float64 (K,)
    objects: int  # how many there are to be found


class MeanAveragePrecision(NamedTuple):
    """mAP, and what it is the mean of."""

    mean: float
    by_class: Array  # float64 (classes,); NaN for a class without objects
    curves: list[Curve]


def mean_average_precision(
    found: Sequence[Detections],
    samples: Sequence[Mapping[str, Any]],
    num_classes: int,
    iou_threshold: float = 0.5,
    eleven_points: bool = False,
) -> MeanAveragePrecision:
    """mAP of what was found in each picture.

    samples: for each picture "boxes" (B, 4) and "labels" (B,), and if there is one, "difficult" (B,), booleans.
    ValueError unless there are as many pictures on both sides, and at least one object that counts.
    """
    if len(found) != len(samples):
        raise ValueError(f"mean_average_precision: detections in {len(found)} pictures, truth of {len(samples)}")
    truth = [_truth(n, sample, num_classes) for n, sample in enumerate(samples)]
    if not any((~difficult).any() for _, _, difficult in truth):
        raise ValueError("mean_average_precision: there is no object in any picture, so nothing to be found")
    curves = [_curve(found, truth, label, iou_threshold) for label in range(num_classes)]
    by_class = np.array([average_precision(curve, eleven_points) for curve in curves])
    return MeanAveragePrecision(float(np.nanmean(by_class)), by_class, curves)


def average_precision(curve: Curve, eleven_points: bool = False) -> float:
    """AP of a class; 0 if nothing was found, NaN if there was nothing to find."""
    if curve.objects == 0:
        return math.nan
    highest = np.maximum.accumulate(curve.precision[::-1])[::-1]  # of this recall, or any larger one
    if eleven_points:
        first = np.searchsorted(curve.recall, np.arange(11) / 10 - 1e-9)  # the first detection with this recall
        return float(np.append(highest, 0.0)[first].mean())  # 0 where no detection reaches it
    return float((np.diff(curve.recall, prepend=0.0) * highest).sum())


def _truth(n, sample, num_classes):
    """(boxes, labels, difficult) of picture n."""
    boxes, labels = checked_truth("mean_average_precision", n, sample, num_classes)
    difficult = np.asarray(sample.get("difficult", np.zeros(len(boxes))), bool)
    if difficult.shape != (len(boxes),):
        what = f"picture {n} has {len(boxes)} boxes and 'difficult' of shape {difficult.shape}"
        raise ValueError(f"mean_average_precision: {what}; each box has one")
    return boxes, labels, difficult


def _curve(found, truth, label, iou_threshold):
    """The Curve of one class over all pictures."""
    scores, right, objects = [], [], 0
    for detections, (boxes, labels, difficult) in zip(found, truth, strict=True):
        ours, theirs = detections.labels == label, labels == label
        objects += int((theirs & ~difficult).sum())
        counted, is_right = _judged(
            detections.boxes[ours], detections.scores[ours], boxes[theirs], difficult[theirs], iou_threshold
        )
        scores.append(detections.scores[ours][counted])
        right.append(is_right[counted])
    surest = np.argsort(-np.concatenate(scores), kind="stable")
    rights = np.concatenate(right)[surest].cumsum()  # among the k surest
    return Curve(rights / np.arange(1, len(rights) + 1), rights / max(objects, 1), objects)


def _judged(boxes, scores, truth, difficult, iou_threshold):
    """(bool (K,): which detections of a class in one picture count, bool (K,): which are right)."""
    counted, right = np.ones(len(boxes), bool), np.zeros(len(boxes), bool)
    if not len(truth):
        return counted, right
    overlap, is_found = iou(boxes, truth), np.zeros(len(truth), bool)
    for k in np.argsort(-scores, kind="stable"):
        nearest = overlap[k].argmax()  # the only object that it may have found
        if overlap[k, nearest] < iou_threshold:
            continue
        counted[k] = not difficult[nearest]
        right[k] = not is_found[nearest]
        is_found[nearest] = True
    return counted, right
