"""Crops and sizes: resize, crop, flip, pad; centre crop and ten crops for testing.

What a transform is, of one picture or of one with mask and boxes, is told in transform.py; what turns and bends
pictures is in distort.py, what changes colours in color.py. `to_array` ends the chain; the loader calls it.

AlexNet's recipe (Krizhevsky et al. 2012, section 4.1) and what torchvision makes of it:

    train  Compose([ResizeShorter(256), RandomCrop(227), RandomFlip(), ColorNoise.imagenet()])
    test   Compose([ResizeShorter(256), CenterCrop(227)])   or   Compose([ResizeShorter(256), TenCrop(227)])

The 2012 system first cut the central 256x256 of each picture: put CenterCrop(256) after ResizeShorter(256)
for that. ResNet's recipe (He et al. 2015, section 3.4) resizes by RandomShorterSide(256, 480), and tests on
whole pictures, Compose([ResizeShorter(side), WithMirror()]), of the sides 224, 256, 384, 480 and 640. GoogLeNet's
(Szegedy et al. 2015) trains on RandomResizedCrop(224), which most others have taken over.
"""

import math
from typing import Any

import numpy as np

from ..settings import one_of, whole
from .errors import BadImage
from .geometry import FILTERS, Mirror, Resize, Window
from .ranges import color, interval, pixel_class
from .transform import Geometric, Transform, image_alone, to_array

MAX_RESIZED = 2**26  # pixels, 200 MB; of 256 pixels in height: 262,144 in width
TRIES = 10  # of RandomResizedCrop


