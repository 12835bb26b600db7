"""Pictures side by side on one sheet, with a label beneath each and a title above all."""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .settings import whole
from .types import Array

LINE = 14  # pixels: the height of a line of text
SIZES = (11, 10, 9)  # of the font, in pixels: the first in which every label fits, else the last


def sheet(pictures: Array, zoom: int = 1, labels: Iterable[str] | None = None, title: str = "") -> Any:
    """A PIL image of pictures of one size, uint8 (N, 3, H, W), in rows, with `zoom` x `zoom` pixels for each of theirs.

    labels: a text for each, shortened to its picture's width. ValueError for other pictures, or none, or other than
    one label for each.
    """
    from PIL import Image, ImageDraw

    pictures, zoom = np.asarray(pictures), whole("sheet", "zoom", zoom)
    if pictures.dtype != np.uint8 or pictures.ndim != 4 or pictures.shape[1] != 3 or not pictures.size:
        raise ValueError(f"sheet: pictures must be uint8 (N, 3, H, W), got {pictures.dtype} {pictures.shape}")
    count, _, height, width = pictures.shape
    labels = [""] * count if labels is None else [drawable(str(label)) for label in labels]
    if len(labels) != count:
        raise ValueError(f"sheet: {count} pictures with {len(labels)} labels; there must be one for each")
    columns = int(np.ceil(np.sqrt(1.5 * count)))
    below, above = (LINE if any(labels) else 0), (LINE if title else 0)  # pixels for text
    right, down = zoom * (width + 1), zoom * (height + 1) + below  # from one picture to the next
    size = columns * right + zoom, above + -(-count // columns) * down + zoom
    if title:
        title, title_font = drawable(title), _font(SIZES[0])
        size = max(size[0], zoom + math.ceil(title_font.getlength(title))), size[1]
    image = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(image)
    if title:
        draw.text((zoom, 0), title, "black", title_font)
    texts, font = fitting(labels, zoom * width)
    for i, (picture, text) in enumerate(zip(pictures, texts, strict=True)):
        x, y = zoom + i % columns * right, above + zoom + i // columns * down
        pixels = picture.transpose(1, 2, 0).repeat(zoom, axis=0).repeat(zoom, axis=1)
        image.paste(Image.fromarray(np.ascontiguousarray(pixels)), (x, y))
        if text:
            draw.text((x, y + zoom * height), text, "black", font)
    return image


def as_pictures(images: Array) -> Array | None:
    """uint8 (N, 3, H, W) of the pictures that a loader hands over: of several views the first; of one channel
    three alike, of more than three their mean; of floats each picture stretched to the full range of brightness. None
    of what are no pictures, such as features."""
    images = images[:, 0] if images.ndim == 5 else images
    if images.ndim != 4 or not images.size:
        return None
    if images.dtype != np.uint8:
        low, high = (bound(images, axis=(1, 2, 3), keepdims=True) for bound in (np.min, np.max))
        images = np.rint(255.0 * (images - low) / np.maximum(high - low, 1e-12)).astype(np.uint8)
    if images.shape[1] != 3:
        images = np.repeat(images.mean(axis=1, keepdims=True).astype(np.uint8), 3, axis=1)
    return images


def fitting(texts: Sequence[str], width: int) -> tuple[list[str], Any]:
    """(the texts, shortened to `width` pixels, the font in which that is their width)."""
    if not any(texts):
        return list(texts), None
    for size in SIZES:
        font = _font(size)
        if all(font.getlength(text) <= width for text in set(texts)):
            return list(texts), font
    return [_shortened(text, width, font) for text in texts], font


def _shortened(text, width, font):
    """As many of its first letters as fit with "…" behind them; nothing if these are not even three."""
    if font.getlength(text) <= width:
        return text
    cuts = (f"{text[:length]}…" for length in reversed(range(3, len(text))))
    return next((cut for cut in cuts if font.getlength(cut) <= width), "")


def _font(size):
    from PIL import ImageFont

    return ImageFont.truetype(_font_file(), size)


def drawable(text: str) -> str:
    """`text` with what the font cannot draw written as Python would escape it: \\u732b for a Chinese cat."""
    from matplotlib.ft2font import FT2Font

    glyphs = FT2Font(str(_font_file()))
    return "".join(c if glyphs.get_char_index(ord(c)) else c.encode("unicode_escape").decode() for c in text)


def _font_file():
    """DejaVu Sans, which comes with matplotlib: the letters of most alphabets."""
    import matplotlib  # slow to import, and only needed here

    return Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
