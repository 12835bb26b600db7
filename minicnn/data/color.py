"""What changes the values of pixels and not their places: brightness, contrast, colours.

Source: Krizhevsky et al. 2012, section 4.1 (ColorNoise); Howard 2013, "Some improvements on deep convolutional neural
network based image classification" (ColorJitter).
"""

from collections.abc import Iterable
from typing import Any

import numpy as np

from ..types import Array
from .covariance import Covariance, principal_axes
from .ranges import around
from .transform import Photometric


class ColorJitter(Photometric):
    """Brightness, contrast, saturation and hue, each by something drawn uniformly, in a random order. As torchvision's.

    brightness, contrast, saturation   a factor from (low, high), or from (1 - x, 1 + x), not below 0. 0 is a black
                                       picture, one of its mean grey, one without colours; 1 is the picture
    hue                                in turns of the colour wheel, from (low, high), or (-x, x), within -1/2 and 1/2
    """

    def __init__(self, brightness: Any = 0, contrast: Any = 0, saturation: Any = 0, hue: Any = 0) -> None:
        self.brightness = around(self, "brightness", brightness, middle=1, at_least=0)
        self.contrast = around(self, "contrast", contrast, middle=1, at_least=0)
        self.saturation = around(self, "saturation", saturation, middle=1, at_least=0)
        self.hue = around(self, "hue", hue, at_least=-0.5, at_most=0.5)

    def change(self, image, rng):
        for name in rng.permutation(["brightness", "contrast", "saturation", "hue"]):
            image = changed(image, name, rng.uniform(*getattr(self, name)))
        return image


class ColorNoise(Photometric):
    """PCA colour noise: one random shift of (R, G, B) per picture, along the directions in which colours vary.

        shift = 255 * P @ (alpha * lambda),   alpha ~ N(0, sigma), three numbers per picture

    P's columns are the eigenvectors and lambda the eigenvalues of the 3x3 covariance of the training set's
    pixels. The result is rounded and clipped to uint8.

    Units. An eigenvalue is a variance: its size depends on the square of the unit. With pixels of 0..255
    ImageNet's largest is 14,000, and alpha * lambda would be a shift of a thousand grey levels. The paper's
    formula makes sense for pixels of 0..1, where it is .2175 and the shift has a standard deviation of 255 *
    .1 * .2175 = 5.5 levels; so the covariance is taken of pixels / 255. The 2012 code did otherwise than the
    paper says: its noise is proportional to standard deviations, sqrt(lambda), the same in any unit:
    sqrt=True, 11.9 levels here. (It also divided the noisy picture by 1 + sigma after subtracting the mean.
    That is left out.)

    Source: Krizhevsky et al. 2012, section 4.1.
    """

    def __init__(
        self, sigma: float = 0.1, sqrt: bool = False, eigenvalues: Any = None, eigenvectors: Any = None
    ) -> None:
        if sigma < 0:
            raise ValueError(f"ColorNoise: sigma must not be negative, it is {sigma}")
        self.sigma = sigma
        self.sqrt = sqrt
        self.eigenvalues: Array | None = None  # float64 (3,), descending, of pixels in 0..1
        self.eigenvectors: Array | None = None  # float64 (3, 3), one per column; rows are R, G, B
        if eigenvalues is not None:
            self.load_state_dict({"eigenvalues": eigenvalues, "eigenvectors": eigenvectors})

    @classmethod
    def imagenet(cls, sigma: float = 0.1, sqrt: bool = False) -> "ColorNoise":
        """ImageNet's eigenvalues and eigenvectors, as published with fb.resnet.torch
        (datasets/imagenet.lua)."""
        vectors = [[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]]
        return cls(sigma, sqrt, [0.2175, 0.0188, 0.0045], vectors)

    def fit(self, images: Iterable[Array]) -> "ColorNoise":
        """Find eigenvalues and eigenvectors over an iterable of uint8 (3, H, W) or (N, 3, H, W). Returns
        self."""
        sums = Covariance(3)
        for image in images:
            image = np.asarray(image)
            if image.dtype != np.uint8 or image.ndim not in (3, 4) or image.shape[-3] != 3:
                raise ValueError(f"ColorNoise.fit: expected uint8 ([N,] 3, H, W), got {image.dtype} {image.shape}")
            for one in image.reshape(-1, *image.shape[-3:]):
                sums.add(one.reshape(3, -1).T)
        if sums.count == 0:
            raise ValueError("ColorNoise.fit: there was no image to fit on")
        self.eigenvalues, self.eigenvectors = principal_axes(sums.matrix() / 255**2)
        return self

    def change(self, image, rng):
        if self.eigenvalues is None:
            raise ValueError("ColorNoise is not fitted: call fit(images) or use ColorNoise.imagenet()")
        if image.mode != "RGB":
            raise ValueError(f"ColorNoise: a picture of mode {image.mode!r} has no colours; image.convert('RGB') has")
        size = np.sqrt(self.eigenvalues) if self.sqrt else self.eigenvalues
        shift = 255 * self.eigenvectors @ (rng.normal(0, self.sigma, 3) * size)
        table = np.rint(np.arange(256) + shift[:, None]).clip(0, 255)  # (3, 256): new value of each old one
        return image.point(table.astype(int).ravel().tolist())

    def state_dict(self) -> dict[str, Array | None]:
        """The eigenvalues and eigenvectors; None before they are known."""
        return {"eigenvalues": self.eigenvalues, "eigenvectors": self.eigenvectors}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take those of ``state_dict``. ValueError for other shapes, or for numbers that are not finite."""
        values = np.array(state["eigenvalues"], dtype=np.float64)
        vectors = np.array(state["eigenvectors"], dtype=np.float64)
        if values.shape != (3,) or vectors.shape != (3, 3):
            why = f"eigenvalues must have shape (3,) and eigenvectors (3, 3), not {values.shape} and {vectors.shape}"
            raise ValueError(f"ColorNoise: {why}")
        if not (np.isfinite(values).all() and np.isfinite(vectors).all()):
            raise ValueError("ColorNoise: eigenvalues and eigenvectors must be finite numbers")
        self.eigenvalues, self.eigenvectors = values, vectors

    def __repr__(self):
        fitted = "" if self.eigenvalues is not None else ", not fitted"
        return f"ColorNoise(sigma={self.sigma}, sqrt={self.sqrt}{fitted})"


def changed(image: Any, name: str, amount: float) -> Any:
    """The PIL image with this much "brightness", "contrast", "saturation" or "sharpness" (1: as it is), or with its
    "hue" turned by so much of the colour wheel."""
    from PIL import Image, ImageEnhance

    if name != "hue":
        enhance = "Color" if name == "saturation" else name.capitalize()
        return image if amount == 1 else getattr(ImageEnhance, enhance)(image).enhance(amount)
    if amount == 0 or image.mode != "RGB":  # a grey picture has no hue
        return image
    hue, saturation, value = image.convert("HSV").split()
    hue = hue.point([(old + int(amount * 255)) % 256 for old in range(256)])  # as torchvision counts a turn
    return Image.merge("HSV", (hue, saturation, value)).convert("RGB")
