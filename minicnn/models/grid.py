"""Where the positions of a feature map lie in the picture.

Position i of a map belongs to pixel offset + i * stride: the middle of the window of pixels that it sees. A layer with
a window of K positions, `step` apart from window to window, changes both, and whoever puts a coarse map over a fine one
has to know it:

    stride = stride * step        offset = offset + stride * ((K - 1) / 2 * dilation - padding)

              offset and stride of the maps at stride 2, 4, 8, 16, 32
    VGG       0.5 + 2 i   1.5 + 4 i   3.5 + 8 i   7.5 + 16 i   15.5 + 32 i      pooling of 2 x 2: between two pixels
    ResNet    0 + 2 i     0 + 4 i     0 + 8 i     0 + 16 i     0 + 32 i         odd windows, padded on both sides
    AlexNet               3 + 4 i     7 + 8 i     15 + 16 i    31 + 32 i        windows that are not padded
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .. import nn
from ..nn.evaluating import evaluating
from ..settings import both
from ..tensor import Tensor

SIDE = 128  # pixels of the pictures that are tried: a map at stride 32 has 4 positions


class Grid(NamedTuple):
    """Position i lies at pixel offset + i * stride, in both directions."""

    stride: int
    offset: float


class Map(NamedTuple):
    """What a layer gives out: where its positions lie, and how many channels it has."""

    grid: Grid
    channels: int


def maps_of(layers: Sequence[nn.Module]) -> list[Map]:
    """The feature map behind each of the layers, through which a picture runs one after the other.

    Found by running no pictures through them, which costs nothing and tells all shapes. Convolutions and pooling are
    looked at wherever they stand, in the branches of a block too: what has the same size lies on the same grid.
    ValueError where it does not, and for windows that move rows otherwise than columns.
    """
    trunk = nn.Sequential(*layers)
    first = next(layer for layer in trunk.modules() if isinstance(layer, nn.Conv2d))
    x = Tensor(np.zeros((0, first.in_channels, SIDE, SIDE), first.weight.dtype)).to(first.weight.device)
    grids, maps = {SIDE: Grid(1, 0.0)}, []  # by the height of a map

    def look(name, layer, x, y):
        if isinstance(layer, (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)):
            grid = _behind(layer, grids[x.shape[2]])
            if grids.setdefault(y.shape[2], grid) != grid:
                what = f"maps that are {y.shape[2]} high lie on two grids, {grids[y.shape[2]]} and {grid}"
                raise ValueError(f"{type(layer).__name__} {name}: {what}; a window that keeps the size must be odd")

    with evaluating(trunk), nn.watch(trunk, look):
        for layer in trunk:
            x = layer(x)
            maps.append(Map(grids[x.shape[2]], x.shape[1]))
    return maps


def _behind(layer: Any, grid: Grid) -> Grid:
    """The grid of what the layer makes of a map that lies on `grid`."""
    kernel, step, padding = both(layer.kernel_size), both(layer.stride), layer.padding
    dilation = both(getattr(layer, "dilation", 1))
    if isinstance(padding, str):  # "valid", or "same", which has an even window's larger half behind
        padding = tuple(d * (k - 1) // 2 if padding == "same" else 0 for k, d in zip(kernel, dilation, strict=True))
    rows, columns = (
        Grid(grid.stride * s, grid.offset + grid.stride * ((k - 1) / 2 * d - p))
        for k, s, d, p in zip(kernel, step, dilation, both(padding), strict=True)
    )
    if rows != columns:
        raise ValueError(f"{layer}: its rows would lie at {rows}, its columns at {columns}; both must be alike")
    return rows
