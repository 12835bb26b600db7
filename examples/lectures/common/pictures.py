"""Pictures in a file of results: grids of them, as text."""

import base64
import io

import numpy as np
from PIL import Image


def as_text(pixels: np.ndarray) -> str:
    """uint8 (H, W, 3) as a PNG in base 64, which JSON can hold."""
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, format="PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode()


def from_text(text: str) -> np.ndarray:
    """The same, backwards."""
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text))))


def stretched(images: np.ndarray) -> np.ndarray:
    """(N, ...) -> uint8, each from its own smallest to its own largest value."""
    axes = tuple(range(1, images.ndim))
    low, high = images.min(axes, keepdims=True), images.max(axes, keepdims=True)
    return np.rint(255 * (images - low) / np.maximum(high - low, 1e-12)).astype(np.uint8)


def grid(images: np.ndarray, columns: int) -> np.ndarray:
    """uint8 (N, 3, H, W) or grey (N, H, W) -> one picture (H', W', 3), row by row, with white lines between them."""
    if images.ndim == 3:
        images = np.repeat(images[:, None], 3, axis=1)
    count, _, height, width = images.shape
    gap = max(1, width // 16)
    rows = -(-count // columns)
    out = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), 255, np.uint8)
    for number, image in enumerate(images):
        top, left = number // columns * (height + gap), number % columns * (width + gap)
        out[top : top + height, left : left + width] = image.transpose(1, 2, 0)
    return out


def patch(image: np.ndarray, rows: slice, columns: slice) -> np.ndarray:
    """The pixels of an image (C, H, W) in these rows and columns; grey (128) where they lie outside of it."""
    channels, height, width = image.shape
    out = np.full((channels, rows.stop - rows.start, columns.stop - columns.start), 128, image.dtype)
    top, left, bottom, right = (
        max(rows.start, 0),
        max(columns.start, 0),
        min(rows.stop, height),
        min(columns.stop, width),
    )
    inside = image[:, top:bottom, left:right]
    out[:, top - rows.start : bottom - rows.start, left - columns.start : right - columns.start] = inside
    return out
