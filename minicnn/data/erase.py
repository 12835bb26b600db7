"""A part of the picture taken away, so that a network must not rely on one part of an object. Mask and boxes still say
what is hidden.

Source: DeVries and Taylor 2017, "Improved regularization of convolutional neural networks with cutout"; Zhong et al.
2020, "Random erasing data augmentation".
"""

import math
from typing import Any

import numpy as np

from ..settings import real, whole
from .ranges import color, interval
from .transform import Photometric, color_for

TRIES = 10  # of RandomErasing


class Cutout(Photometric):
    """A square of `length` pixels set to `fill`, its middle on any pixel of the picture, so that near an edge a part of
    it lies outside.

    The paper uses 16 pixels for CIFAR-10 and 8 for CIFAR-100, and cuts out after the mean has been subtracted: its zero
    is the mean colour, fill=(125, 123, 114) there. Here it is black unless said otherwise.
    """

    def __init__(self, length: int, fill: Any = 0) -> None:
        self.length, self.fill = whole(self, "length", length), color(self, "fill", fill)

    def change(self, image, rng):
        x, y = rng.integers(0, image.size) - self.length // 2
        image = image.copy()
        box = (int(x), int(y), int(x) + self.length, int(y) + self.length)
        image.paste(color_for(self, self.fill, image), box)
        return image


class RandomErasing(Photometric):
    """With probability p, a rectangle set to `value`: a colour, or "random", another colour for each pixel.

    scale   its area is a fraction of the picture's within (low, high)
    ratio   its height divided by its width is within (low, high), the logarithm uniform

    A rectangle that is as high or as wide as the picture is drawn anew, TRIES times; then nothing is erased.

    torchvision's comes behind the normaliser, where value=0 is the mean colour. This one comes before it, as all
    transforms here, and value=0 is black: the mean colour of ImageNet is value=(124, 116, 104).
    """

    def __init__(
        self, p: float = 0.5, scale: Any = (0.02, 0.33), ratio: Any = (0.3, 3.3), value: int | tuple[int, ...] | str = 0
    ) -> None:
        self.p = real(self, "p", p, at_least=0, at_most=1)
        self.scale = interval(self, "scale", scale, at_least=0, at_most=1)
        self.ratio = interval(self, "ratio", ratio, above=0)
        self.value = value if value == "random" else color(self, "value", value)

    def change(self, image, rng):
        if rng.random() >= self.p:
            return image
        width, height = image.size
        for _ in range(TRIES):
            area = width * height * rng.uniform(*self.scale)
            ratio = math.exp(rng.uniform(*map(math.log, self.ratio)))
            h, w = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if 0 < h < height and 0 < w < width:
                left, top = rng.integers(0, (width - w + 1, height - h + 1)).tolist()
                return self._erased(image, (left, top, left + w, top + h), rng)
        return image

    def _erased(self, image, box, rng):
        from PIL import Image

        image = image.copy()
        left, top, right, bottom = box
        if self.value == "random":
            pixels = rng.integers(0, 256, (bottom - top, right - left, len(image.getbands())), np.uint8)
            image.paste(Image.fromarray(pixels.squeeze(2) if image.mode == "L" else pixels, image.mode), box)
        else:
            image.paste(color_for(self, self.value, image), box)
        return image
