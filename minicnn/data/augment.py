"""Transforms of one picture: resize, crop, flip, colour noise; centre crop and ten crops for testing.

A transform is called as `transform(image, rng)`: a PIL "RGB" image in, a PIL image out (TenCrop, WithMirror: an
array), every random choice drawn from the `np.random.Generator` it is handed. It keeps no state of its own, so the
same generator gives the same picture, in whichever thread. `to_array` ends the chain; the loader calls it.

AlexNet's recipe (Krizhevsky et al. 2012, section 4.1) and what torchvision makes of it:

    train  Compose([ResizeShorter(256), RandomCrop(227), RandomFlip(), ColorNoise.imagenet()])
    test   Compose([ResizeShorter(256), CenterCrop(227)])   or   Compose([ResizeShorter(256), TenCrop(227)])

The 2012 system first cut the central 256x256 of each picture: put CenterCrop(256) after ResizeShorter(256)
for that. ResNet's recipe (He et al. 2015, section 3.4) resizes by RandomShorterSide(256, 480), and tests on
whole pictures, Compose([ResizeShorter(side), WithMirror()]), of the sides 224, 256, 384, 480 and 640.
"""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from ..types import Array
from .covariance import Covariance, principal_axes
from .errors import BadImage

MAX_RESIZED = 2**26  # pixels, 200 MB; of 256 pixels in height: 262,144 in width


def to_array(image: Any) -> Array:
    """PIL image -> uint8 (C, H, W), contiguous: "RGB" has three channels, "L" one. An array (TenCrop's) passes through.
    TypeError for another mode, as a palette's numbers are no colours."""
    if isinstance(image, np.ndarray):
        return image
    mode = getattr(image, "mode", type(image).__name__)
    if mode not in ("RGB", "L", "RGBA"):
        raise TypeError(f"a picture must have mode 'RGB' or 'L', not {mode!r}; image.convert('RGB') has")
    pixels = np.asarray(image)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)) if pixels.ndim == 3 else pixels[None].copy()


class _Transform:
    """Shown as it was made: RandomFlip(0.5)."""

    def __repr__(self):
        return f"{type(self).__name__}({', '.join(map(str, vars(self).values()))})"


class _Sized(_Transform):
    def __init__(self, size: int) -> None:
        self.size = size


class Compose(_Transform):
    """The transforms one after another, all with the same generator."""

    def __init__(self, transforms: Iterable[Callable]) -> None:
        self.transforms = list(transforms)

    def __call__(self, image, rng):
        for transform in self.transforms:
            image = transform(image, rng)
        return image


class ResizeShorter(_Sized):
    """Resize so that the shorter side has `size` pixels and the aspect ratio stays (the longer side rounds down).

    Pillow's antialiased bilinear filter, as torchvision on PIL images; without antialiasing trained nets lose
    accuracy. BadImage for a picture so long and thin that it would have more than MAX_RESIZED pixels: 2 x 30,000,
    a file of some kB, would become 256 x 3,840,000.
    """

    def __call__(self, image, rng=None):
        from PIL import Image

        width, height = image.size
        shorter = min(width, height)
        if shorter == self.size:
            return image
        new_size = (self.size * width // shorter, self.size * height // shorter)
        if new_size[0] * new_size[1] > max(MAX_RESIZED, width * height):
            raise BadImage(
                f"a picture of {width} x {height} pixels",
                f"too long and thin for {self}: {new_size[0]} x {new_size[1]} are more than {MAX_RESIZED:,} pixels",
            )
        return image.resize(new_size, Image.Resampling.BILINEAR)


class RandomShorterSide(_Transform):
    """Resize to a shorter side drawn uniformly from low, ..., high: ResNet's scale jitter [256, 480]."""

    def __init__(self, low: int = 256, high: int = 480) -> None:
        if not 1 <= low <= high:
            raise ValueError(f"RandomShorterSide: needs 1 <= low <= high, not low={low}, high={high}")
        self.low, self.high = low, high

    def __call__(self, image, rng):
        return ResizeShorter(int(rng.integers(self.low, self.high + 1)))(image)


class CenterCrop(_Sized):
    """The central size x size pixels. Raises ValueError if the image is smaller."""

    def __call__(self, image, rng=None):
        room_x, room_y = _room(self, image)
        return _crop(image, round(room_x / 2), round(room_y / 2), self.size)


class RandomCrop(_Sized):
    """size x size pixels, every position equally likely. Raises ValueError if the image is smaller."""

    def __call__(self, image, rng):
        room_x, room_y = _room(self, image)
        left, top = rng.integers(0, (room_x + 1, room_y + 1))
        return _crop(image, int(left), int(top), self.size)


class Pad(_Transform):
    """`border` black pixels on every side: RandomCrop behind it shifts the picture by up to so many (He et al. 2015,
    section 4.2: 4 for CIFAR)."""

    def __init__(self, border: int) -> None:
        self.border = border

    def __call__(self, image, rng=None):
        width, height = image.size
        return image.crop((-self.border, -self.border, width + self.border, height + self.border))


class RandomFlip(_Transform):
    """Mirror left and right with probability p."""

    def __init__(self, p: float = 0.5) -> None:
        if not 0 <= p <= 1:
            raise ValueError(f"RandomFlip: p must lie in [0, 1], not {p}")
        self.p = p

    def __call__(self, image, rng):
        return _mirror(image) if rng.random() < self.p else image


class TenCrop(_Sized):
    """Four corners and the centre of the picture, then of its mirror image -> uint8 (10, 3, size, size).

    Each five in torchvision's order: top left, top right, bottom left, bottom right, centre. The net's ten
    softmax outputs are averaged (Krizhevsky et al. 2012, section 4.1). Raises ValueError if the image is
    smaller than a crop.
    """

    def __call__(self, image, rng=None):
        room_x, room_y = _room(self, image)
        corners = [(0, 0), (room_x, 0), (0, room_y), (room_x, room_y)]
        places = [*corners, (round(room_x / 2), round(room_y / 2))]
        views = [image, _mirror(image)]
        return np.stack([to_array(_crop(view, x, y, self.size)) for view in views for x, y in places])


class WithMirror(_Transform):
    """The whole picture and its mirror image -> uint8 (2, 3, H, W), for networks that take any size."""

    def __call__(self, image, rng=None):
        return np.stack([to_array(image), to_array(_mirror(image))])


class ColorNoise:
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

    def __call__(self, image, rng):
        if self.eigenvalues is None:
            raise ValueError("ColorNoise is not fitted: call fit(images) or use ColorNoise.imagenet()")
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
        self.eigenvalues, self.eigenvectors = values, vectors

    def __repr__(self):
        fitted = "" if self.eigenvalues is not None else ", not fitted"
        return f"ColorNoise(sigma={self.sigma}, sqrt={self.sqrt}{fitted})"


def _room(transform, image):
    """How far the crop can move in x and in y."""
    width, height = image.size
    size = transform.size
    if width < size or height < size:
        what = f"{type(transform).__name__}: cannot cut {size}x{size} from an image of {width}x{height} pixels"
        raise ValueError(f"{what}; put ResizeShorter({size}) or larger before it")
    return width - size, height - size


def _crop(image, left, top, size):
    return image.crop((left, top, left + size, top + size))


def _mirror(image):
    from PIL import Image

    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
