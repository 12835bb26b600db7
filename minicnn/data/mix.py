"""Pictures of a batch mixed with one another, and their labels with them: mixup and CutMix.

    MixUp    every number is l times its own and 1 - l times the other picture's
    CutMix   a rectangle of the other picture lies over its own, which keeps the fraction l of its area

    l is drawn for the whole batch from Beta(alpha, alpha): 1 is uniform from 0 to 1, less is nearer to both ends. The
    other picture is the one before it in the batch, of the first one the last; the order of an epoch is random already.
    The target becomes l times its own class and 1 - l times the other's: probabilities, which F.cross_entropy takes.

        mixed = mix(images, labels, rng)        images behind the normaliser, (N, C, H, W); labels (N,)

Names, settings and formulas are torchvision's.

Source: Zhang et al. 2018, "mixup: Beyond empirical risk minimization"; Yun et al. 2019, "CutMix: regularization
strategy to train strong classifiers with localizable features".
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..device import array_module, device_of, to_device
from ..settings import real, whole
from ..tensor import Tensor
from ..types import Array
from .transform import Transform


class _Mix(Transform, ABC):
    def __init__(self, *, alpha: float = 1.0, num_classes: int | None = None) -> None:
        self.alpha = real(self, "alpha", alpha, above=0)
        self.num_classes = None if num_classes is None else whole(self, "num_classes", num_classes)

    def __call__(self, images: Any, labels: Any, rng: np.random.Generator) -> tuple[Any, Any]:
        """(mixed images, probabilities (N, num_classes) of their dtype): Tensors of Tensors, arrays of arrays.

        images   float32 or float64 (N, C, H, W)
        labels   whole numbers (N,), or probabilities (N, classes)
        TypeError or ValueError for others.
        """
        pixels, own = (part.data if isinstance(part, Tensor) else part for part in (images, labels))
        self._check(images, pixels, own)
        targets = self._probabilities(to_device(own, "cpu"), pixels.dtype)
        mixed, share = self.mix(pixels, rng)
        targets = share * targets + (1 - share) * np.roll(targets, 1, axis=0)
        targets = to_device(targets, device_of(own))
        return (
            Tensor(mixed) if isinstance(images, Tensor) else mixed,
            Tensor(targets) if isinstance(labels, Tensor) else targets,
        )

    @abstractmethod
    def mix(self, pixels: Array, rng: np.random.Generator) -> tuple[Array, float]:
        """(the mixed pictures, the share of each that is its own)."""

    def _check(self, images, pixels, labels):
        name = type(self).__name__
        if getattr(images, "requires_grad", False):
            raise TypeError(f"{name}: images require a gradient, which would not come back to them; .detach() them")
        if pixels.ndim != 4 or pixels.dtype.kind != "f":
            what = f"{name}: images must be float32 (N, C, H, W), got {pixels.dtype} {pixels.shape}"
            raise TypeError(f"{what}; normalise them first")
        if labels.ndim not in (1, 2) or len(labels) != len(pixels):
            what = f"{name}: {len(pixels)} images have labels (N,), or probabilities (N, classes)"
            raise ValueError(f"{what}, not {labels.shape}")

    def _probabilities(self, labels, dtype):
        """(N, classes) of labels, or of what are probabilities already."""
        name = type(self).__name__
        if labels.ndim == 2:
            return labels.astype(dtype)
        if self.num_classes is None:
            raise ValueError(f"{name}: give num_classes=, as the labels are whole numbers")
        if labels.dtype.kind not in "iu":
            raise TypeError(f"{name}: labels must be whole numbers, not {labels.dtype}")
        if labels.size and not 0 <= labels.min() <= labels.max() < self.num_classes:
            wrong = labels.min() if labels.min() < 0 else labels.max()
            raise ValueError(f"{name}: label {wrong} is none of num_classes={self.num_classes}, which count from 0")
        return np.eye(self.num_classes, dtype=dtype)[labels]


class MixUp(_Mix):
    """mix(images, labels, rng): weighted means of two pictures each, and of their classes."""

    def mix(self, pixels, rng):
        share = float(rng.beta(self.alpha, self.alpha))
        return share * pixels + (1 - share) * array_module(pixels).roll(pixels, 1, axis=0), share


class CutMix(_Mix):
    """mix(images, labels, rng): pictures with a rectangle of another one each, and its class in proportion."""

    def mix(self, pixels, rng):
        *_, height, width = pixels.shape
        half = 0.5 * math.sqrt(
            1 - rng.beta(self.alpha, self.alpha)
        )  # of the rectangle's sides, in those of the picture
        x, y = int(rng.integers(width)), int(rng.integers(height))  # its middle; what lies outside is cut off
        across, down = int(half * width), int(half * height)
        left, right = max(0, x - across), min(width, x + across)
        top, bottom = max(0, y - down), min(height, y + down)
        mixed = pixels.copy()
        patch = pixels[:, :, top:bottom, left:right]
        mixed[:, :, top:bottom, left:right] = array_module(pixels).roll(patch, 1, axis=0)
        return mixed, 1 - (right - left) * (bottom - top) / (width * height)


class RandomChoice(Transform):
    """One of several transforms, drawn anew at each call, with the probabilities p or all alike: of pictures, or of
    batches, as in ``RandomChoice([MixUp(num_classes=10), CutMix(num_classes=10)])``."""

    def __init__(self, transforms: Sequence[Callable], p: Sequence[float] | None = None) -> None:
        self.transforms = list(transforms)
        if not self.transforms:
            raise ValueError("RandomChoice: there is no transform to choose from")
        p = [1.0] * len(self.transforms) if p is None else p
        if len(p) != len(self.transforms):
            raise ValueError(f"RandomChoice: {len(self.transforms)} transforms have as many p, not {len(p)}")
        weights = np.array([real(self, "p", each, at_least=0) for each in p])
        if not weights.sum():
            raise ValueError("RandomChoice: p must not be 0 for all")
        self.p = (weights / weights.sum()).tolist()

    def __call__(self, *inputs: Any) -> Any:
        """What the chosen one makes of the inputs, whose last one is the generator."""
        return self.transforms[inputs[-1].choice(len(self.transforms), p=self.p)](*inputs)
