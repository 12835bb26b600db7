"""Matching: which default box is to find which object, decided before each step of training.

First, every object gets the default box that overlaps it most, so that it has at least one. Objects that want the same
one are served by their overlap, the largest first; the others take the best that is left. Then every other default box
goes to the object it overlaps most, if that is more than half. So an object has several, which makes learning easier,
and later, in use, is found several times (nms.py). What is left over has to see *background*.

Source    Liu et al., ECCV 2016, section 2.2, "Matching strategy"; Erhan et al., "Scalable object detection using deep
          neural networks", CVPR 2014 (the first part)
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..types import Array
from .boxes import checked_boxes, encode, iou

UNMATCHED = -1


class Targets(NamedTuple):
    """What the network should say of each default box of N pictures."""

    labels: Array  # int64 (N, D): 0 is background, 1 + c the class c
    offsets: Array  # float32 (N, D, 4) of the object's box; 0 for background, where they do not count


def match(boxes: Array, defaults: Array, threshold: float = 0.5) -> Array:
    """int64 (D,): for each default box of (D, 4) the number of its object among boxes (B, 4), or UNMATCHED."""
    matches = np.full(len(defaults), UNMATCHED)
    if not len(boxes):
        return matches
    overlap = iou(boxes, defaults)  # (B, D)
    best = overlap.argmax(axis=0)  # for each default box
    near = overlap.max(axis=0) > threshold
    matches[near] = best[near]
    for _ in range(min(overlap.shape)):
        box, default = np.unravel_index(overlap.argmax(), overlap.shape)
        if overlap[box, default] <= 0:  # what is left shares nothing
            break
        matches[default] = box
        overlap[box], overlap[:, default] = -1, -1  # both are served
    return matches


def targets(
    samples: Sequence[Mapping[str, Any]],
    defaults: Array,
    num_classes: int,
    size: tuple[int, int],
    threshold: float = 0.5,
) -> Targets:
    """What the network should say of each picture.

    samples   for each picture a dict with "boxes" (B, 4), corners in pixels, and "labels" (B,) in [0, num_classes), as
              transforms make them (docs/augment.md); a picture may have no boxes
    defaults  (D, 4) of pictures of this size, (W, H)
    ValueError for a box that is empty or lies outside of its picture, IndexError for a label that is no class.
    """
    labels = np.zeros((len(samples), len(defaults)), np.int64)
    offsets = np.zeros((len(samples), len(defaults), 4), np.float32)
    for n, sample in enumerate(samples):
        boxes, classes = checked_truth("targets", n, sample, num_classes, size)
        matches = match(boxes, defaults, threshold)
        matched = np.flatnonzero(matches != UNMATCHED)
        labels[n, matched] = 1 + classes[matches[matched]]
        offsets[n, matched] = encode(boxes[matches[matched]], defaults[matched])
    return Targets(labels, offsets)


def checked_truth(
    owner: str, n: int, sample: Mapping[str, Any], num_classes: int, size: tuple[int, int] | None = None
) -> tuple[Array, Array]:
    """(boxes float32 (B, 4), labels int64 (B,)) of picture n; the errors are those of ``targets``.

    size: the picture's (W, H); None where that is not known, and boxes may lie anywhere.
    """
    if missing := [key for key in ("boxes", "labels") if key not in sample]:
        raise ValueError(f"{owner}: picture {n} has no {missing[0]!r}; a sample is a dict with 'boxes' and 'labels'")
    boxes = checked_boxes(f"{owner}: picture {n}", sample["boxes"], size or (np.inf, np.inf))
    labels = np.asarray(sample["labels"])
    labels = labels.reshape(0).astype(np.int64) if labels.size == 0 else labels
    if labels.shape != (len(boxes),) or labels.dtype.kind not in "iu":
        got = f"{len(boxes)} boxes with labels {labels.dtype} {labels.shape}"
        raise ValueError(f"{owner}: picture {n} has {got}; each box has one, a whole number")
    wrong = (labels < 0) | (labels >= num_classes)
    if wrong.any():
        what = f"has a box of class {labels[wrong][0]}; classes are 0 to {num_classes - 1}"
        raise IndexError(f"{owner}: picture {n} {what}, without background")
    return boxes, labels.astype(np.int64)
