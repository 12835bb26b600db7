"""Where pixels go: moves of a picture, its mask and points on it. Nothing here is random.

    Resize   to another size                Affine   by a matrix: shifted, turned, stretched, sheared
    Window   a part of it, or more than it   Lens     bulged or pinched
    Mirror   left and right exchanged

A picture has its edges at 0 and W, 0 and H, so the middle of its first pixel is (0.5, 0.5). A move tells where a point
goes. A moved picture is made the other way round: each of its pixels asks where it comes from, and reads there, the
nearest pixel or a mean of the nearest four.
"""

from typing import Any, NamedTuple, Protocol

import numpy as np

from ..types import Array

THINNEST = 0.01  # pixels: a box that is thinner has nothing in it
FILTERS = ("bilinear", "bicubic", "nearest")  # how a picture is resized; a moved one is read by the first or the last
BAND = 2**12  # pixels that a lens works on at a time: their numbers stay in the cache


class Move(Protocol):
    """What a geometric transform has drawn for one picture."""

    def image(self, image: Any, interpolation: str, fill: Any) -> Any:
        """The moved PIL image; interpolation: one of FILTERS; fill: for pixels where nothing has been."""

    def points(self, points: Array) -> Array:
        """Where points (..., 2), x and y in pixels, go."""


class Resize(NamedTuple):
    """From one size, (width, height), to another; bilinear and bicubic are Pillow's, antialiased."""

    old: tuple[int, int]
    size: tuple[int, int]

    def image(self, image: Any, interpolation: str, fill: Any) -> Any:
        """The picture in the new size."""
        return image.resize(self.size, _filter(interpolation))

    def points(self, points: Array) -> Array:
        """Scaled."""
        return points * (np.array(self.size) / self.old)


class Window(NamedTuple):
    """The picture seen through a window of `size`, (width, height), whose corner lies at (left, top)."""

    left: int
    top: int
    size: tuple[int, int]

    def image(self, image: Any, interpolation: str = "nearest", fill: Any = 0) -> Any:
        """What is in the window; beyond the picture there is `fill`."""
        from PIL import Image

        seen = Image.new(image.mode, self.size, fill)
        seen.paste(image, (-self.left, -self.top))
        return seen

    def points(self, points: Array) -> Array:
        """Seen from the window's corner."""
        return points - (self.left, self.top)


class Mirror(NamedTuple):
    """Left and right exchanged, in a picture of this width."""

    width: int

    def image(self, image: Any, interpolation: str = "nearest", fill: Any = 0) -> Any:
        """The mirror image."""
        from PIL import Image

        return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)

    def points(self, points: Array) -> Array:
        """As far from the right edge as they were from the left."""
        return np.abs(points - (self.width, 0))


class Affine(NamedTuple):
    """A point p goes to matrix @ p + shift; the picture keeps its size."""

    matrix: Array  # float64 (2, 2)
    shift: Array  # float64 (2,)

    @classmethod
    def around(cls, center: Array, matrix: Array, shift: Any = 0) -> "Affine":
        """The point `center` goes to center + shift; all others are turned, stretched and sheared around it."""
        return cls(matrix, center + shift - matrix @ center)

    def image(self, image: Any, interpolation: str, fill: Any) -> Any:
        """The moved picture."""
        from PIL import Image

        back = np.linalg.inv(self.matrix)
        (a, b), (d, e) = back
        c, f = -back @ self.shift
        coefficients = (a, b, c, d, e, f)
        return image.transform(image.size, Image.Transform.AFFINE, coefficients, _filter(interpolation), fillcolor=fill)

    def points(self, points: Array) -> Array:
        """matrix @ p + shift"""
        return points @ self.matrix.T + self.shift


