"""The ten crops of a picture at each of some scales, what a classifier sees in them, and what their mean decides."""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from minicnn.data import Compose, ResizeShorter, TenCrop
from minicnn.train import Classifier
from minicnn.train.evaluate import log_mean, log_probabilities


def as_images(pictures: np.ndarray) -> list[Image.Image]:
    """uint8 (N, 3, H, W) as Pillow's pictures."""
    return [Image.fromarray(picture.transpose(1, 2, 0)) for picture in pictures]


def views_of(pictures: np.ndarray, scales: Sequence[int], crop: int) -> np.ndarray:
    """uint8 (N, scales, 10, 3, crop, crop): the ten crops of each picture at each scale, in pixels of its side."""
    cuts = [Compose([ResizeShorter(scale), TenCrop(crop)]) for scale in scales]
    return np.stack([[cut(image, None) for cut in cuts] for image in as_images(pictures)])


def seen(classifier: Classifier, views: np.ndarray) -> np.ndarray:
    """Log-probabilities (scales, crops, N, classes)."""
    flat = views.reshape(len(views), -1, *views.shape[3:])
    parts = [log_probabilities(classifier, flat[i : i + 50]) for i in range(0, len(flat), 50)]
    return np.concatenate(parts, axis=1).reshape(*views.shape[1:3], len(views), -1)


def error(log_p: np.ndarray, labels: np.ndarray) -> float:
    """In %, of the mean of the probabilities; log_p: (..., N, classes)"""
    decided = log_mean(log_p.reshape(-1, *log_p.shape[-2:]))
    return 100 * (decided.argmax(1) != labels).mean()
