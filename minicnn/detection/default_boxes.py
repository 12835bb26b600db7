"""Default boxes: at every position of every feature map a few boxes, fixed once for all, that the network looks at.

    finer map, 4 x 4              coarser map, 2 x 2         A detector says of each default box which class is in it,
    ┌───┬───┬───┬───┐             ┌───────┬───────┐          and how the object's box differs from it. Fine maps have
    │ · │ · │ · │ · │             │       │       │          many positions and small boxes, coarse ones few and large
    ├───┼───┼───┼───┤             │   ·   │   ·   │          ones: small objects and large ones are found in one pass.
    │ · │ · │ · │ · │             │       │       │
    ├───┼───┼───┼───┤             ├───────┼───────┤
    │ · │ · │ · │ · │             │       │       │
    ├───┼───┼───┼───┤             │   ·   │   ·   │
    │ · │ · │ · │ · │             │       │       │
    └───┴───┴───┴───┘             └───────┴───────┘

Of the map k = 1 ... m the boxes have the *scale* s_k, a fraction of the picture's side:

    s_k = smallest + (largest - smallest) * (k - 1) / (m - 1)                 paper: 0.2 to 0.9
    w = s_k * sqrt(a), h = s_k / sqrt(a)                    for the aspect ratios a = 1, 2, 1/2, and on some maps 3, 1/3
    w = h = sqrt(s_k * s_{k+1})                                               and one larger square

Boxes at the edge reach beyond the picture; they are not clipped, as in the code of the paper's authors.

Source    Liu et al., ECCV 2016, section 2.2
"""

from collections.abc import Sequence

import numpy as np

from ..types import Array
from .boxes import to_corners


def box_scales(maps: int, smallest: float = 0.2, largest: float = 0.9) -> list[float]:
    """The scales of that many feature maps, and behind them one more, s_{m+1}, on the same line."""
    if maps < 1 or not 0 < smallest < largest:
        raise ValueError(f"box_scales: needs a map and 0 < smallest < largest, got {maps}, {smallest} and {largest}")
    step = (largest - smallest) / max(maps - 1, 1)
    return [smallest + step * k for k in range(maps + 1)]


def boxes_per_position(aspect_ratios: Sequence[float]) -> int:
    """Two squares, and a wide and a tall box for each ratio beside 1."""
    return 2 + 2 * len(aspect_ratios)


def default_boxes(
    map_sizes: Sequence[tuple[int, int]],
    scales: Sequence[float],
    aspect_ratios: Sequence[Sequence[float]],
    size: tuple[int, int],
) -> Array:
    """float32 (D, 4), corners in pixels: map by map, row by row, at each position the two squares, then wide and tall.

    map_sizes      (H, W) of each feature map
    scales         one for each map, and one more; see ``box_scales``
    aspect_ratios  those of each map beside 1, such as [2, 3]; each stands for its inverse, too
    size           the picture's (W, H)
    ValueError if the three do not fit together.
    """
    counts = len(map_sizes), len(scales), len(aspect_ratios)
    if counts[1] != counts[0] + 1 or counts[2] != counts[0]:
        got = f"got {counts[0]} maps, {counts[1]} scales and {counts[2]} lists of ratios"
        raise ValueError(f"default_boxes: each map has a list of aspect ratios and a scale, and one scale more; {got}")
    if not all(scale > 0 for scale in scales) or not all(ratio > 0 for ratios in aspect_ratios for ratio in ratios):
        raise ValueError(f"default_boxes: scales {scales} and aspect ratios {aspect_ratios} must be above 0")
    parts = []
    for (rows, columns), scale, following, ratios in zip(map_sizes, scales, scales[1:], aspect_ratios, strict=False):
        shapes = _shapes(scale, following, ratios)  # (K, 2)
        y, x = np.meshgrid((np.arange(rows) + 0.5) / rows, (np.arange(columns) + 0.5) / columns, indexing="ij")
        middles = np.stack([x, y], axis=-1).reshape(-1, 1, 2)  # (H*W, 1, 2), of the positions
        boxes = np.empty((rows * columns, len(shapes), 4))
        boxes[..., :2], boxes[..., 2:] = middles, shapes
        parts.append(boxes.reshape(-1, 4))
    return (to_corners(np.concatenate(parts)) * np.array([*size, *size])).astype(np.float32)


def _shapes(scale, following, ratios):
    """Widths and heights (K, 2) at a position, as fractions of the picture."""
    larger = np.sqrt(scale * following)
    shapes = [(scale, scale), (larger, larger)]
    for ratio in ratios:
        wide, narrow = scale * np.sqrt(ratio), scale / np.sqrt(ratio)
        shapes += [(wide, narrow), (narrow, wide)]
    return np.array(shapes)
