"""Boxes: upright rectangles in a picture, and how far one is from another.

    corners       x0, y0, x1, y1 in pixels; the picture's edges are 0 and W, 0 and H. Boxes are this unless it is said
    centre-size   the middle and the size: cx, cy, w, h
    offsets       what a network predicts: a box g, as seen from a default box d, both centre-size
                      (g_cx - d_cx) / d_w / 0.1    log(g_w / d_w) / 0.2    and the same of cy and h; in the order
                      of cx, cy, w, h

Offsets do not depend on the size of the default box, so one filter serves all positions. The two *variances*, 0.1 and
0.2, are not in the paper but in the code that its authors published: they give offsets a size of about one.

Source    Liu et al., "SSD: Single shot multibox detector", ECCV 2016, section 2.2; Girshick et al., "Rich feature
          hierarchies for accurate object detection", CVPR 2014 (the offsets)
"""

from typing import Any

import numpy as np

from ..types import Array

VARIANCES = (0.1, 0.2)  # of the middle, of the size
MOST_GROWTH = np.log(1000.0)  # no box is a thousand times as large as its default box; keeps exp from overflowing


def checked_boxes(owner: str, boxes: Any, size: tuple[float, float]) -> Array:
    """Boxes as float32 (N, 4); without any, (0, 4). ValueError unless each lies in its picture, of size (W, H)."""
    boxes = np.asarray(boxes)
    boxes = boxes.reshape(0, 4) if boxes.size == 0 else boxes
    if boxes.ndim != 2 or boxes.shape[1] != 4 or boxes.dtype.kind not in "iuf":
        raise ValueError(f"{owner}: boxes must be numbers (N, 4), x0, y0, x1, y1, not {boxes.dtype} {boxes.shape}")
    boxes = boxes.astype(np.float32)  # before they are looked at: two numbers that differ in float64 may not here
    low, high = boxes[:, :2], boxes[:, 2:]
    wrong = ~((low >= 0) & (low < high) & (high <= size)).all(axis=1)  # of NaN, too
    if wrong.any():
        at = int(wrong.argmax())
        box = ", ".join(f"{value:g}" for value in boxes[at])
        rule = f"0 <= x0 < x1 <= {size[0]} and 0 <= y0 < y1 <= {size[1]}"
        raise ValueError(f"{owner}: box {at}, ({box}), does not lie in its picture: {rule}; is it x, y, width, height?")
    return boxes


def to_center_size(boxes: Array) -> Array:
    """Corners (..., 4) -> centre-size."""
    low, high = boxes[..., :2], boxes[..., 2:]
    return np.concatenate([(low + high) / 2, high - low], axis=-1)


def to_corners(boxes: Array) -> Array:
    """Centre-size (..., 4) -> corners."""
    middle, half = boxes[..., :2], boxes[..., 2:] / 2
    return np.concatenate([middle - half, middle + half], axis=-1)


def clip(boxes: Array, size: tuple[int, int]) -> Array:
    """What of boxes (..., 4) lies in a picture of size (W, H)."""
    return boxes.clip(0, np.array([*size, *size], boxes.dtype))


def iou(a: Array, b: Array) -> Array:
    """(A, B): of each box of a (A, 4) and each of b (B, 4), what they share divided by what they cover together,
    "intersection over union" or Jaccard overlap: 1 for equal boxes, 0 for boxes that share nothing. Whole numbers are
    taken for float64."""
    a, b = (boxes if boxes.dtype.kind == "f" else boxes.astype(np.float64) for boxes in (a[:, None], b[None]))
    shared = _area(np.maximum(a[..., :2], b[..., :2]), np.minimum(a[..., 2:], b[..., 2:]))  # (A, B)
    together = _area(a[..., :2], a[..., 2:]) + _area(b[..., :2], b[..., 2:]) - shared
    return np.divide(shared, together, out=np.zeros_like(shared), where=together > 0)  # two empty boxes share nothing


def encode(boxes: Array, defaults: Array) -> Array:
    """The offsets (..., 4) of boxes from default boxes, both corners (..., 4). No box may be empty."""
    box, default = to_center_size(boxes), to_center_size(defaults)
    middle = (box[..., :2] - default[..., :2]) / default[..., 2:] / VARIANCES[0]
    size = np.log(box[..., 2:] / default[..., 2:]) / VARIANCES[1]
    return np.concatenate([middle, size], axis=-1)


def decode(offsets: Array, defaults: Array) -> Array:
    """The way back: corners (..., 4) of the boxes that have these offsets from the default boxes."""
    default = to_center_size(defaults)
    middle = default[..., :2] + offsets[..., :2] * VARIANCES[0] * default[..., 2:]
    size = np.exp(np.minimum(offsets[..., 2:] * VARIANCES[1], MOST_GROWTH)) * default[..., 2:]
    return to_corners(np.concatenate([middle, size], axis=-1))


def _area(low, high):
    """Of the rectangle between two corners (..., 2); 0 where it is none."""
    return (high - low).clip(0).prod(axis=-1)