class ResizeShorter(Geometric):
    """Resize so that the shorter side has `size` pixels and the aspect ratio stays (the longer side rounds down).

    interpolation: "bilinear", "bicubic" or "nearest"; the first two are antialiased, as torchvision's of PIL images:
    without, trained nets lose accuracy. BadImage for a picture so long and thin that it would have more than
    MAX_RESIZED pixels: 2 x 30,000, a file of some kB, would become 256 x 3,840,000.
    """

    def __init__(self, size: int, interpolation: str = "bilinear") -> None:
        self.size = whole(self, "size", size)
        self.interpolation = one_of(self, "interpolation", interpolation, FILTERS)

    def moves(self, size, rng=None):
        width, height = size
        shorter = min(width, height)
        if shorter == self.size:
            return []
        new_size = (self.size * width // shorter, self.size * height // shorter)
        if new_size[0] * new_size[1] > max(MAX_RESIZED, width * height):
            what = f"too long and thin for ResizeShorter({self.size}): {new_size[0]} x {new_size[1]}"
            raise BadImage(f"a picture of {width} x {height} pixels", f"{what} are more than {MAX_RESIZED:,} pixels")
        return [Resize(size, new_size)]


class RandomShorterSide(Geometric):
    """Resize to a shorter side drawn uniformly from low, ..., high: ResNet's scale jitter [256, 480]."""

    def __init__(self, low: int = 256, high: int = 480, interpolation: str = "bilinear") -> None:
        if not 1 <= low <= high:
            raise ValueError(f"RandomShorterSide: needs 1 <= low <= high, not low={low}, high={high}")
        self.low, self.high = low, high
        self.interpolation = one_of(self, "interpolation", interpolation, FILTERS)

    def moves(self, size, rng):
        return ResizeShorter(int(rng.integers(self.low, self.high + 1))).moves(size)


class _Crop(Geometric):
    def __init__(self, size: int) -> None:
        self.size = whole(self, "size", size)

    def _window(self, left, top):
        return Window(int(left), int(top), (self.size, self.size))


class CenterCrop(_Crop):
    """The central size x size pixels. Raises ValueError if the image is smaller."""

    def moves(self, size, rng=None):
        room_x, room_y = _room(self, size)
        return [self._window(round(room_x / 2), round(room_y / 2))]


class RandomCrop(_Crop):
    """size x size pixels, every position equally likely. Raises ValueError if the image is smaller."""

    def moves(self, size, rng):
        room_x, room_y = _room(self, size)
        return [self._window(*rng.integers(0, (room_x + 1, room_y + 1)))]


class RandomResizedCrop(Geometric):
    """A part of the picture, resized to size x size: its area is a fraction of the picture's within `scale`, its width
    divided by its height within `ratio` (the logarithm uniform, so that 1/2 is as likely as 2).

    A part that does not fit into the picture is drawn anew, TRIES times; then it is the largest one in the middle
    whose shape is within `ratio`.

    Source: Szegedy et al. 2015, "Going deeper with convolutions", section 6. As torchvision's.
    """

    def __init__(
        self, size: int, scale: Any = (0.08, 1.0), ratio: Any = (3 / 4, 4 / 3), interpolation: str = "bilinear"
    ) -> None:
        self.size = whole(self, "size", size)
        self.scale = interval(self, "scale", scale, above=0, at_most=1)
        self.ratio = interval(self, "ratio", ratio, above=0)
        self.interpolation = one_of(self, "interpolation", interpolation, FILTERS)

    def moves(self, size, rng):
        window = self._window(size, rng)
        return [window, Resize(window.size, (self.size, self.size))]

    def _window(self, size, rng):
        width, height = size
        for _ in range(TRIES):
            area = width * height * rng.uniform(*self.scale)
            ratio = math.exp(rng.uniform(*map(math.log, self.ratio)))
            w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if 0 < w <= width and 0 < h <= height:
                left, top = rng.integers(0, (width - w + 1, height - h + 1))
                return Window(int(left), int(top), (w, h))
        ratio = min(max(width / height, self.ratio[0]), self.ratio[1])
        w, h = max(1, min(width, round(height * ratio))), max(1, min(height, round(width / ratio)))
        return Window((width - w) // 2, (height - h) // 2, (w, h))


class Pad(Geometric):
    """`border` pixels more on every side: RandomCrop behind it shifts the picture by up to so many (He et al. 2015,
    section 4.2: 4 for CIFAR). They are black, or `fill`, and of class `mask_fill`."""

    def __init__(self, border: int, fill: Any = 0, mask_fill: int = 0) -> None:
        self.border = whole(self, "border", border, 0)
        self.fill, self.mask_fill = color(self, "fill", fill), pixel_class(self, mask_fill)

    def moves(self, size, rng=None):
        width, height = size
        return [Window(-self.border, -self.border, (width + 2 * self.border, height + 2 * self.border))]


class RandomFlip(Geometric):
    """Mirror left and right with probability p."""

    def __init__(self, p: float = 0.5) -> None:
        if not 0 <= p <= 1:
            raise ValueError(f"RandomFlip: p must lie in [0, 1], not {p}")
        self.p = p

    def moves(self, size, rng):
        return [Mirror(size[0])] if rng.random() < self.p else []


class TenCrop(Transform):
    """Four corners and the centre of the picture, then of its mirror image -> uint8 (10, 3, size, size).

    Each five in torchvision's order: top left, top right, bottom left, bottom right, centre. The net's ten
    softmax outputs are averaged (Krizhevsky et al. 2012, section 4.1). Raises ValueError if the image is
    smaller than a crop.
    """

    def __init__(self, size: int) -> None:
        self.size = whole(self, "size", size)

    def __call__(self, image, rng=None):
        image = image_alone(self, image)
        room_x, room_y = _room(self, image.size)
        corners = [(0, 0), (room_x, 0), (0, room_y), (room_x, room_y)]
        places = [*corners, (round(room_x / 2), round(room_y / 2))]
        windows = [Window(x, y, (self.size, self.size)) for x, y in places]
        return np.stack([to_array(window.image(view)) for view in _with_mirror(image) for window in windows])


class WithMirror(Transform):
    """The whole picture and its mirror image -> uint8 (2, 3, H, W), for networks that take any size."""

    def __call__(self, image, rng=None):
        return np.stack([to_array(view) for view in _with_mirror(image_alone(self, image))])


def _with_mirror(image):
    return image, Mirror(image.width).image(image)


def _room(transform, size):
    """How far the crop can move in x and in y."""
    (width, height), side = size, transform.size
    if width < side or height < side:
        what = f"{type(transform).__name__}: cannot cut {side}x{side} from an image of {width}x{height} pixels"
        raise ValueError(f"{what}; put ResizeShorter({side}) or larger before it")
    return width - side, height - side
