"""Operations drawn at random from a list of fourteen: RandAugment and TrivialAugment, which need no search.
(AutoAugment, which does, is auto_augment.py, and AugMix augmix.py.)

                 RandAugment(num_ops=2, magnitude=9)         TrivialAugmentWide()
    operations   num_ops, one after the other                one
    how much     always level `magnitude` of 0, ..., 30      a level drawn anew
    ShearX, Y    0 to 0.3: x + 0.3 y                         0 to 0.99
    TranslateX   0 to 150/331 of the width; Y: the height    0 to 32 pixels
    Rotate       0 to 30 degrees                             0 to 135
    Brightness, Color, Contrast, Sharpness
                 a factor of 1 to 1.9, or 1 to 0.1           1 to 1.99, or 1 to 0.01
    Posterize    8 to 4 bits are left                        8 to 2
    Solarize     values from 255 down to 0 on are inverted   the same
    AutoContrast, Equalize, Identity                         have no level

Where there are two directions, one is drawn. Pillow does the pixels, and the names, levels and settings are
torchvision's, to the same pixels. Masks and boxes follow what is sheared, shifted and turned.

Source: Cubuk et al. 2020, "RandAugment: practical automated data augmentation with a reduced search space"; Müller and
Hutter 2021, "TrivialAugment: tuning-free yet state-of-the-art data augmentation".
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any

import numpy as np

from ..settings import one_of, whole
from ..types import Array
from .color import changed
from .distort import turn
from .geometry import FILTERS, Affine, Move
from .ranges import color, pixel_class
from .transform import Transform, move_sample, sample_of

NAMES = (
    *("Identity", "ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate"),
    *("Brightness", "Color", "Contrast", "Sharpness", "Posterize", "Solarize", "AutoContrast", "Equalize"),
)
ONE_WAY = ("Identity", "Posterize", "Solarize", "AutoContrast", "Equalize")  # the others have two directions


class Policy(Transform, ABC):
    """Does what ``draw`` of a subclass draws."""

    def _set(self, num_magnitude_bins, interpolation, fill, mask_fill):
        self.num_magnitude_bins = whole(self, "num_magnitude_bins", num_magnitude_bins, 2)
        self.interpolation = one_of(self, "interpolation", interpolation, FILTERS)
        self.fill, self.mask_fill = color(self, "fill", fill), pixel_class(self, mask_fill)

    def __call__(self, picture, rng):
        sample = sample_of(self, picture)
        for name, magnitude in self.draw(sample["image"].size, rng):
            move = move_of(name, magnitude, sample["image"].size)
            if move is not None:
                move_sample(self, sample, move)
            else:
                sample["image"] = _change(self, sample["image"], name, magnitude)
        return sample if isinstance(picture, dict) else sample["image"]

    @abstractmethod
    def draw(self, size: tuple[int, int], rng: Any) -> Iterable[tuple[str, float]]:
        """The operations for a picture of this size (width, height), one after another: (name, how much)."""

    def _drawn(self, levels, level, rng):
        """(one of NAMES, how much); level: which one, or a function that draws it."""
        name = NAMES[rng.integers(len(NAMES))]
        if name not in levels:
            return name, 0.0
        return name, either_way(name, levels[name][level if isinstance(level, int) else level()], rng)


class RandAugment(Policy):
    """`num_ops` operations drawn from NAMES, each at level `magnitude` of `num_magnitude_bins`, which count from 0."""

    def __init__(
        self,
        num_ops: int = 2,
        magnitude: int = 9,
        num_magnitude_bins: int = 31,
        interpolation: str = "nearest",
        fill: Any = 0,
        mask_fill: int = 0,
    ) -> None:
        self.num_ops = whole(self, "num_ops", num_ops)
        bins = whole(self, "num_magnitude_bins", num_magnitude_bins, 2)
        self.magnitude = whole(self, "magnitude", magnitude, 0, bins - 1)
        self._set(bins, interpolation, fill, mask_fill)

    def draw(self, size, rng):
        farthest = tuple(150 / 331 * side for side in size)
        levels = magnitudes(self.num_magnitude_bins, 0.3, farthest, degrees=30, factor=0.9, bits=4)
        return [self._drawn(levels, self.magnitude, rng) for _ in range(self.num_ops)]


class TrivialAugmentWide(Policy):
    """One operation drawn from NAMES, at a level drawn from `num_magnitude_bins`."""

    def __init__(
        self, num_magnitude_bins: int = 31, interpolation: str = "nearest", fill: Any = 0, mask_fill: int = 0
    ) -> None:
        self._set(num_magnitude_bins, interpolation, fill, mask_fill)

    def draw(self, size, rng):
        levels = magnitudes(self.num_magnitude_bins, 0.99, (32, 32), degrees=135, factor=0.99, bits=6)
        return [self._drawn(levels, lambda: rng.integers(self.num_magnitude_bins), rng)]


def either_way(name: str, magnitude: float, rng: Any) -> float:
    """How much, in one of the directions that the operation has."""
    return -float(magnitude) if name not in ONE_WAY and rng.integers(2) else float(magnitude)


def magnitudes(
    bins: int, shear: float, shift: tuple[float, float], degrees: float, factor: float, bits: int
) -> dict[str, Array]:
    """{operation: how much it is at each of so many levels}, of those that have any; arguments: what the last is."""
    levels = np.linspace(0, 1, bins)
    most = {"ShearX": shear, "ShearY": shear, "TranslateX": shift[0], "TranslateY": shift[1], "Rotate": degrees}
    most |= dict.fromkeys(("Brightness", "Color", "Contrast", "Sharpness"), factor)
    found = {name: top * levels for name, top in most.items()}
    return found | {"Posterize": 8 - np.round(bits * levels), "Solarize": 255 * (1 - levels)}


def move_of(name: str, magnitude: float, size: tuple[int, int]) -> Move | None:
    """Where the operation moves the pixels of a picture of this size (width, height); None if it leaves them."""
    if name in ("ShearX", "ShearY"):  # the edge at the top, or on the left, stays
        angle = math.radians(math.degrees(math.atan(magnitude)))
        if name == "ShearX":  # magnitude = tan(angle); torchvision's last bits, which decide how a tie is rounded
            matrix = [[1, -math.tan(angle)], [0, 1]]
        else:
            matrix = [[1, 0], [-math.sin(angle) / math.cos(angle), 1]]
        return Affine(np.array(matrix), np.zeros(2))
    if name in ("TranslateX", "TranslateY"):
        pixels = int(magnitude)
        return Affine(np.eye(2), np.array([pixels, 0] if name == "TranslateX" else [0, pixels]))
    if name == "Rotate":
        return Affine.around(np.array(size) / 2, turn(-magnitude))
    return None


def _change(policy, image, name, magnitude):
    from PIL import ImageOps

    if name in ("Brightness", "Color", "Contrast", "Sharpness"):
        return changed(image, "saturation" if name == "Color" else name.lower(), 1 + magnitude)
    if name == "Identity":
        return image
    if image.mode == "RGBA":
        owner = type(policy).__name__
        raise TypeError(f"{owner}: {name} takes pictures of mode 'RGB' or 'L', not 'RGBA'; image.convert('RGB') has")
    if name == "Invert":
        return ImageOps.invert(image)
    if name == "Posterize":
        return ImageOps.posterize(image, int(magnitude))
    if name == "Solarize":
        return ImageOps.solarize(image, magnitude)
    return ImageOps.autocontrast(image) if name == "AutoContrast" else ImageOps.equalize(image)
