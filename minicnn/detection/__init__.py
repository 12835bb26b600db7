"""What a single-stage detector needs beside its network (``models.ssd``): boxes, their matching, a loss, a measure."""

from .average_precision import (
    Curve,
    MeanAveragePrecision,
    average_precision,
    mean_average_precision,
)
from .boxes import checked_boxes, clip, decode, encode, iou, to_center_size, to_corners
from .default_boxes import box_scales, boxes_per_position, default_boxes
from .loss import hard_negatives, multibox_loss
from .matching import UNMATCHED, Targets, match, targets
from .nms import Detections, best_boxes, nms

__all__ = [
    "UNMATCHED", "Curve", "Detections", "MeanAveragePrecision", "Targets", "average_precision", "best_boxes",
    "box_scales", "boxes_per_position", "checked_boxes", "clip", "decode", "default_boxes", "encode", "hard_negatives",
    "iou", "match", "mean_average_precision", "multibox_loss", "nms", "targets", "to_center_size",
    "to_corners",
]  # fmt: skip
