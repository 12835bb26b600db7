"""Arrays as pictures within a page: PNG or JPEG as text, colours for numbers, tiles."""

import base64
import io
import math
from collections.abc import Sequence

import numpy as np
from PIL import Image

from ..types import Array

# from dark violet to pale yellow, lighter all the way: read by those who see no colours, too
RAMP = np.array([(13, 8, 50), (84, 16, 109), (158, 40, 100), (221, 81, 58), (251, 155, 6), (252, 255, 164)], np.float64)


def data_uri(pixels: Array, photograph: bool = False) -> str:
    """uint8 (H, W, 3) or (H, W) as the address of an image in the page itself: PNG, or JPEG of a photograph."""
    file, kind = io.BytesIO(), "jpeg" if photograph else "png"
    image = Image.fromarray(np.ascontiguousarray(pixels))
    image.save(file, kind, **({"quality": 88} if photograph else {"optimize": True}))
    return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}"


def stretched(values: Array) -> Array:
    """uint8 of the same shape, its least value 0 and its largest 255; all alike: 0."""
    values = np.asarray(values, np.float64)
    low, high = values.min(), values.max()
    return np.rint(255 * (values - low) / (high - low if high > low else 1)).astype(np.uint8)


def coloured(levels: Array) -> Array:
    """uint8 (..., 3): the colours of levels from 0 to 255."""
    place = np.asarray(levels, np.float64) / 255 * (len(RAMP) - 1)
    channels = [np.interp(place, np.arange(len(RAMP)), RAMP[:, channel]) for channel in range(3)]
    return np.rint(np.stack(channels, axis=-1)).astype(np.uint8)


def resized(pixels: Array, size: tuple[int, int]) -> Array:
    """Smoothly, to (height, width)."""
    return np.asarray(Image.fromarray(np.ascontiguousarray(pixels)).resize(size[::-1], Image.Resampling.BICUBIC))


def fitting(pixels: Array, side: int) -> Array:
    """(H, W, 3), made smaller where a side is longer than this."""
    scale = side / max(pixels.shape[:2])
    return pixels if scale >= 1 else resized(pixels, (round(pixels.shape[0] * scale), round(pixels.shape[1] * scale)))


def overlaid(pixels: Array, heat: Array) -> Array:
    """A picture (H, W, 3) in grey, with a map of levels (h, w) over it in colours, where these are high."""
    heat = resized(heat, pixels.shape[:2])
    strength = (heat / 255.0)[..., None] * 0.75
    grey = np.repeat(pixels.mean(axis=2, keepdims=True), 3, axis=2)
    return np.rint((1 - strength) * grey + strength * coloured(heat)).astype(np.uint8)


def tiles(pictures: Sequence[Array], columns: int | None = None, gap: int = 1) -> Array:
    """Pictures (h, w, 3) of one size side by side, on transparent ground: uint8 (H, W, 4)."""
    columns = columns or math.ceil(math.sqrt(1.5 * len(pictures)))
    height, width = pictures[0].shape[:2]
    rows = -(-len(pictures) // columns)
    sheet = np.zeros((rows * (height + gap) - gap, columns * (width + gap) - gap, 4), np.uint8)
    for number, picture in enumerate(pictures):
        top, left = number // columns * (height + gap), number % columns * (width + gap)
        sheet[top : top + height, left : left + width, :3] = picture
        sheet[top : top + height, left : left + width, 3] = 255
    return sheet
