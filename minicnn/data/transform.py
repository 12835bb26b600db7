"""What a transform is called with, and what all transforms have in common.

    picture = transform(picture, rng)          every random choice is drawn from rng, an np.random.Generator

A picture is a PIL image; or a sample, a dict of the image and of what is marked on it, which goes through the same
transform with the same random draw:

    "image"    a PIL image, W pixels wide and H high
    "mask"     an array (H, W) of whole numbers or booleans, the class of each pixel; no two classes are ever mixed
    "boxes"    (N, 4) of numbers, x0, y0, x1, y1 in pixels: the picture's edges are 0 and W, 0 and H; becomes float32
    "labels"   (N, ...), something for each box, which is dropped with it

Other keys are handed on. A geometric transform moves pixels, and with them mask and boxes; a photometric one changes
values, and leaves both alone. A moved box is the smallest upright one around the corners of the old one, cut at the
edges of the picture; it is dropped when nothing of it is left.
"""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from ..detection.boxes import checked_boxes
from ..types import Array
from .geometry import Move, moved_boxes, moved_mask


def to_array(image: Any) -> Array:
    """PIL image -> uint8 (C, H, W), contiguous: "RGB" has three channels, "L" one. An array (TenCrop's) passes through.
    TypeError for another mode, as a palette's numbers are no colours."""
    if isinstance(image, np.ndarray):
        return image
    _check_mode(image)
    pixels = np.asarray(image)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)) if pixels.ndim == 3 else pixels[None].copy()


class Transform:
    """Shown as it was made: RandomFlip(0.5)."""

    def __repr__(self):
        return f"{type(self).__name__}({', '.join(map(str, vars(self).values()))})"


class Compose(Transform):
    """The transforms one after another, all with the same generator."""

    def __init__(self, transforms: Iterable[Callable]) -> None:
        self.transforms = list(transforms)
        for transform in self.transforms:
            check_takes_rng("Compose", transform)

    def __call__(self, picture, rng):
        for transform in self.transforms:
            picture = transform(picture, rng)
        return picture


class Geometric(Transform, ABC):
    """Moves pixels: a subclass says where to, by its `moves`. New pixels, where nothing has been, get `fill` in the
    picture and `mask_fill` in the mask."""

    interpolation: str = "bilinear"
    fill: Any = 0
    mask_fill: int = 0

    @abstractmethod
    def moves(self, size: tuple[int, int], rng: Any) -> Sequence[Move]:
        """Those that a picture of this size (width, height) goes through, one after another, drawn from rng."""

    def __call__(self, picture, rng=None):
        sample = sample_of(self, picture)
        for move in self.moves(sample["image"].size, rng):
            move_sample(self, sample, move)
        return sample if isinstance(picture, dict) else sample["image"]


class Photometric(Transform, ABC):
    """Changes values of pixels, by its `change`."""

    @abstractmethod
    def change(self, image: Any, rng: Any) -> Any:
        """PIL image -> PIL image of the same size."""

    def __call__(self, picture, rng=None):
        sample = sample_of(self, picture)
        sample["image"] = self.change(sample["image"], rng)
        return sample if isinstance(picture, dict) else sample["image"]


def check_takes_rng(owner: str, transform: Any) -> None:
    """TypeError unless transform(picture, rng) can be called: of a function of one argument, or PyTorch's module."""
    of_torch = any(kind.__module__.partition(".")[0] == "torch" for kind in type(transform).__mro__)
    try:
        if not of_torch:  # a module of PyTorch takes anything, and so says nothing
            inspect.signature(transform).bind(None, None)
            return
    except ValueError:  # it is written in C, and has no signature
        return
    except TypeError:
        if not callable(transform):
            raise TypeError(f"{owner}: a transform is a function of (picture, rng), not {transform!r:.60}") from None
    name = getattr(transform, "__name__", type(transform).__name__)
    raise TypeError(f"{owner}: {name} takes no random-number generator beside the picture; Adapt({name}) does")


