"""Distortions that leave the label as it is: shifted, turned, stretched, sheared, seen through a lens.

They go around the middle of the picture, which keeps its size. What comes from beyond it is `fill`, black unless said
otherwise, and in a mask `mask_fill`, class 0. For a class that the loss ignores: RandomRotation(15, mask_fill=255) and
F.cross_entropy(scores, mask, ignore_index=255).

Source: Wu et al. 2015, "Deep Image: scaling up image recognition" (rotations, stretches, lenses); Simard et al. 2003,
"Best practices for convolutional neural networks applied to visual document analysis" (affine).
"""

import math
from typing import Any

import numpy as np

from ..settings import one_of
from ..types import Array
from .geometry import Affine, Lens
from .ranges import around, color, interval, pair, pixel_class
from .transform import Geometric


class _Distortion(Geometric):
    def _set_reading(self, interpolation, fill, mask_fill):
        self.interpolation = one_of(self, "interpolation", interpolation, ("bilinear", "nearest"))
        self.fill, self.mask_fill = color(self, "fill", fill), pixel_class(self, mask_fill)


class RandomAffine(_Distortion):
    """Turned, sheared, scaled and shifted, each by something drawn uniformly. torchvision's, but bilinear.

    degrees    clockwise, from (low, high), or from (-degrees, degrees)
    translate  (a, b): by whole pixels, up to a * width in x and b * height in y, to either side
    scale      (low, high): both sides by one factor
    shear      degrees, in x: from (low, high), or (-shear, shear); of four numbers, the last two are those in y
    """

    def __init__(
        self,
        degrees: Any,
        translate: Any = None,
        scale: Any = None,
        shear: Any = None,
        interpolation: str = "bilinear",
        fill: Any = 0,
        mask_fill: int = 0,
    ) -> None:
        self.degrees = around(self, "degrees", degrees)
        self.translate = pair(self, "translate", (0, 0) if translate is None else translate, at_least=0, at_most=1)
        self.scale = interval(self, "scale", (1, 1) if scale is None else scale, above=0)
        shear = 0 if shear is None else shear
        in_x, in_y = (shear[:2], shear[2:]) if isinstance(shear, (tuple, list)) and len(shear) == 4 else (shear, 0)
        self.shear = tuple(around(self, "shear", each, above=-90, below=90) for each in (in_x, in_y))
        self._set_reading(interpolation, fill, mask_fill)

    def moves(self, size, rng):
        turned = turn(rng.uniform(*self.degrees))
        farthest = np.multiply(self.translate, size)
        shift = np.rint(rng.uniform(-farthest, farthest))
        scale = rng.uniform(*self.scale)
        x, y = (math.tan(math.radians(rng.uniform(*each))) for each in self.shear)
        matrix = scale * turned @ np.array([[1, 0], [-y, 1]]) @ np.array([[1, -x], [0, 1]])
        return [Affine.around(np.array(size) / 2, matrix, shift)]


class RandomRotation(_Distortion):
    """Turned, by degrees counter-clockwise from (low, high), or from (-degrees, degrees). torchvision's, but bilinear.

    With a positive and a negative range, mind that RandomAffine turns the other way, as it does there.
    """

    def __init__(self, degrees: Any, interpolation: str = "bilinear", fill: Any = 0, mask_fill: int = 0) -> None:
        self.degrees = around(self, "degrees", degrees)
        self._set_reading(interpolation, fill, mask_fill)

    def moves(self, size, rng):
        return [Affine.around(np.array(size) / 2, turn(-rng.uniform(*self.degrees)))]


class RandomStretch(_Distortion):
    """Width and height each by a factor of its own within `scale`; its logarithm uniform, so that a half is as likely
    as two. Things become slimmer or wider; those that go beyond the edge are lost."""

    def __init__(
        self, scale: Any = (0.8, 1.25), interpolation: str = "bilinear", fill: Any = 0, mask_fill: int = 0
    ) -> None:
        self.scale = interval(self, "scale", scale, above=0)
        self._set_reading(interpolation, fill, mask_fill)

    def moves(self, size, rng):
        factors = np.exp(rng.uniform(*np.log(self.scale), 2))
        return [Affine.around(np.array(size) / 2, np.diag(factors))]


class LensDistortion(_Distortion):
    """Seen through a lens: a barrel (bend < 0, straight lines bulge outwards) or a pincushion (bend > 0). The bend is
    drawn uniformly from (low, high), or (-bend, bend), within -1/4 and 1/4; ``geometry.Lens`` has the formula."""

    def __init__(self, bend: Any = 0.2, interpolation: str = "bilinear", fill: Any = 0, mask_fill: int = 0) -> None:
        self.bend = around(self, "bend", bend, above=-0.25, below=0.25)
        self._set_reading(interpolation, fill, mask_fill)

    def moves(self, size, rng):
        return [Lens(rng.uniform(*self.bend), size)]


def turn(degrees: float) -> Array:
    """The matrix of a turn, clockwise: y points downwards."""
    cos, sin = (round(f(math.radians(degrees)), 15) for f in (math.cos, math.sin))  # a quarter turn is one exactly
    return np.array([[cos, -sin], [sin, cos]])