class Lens(NamedTuple):
    """Seen through a lens: with r the distance from the middle of the picture, of which half a diagonal is one,

        r before = r after / (1 + bend * r after^2)

    bend < 0: a barrel, straight lines bulge outwards. bend > 0: a pincushion. At 1/4 and beyond, the corners
    of the picture would go nowhere.

    Source: Fitzgibbon 2001, "Simultaneous linear estimation of multiple view geometry and lens distortion".
    """

    bend: float
    size: tuple[int, int]

    def image(self, image: Any, interpolation: str, fill: Any) -> Any:
        """The moved picture."""
        from PIL import Image

        pixels = np.asarray(image)
        width, height = self.size
        out = np.empty_like(pixels)
        x = np.arange(width, dtype=np.float32) + np.float32(0.5 - width / 2)  # from the middle
        rows = max(1, BAND // width)
        for top in range(0, height, rows):
            band = out[top : top + rows]
            y = np.arange(top, top + len(band), dtype=np.float32)[:, None] + np.float32(0.5 - height / 2)
            scale = 1 / (1 + np.float32(self.bend / self._unit) * (x * x + y * y))  # (rows, width)
            read = _nearest if interpolation == "nearest" else _bilinear
            band[:] = read(pixels, x * scale + np.float32(width / 2), y * scale + np.float32(height / 2), fill)
        return Image.fromarray(out)

    def points(self, points: Array) -> Array:
        """The formula solved for r after, of the two solutions the one that is r before if bend = 0."""
        middle = np.array(self.size) / 2
        points = points - middle
        r_squared = (points**2).sum(axis=-1, keepdims=True) / self._unit
        return middle + points * (2 / (1 + np.sqrt(1 - 4 * self.bend * r_squared)))

    @property
    def _unit(self):
        """The square of half a diagonal."""
        return (self.size[0] ** 2 + self.size[1] ** 2) / 4


def moved_mask(mask: Array, move: Move, fill: int) -> Array:
    """The mask (H, W), of numbers of 32 bits, moved like its picture: in its own dtype, no two numbers mixed."""
    from PIL import Image

    kind = np.uint8 if mask.dtype in (np.uint8, np.bool_) else np.int32  # what Pillow has
    moved = move.image(Image.fromarray(mask.astype(kind)), "nearest", fill)
    return np.asarray(moved).astype(mask.dtype)


def moved_boxes(boxes: Array, move: Move, size: tuple[int, int], new_size: tuple[int, int]) -> tuple[Array, Array]:
    """(boxes float32 (M, 4) of which something is left, bool (N,): which of the old ones these are).

    Three points along each edge: its ends, and the one nearest to the middle of the picture, where a lens moves
    an edge the least or the most.
    """
    low, high = boxes[:, :2].astype(np.float64), boxes[:, 2:].astype(np.float64)
    along = np.stack([low, np.clip(np.array(size) / 2, low, high), high])  # (3, N, 2)
    points = np.stack([np.stack([x[:, 0], y[:, 1]], axis=-1) for x in along for y in along])  # (9, N, 2)
    points = move.points(points).clip(0, new_size)
    low, high = points.min(axis=0), points.max(axis=0)
    kept = (high - low > THINNEST).all(axis=1)
    return np.concatenate([low, high], axis=1)[kept].astype(np.float32), kept


def _filter(interpolation):
    from PIL import Image

    return Image.Resampling[interpolation.upper()]


def _nearest(pixels, x, y, fill):
    """Pixels (H, W[, C]) at the places x and y."""
    height, width = pixels.shape[:2]
    column, row = np.floor(x).astype(np.intp), np.floor(y).astype(np.intp)
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    out = pixels[row.clip(0, height - 1), column.clip(0, width - 1)]
    out[~inside] = fill
    return out


def _bilinear(pixels, x, y, fill):
    """A mean of the four pixels around each place (x, y), weighed by how near they are; beyond the edge is the edge."""
    height, width = pixels.shape[:2]
    outside = (x < 0) | (x >= width) | (y < 0) | (y >= height)
    x, y = x - np.float32(0.5), y - np.float32(0.5)  # counted from the middle of the first pixel
    column, row = np.floor(x), np.floor(y)
    right, down = x - column, y - row  # how far away from the left and the upper ones, in [0, 1)
    if pixels.ndim == 3:
        right, down = right[..., None], down[..., None]
    columns = [(column.astype(np.intp) + i).clip(0, width - 1) for i in (0, 1)]
    rows = [(row.astype(np.intp) + i).clip(0, height - 1) * width for i in (0, 1)]
    flat = pixels.reshape(height * width, *pixels.shape[2:])
    upper, lower = (_between(*(flat.take(r + c, axis=0).astype(np.float32) for c in columns), right) for r in rows)
    out = (_between(upper, lower, down) + np.float32(0.5)).astype(pixels.dtype)  # rounded
    out[outside] = fill
    return out


def _between(first, second, weight):
    """first + (second - first) * weight, in the memory of the two."""
    second -= first
    second *= weight
    first += second
    return first