def sample_of(transform: Transform, picture: Any) -> dict[str, Any]:
    """A sample, a new dict; of an image, {"image": image}. ValueError or TypeError for parts that do not fit."""
    name = type(transform).__name__
    sample = dict(picture) if isinstance(picture, dict) else {"image": picture}
    if "image" not in sample:
        raise ValueError(f"{name}: a sample needs an 'image', and this one has {', '.join(map(repr, sample))}")
    image = sample["image"]
    if not isinstance(getattr(image, "size", None), tuple):  # an array has another size
        way_out = "Image.fromarray makes one of a uint8 array (H, W, 3)"
        raise TypeError(f"{name}: a picture must be a PIL image, not a {type(image).__name__}; {way_out}")
    if hasattr(image, "mode"):  # what behaves as a PIL image need not have one
        _check_mode(image)
    if "mask" in sample:
        sample["mask"] = _checked_mask(name, sample["mask"], image.size, getattr(transform, "mask_fill", 0))
    if "boxes" in sample:
        sample["boxes"] = checked_boxes(name, sample["boxes"], image.size)
        if "labels" in sample:
            sample["labels"] = np.asarray(sample["labels"])
            if sample["labels"].shape[:1] != (len(sample["boxes"]),):
                what = f"{len(sample['boxes'])} boxes with labels of shape {sample['labels'].shape}"
                raise ValueError(f"{name}: {what}; each box has one, (N, ...)")
    return sample


def move_sample(transform: Any, sample: dict[str, Any], move: Move) -> None:
    """Put in place of a sample's image, mask and boxes the moved ones; read and filled as the transform says."""
    image = sample["image"]
    sample["image"] = move.image(image, transform.interpolation, color_for(transform, transform.fill, image))
    if "mask" in sample:
        sample["mask"] = moved_mask(sample["mask"], move, transform.mask_fill)
    if "boxes" in sample:
        sample["boxes"], kept = moved_boxes(sample["boxes"], move, image.size, sample["image"].size)
        if "labels" in sample:
            sample["labels"] = sample["labels"][kept]


def image_alone(transform: Transform, picture: Any) -> Any:
    """The picture. TypeError if it is a sample, for transforms that mask and boxes cannot follow."""
    if isinstance(picture, dict):
        name = type(transform).__name__
        raise TypeError(f"{name} takes a picture alone, as mask and boxes could not follow it: {name}(image)")
    return sample_of(transform, picture)["image"]


def color_for(transform: Transform, fill: Any, image: Any) -> Any:
    """`fill`, a number or one for each channel, as Pillow wants it for this image."""
    channels = len(image.getbands())
    numbers = fill if isinstance(fill, tuple) else (fill,) * channels
    if len(numbers) != channels:
        name = type(transform).__name__
        raise ValueError(f"{name}: fill={fill} has {len(numbers)} numbers, and the picture {channels} channels")
    return numbers if channels > 1 else numbers[0]


def _check_mode(image):
    mode = getattr(image, "mode", type(image).__name__)
    if mode not in ("RGB", "L", "RGBA"):
        raise TypeError(f"a picture must have mode 'RGB' or 'L', not {mode!r}; image.convert('RGB') has")


def _checked_mask(name, mask, size, fill):
    mask = np.asarray(mask)
    if mask.dtype.kind not in "iub":
        raise TypeError(f"{name}: mask must hold whole numbers or booleans, the class of each pixel, not {mask.dtype}")
    if mask.shape != size[::-1]:
        both = f"mask has the shape {mask.shape} and its picture is {size[1]} high and {size[0]} wide"
        raise ValueError(f"{name}: {both}; both must have one size, (H, W)")
    if np.array(fill).astype(mask.dtype) != fill:
        raise ValueError(
            f"{name}: mask_fill={fill} does not go into a mask of {mask.dtype}; give mask.astype(np.int64)"
        )
    if mask.dtype.itemsize > 2 and not (mask.astype(np.int32) == mask).all():
        raise ValueError(f"{name}: mask holds numbers up to {np.abs(mask).max():,}, and classes have 32 bits")
    return mask
