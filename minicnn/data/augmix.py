"""AugMix: the mean of a picture and of several chains of operations on it, with random weights.

    picture -> m * picture + (1 - m) * (w1 * chain1(picture) + w2 * chain2(picture) + ...)
    m from Beta(alpha, alpha), w from Dirichlet(alpha, ..., alpha); a chain is 1 to 3 operations drawn from policy.py's

Operations are mild (levels below `severity` of 10), and where a chain has gone too far, the others and the picture
itself are still there to be recognised. The paper's loss, which holds three versions of a picture together, is none of
this.

Source: Hendrycks et al. 2020, "AugMix: a simple data processing method to improve robustness and uncertainty"
"""

from typing import Any

import numpy as np

from ..settings import ANY, flag, real, whole
from .policy import NAMES, Policy, either_way, magnitudes
from .transform import image_alone

COLOURS = ("Brightness", "Color", "Contrast", "Sharpness")
BINS = 10


class AugMix(Policy):
    """A picture mixed with what `mixture_width` chains of `chain_depth` operations (-1: 1 to 3, drawn) make of it.

    severity: from 1 to 10; all_ops: also brightness, colour, contrast, sharpness, which the paper's test pictures are
    changed by. TypeError for a sample: where a mask or a box lies in a mean of several pictures is not known.
    """

    def __init__(
        self,
        severity: int = 3,
        mixture_width: int = 3,
        chain_depth: int = -1,
        alpha: float = 1.0,
        all_ops: bool = True,
        interpolation: str = "bilinear",
        fill: Any = 0,
    ) -> None:
        self.severity = whole(self, "severity", severity, 1, BINS)
        self.mixture_width = whole(self, "mixture_width", mixture_width)
        self.chain_depth = whole(self, "chain_depth", chain_depth, ANY)
        self.alpha, self.all_ops = real(self, "alpha", alpha, above=0), flag(self, "all_ops", all_ops)
        self._set(BINS, interpolation, fill, 0)

    def __call__(self, picture, rng):
        from PIL import Image

        image = image_alone(self, picture)
        kept = rng.beta(self.alpha, self.alpha)
        weights = rng.dirichlet([self.alpha] * self.mixture_width) * (1 - kept)
        mean = kept * np.asarray(image, np.float64)
        for weight in weights:
            mean += weight * np.asarray(super().__call__(image, rng), np.float64)
        return Image.fromarray(mean.astype(np.uint8))

    def draw(self, size, rng):
        """One chain."""
        farthest = tuple(side / 3 for side in size)
        levels = magnitudes(BINS, 0.3, farthest, degrees=30, factor=0.9, bits=4)
        levels["Posterize"] = levels["Posterize"] - 4
        names = [name for name in NAMES[1:] if self.all_ops or name not in COLOURS]
        depth = self.chain_depth if self.chain_depth > 0 else rng.integers(1, 4)
        drawn = []
        for _ in range(depth):
            name = names[rng.integers(len(names))]
            amount = levels[name][rng.integers(self.severity)] if name in levels else 0.0
            drawn.append((name, either_way(name, amount, rng)))
        return drawn
