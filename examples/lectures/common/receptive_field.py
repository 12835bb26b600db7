"""Receptive fields: the square of pixels that a unit of a feature map can see, computed and measured.

For layers in a chain, with kernel k, stride s, padding p: the field grows by (k - 1) * step pixels, where step is the
number of pixels from one unit to the next, then the step becomes s times larger (Araujo et al., "Computing receptive
fields of convolutional neural networks", 2019). What is measured is where the gradient of a unit is not 0. The middle
of the square is the unit's place in the picture: minicnn/models/grid.py works out that alone, and for branches, too.
"""

from typing import Any, NamedTuple

import numpy as np

import minicnn
from minicnn import nn

WINDOWED = nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d
POINTWISE = nn.ReLU, nn.BatchNorm2d, nn.LocalResponseNorm, nn.Identity


class Field(NamedTuple):
    """Unit i of a layer sees `size` pixels, from pixel `first + i * step` on: along rows, and along columns alike."""

    size: int
    step: int
    first: int

    def slices(self, row: int, column: int) -> tuple[slice, slice]:
        """The pixels that the unit (row, column) sees; they may lie outside the picture."""
        top, left = self.first + row * self.step, self.first + column * self.step
        return slice(top, top + self.size), slice(left, left + self.size)


def computed(net: nn.Module, x: minicnn.Tensor) -> dict[str, Field]:
    """The field of each layer through which `x` passes, by name, up to the first one that is neither a convolution, nor
    a pooling, nor works on each position alone. The layers must form a chain, with square windows."""
    fields: dict[str, Field] = {}
    field, is_over = Field(1, 1, 0), False

    def look(name, layer, x, y):
        nonlocal field, is_over
        is_over = is_over or not isinstance(layer, WINDOWED + POINTWISE)
        if is_over:
            return
        if isinstance(layer, WINDOWED):
            kernel, stride, padding = (_side(layer, name) for name in ("kernel_size", "stride", "padding"))
            field = Field(
                field.size + (kernel - 1) * field.step, field.step * stride, field.first - padding * field.step
            )
        fields[name] = field

    with minicnn.no_grad(), nn.watch(net, look):
        net(x)
    return fields


def seen(net: nn.Module, name: str, images: np.ndarray, seed: int = 0) -> tuple[np.ndarray, tuple[int, int]]:
    """How much each pixel moves the unit in the middle of the layer `name` -> ((H, W), that unit's row and column).

    images float32 (N, C, H, W). The gradient of a random sum over the layer's channels, as the sum of its absolute
    values over the images: a max-pool passes it to one pixel alone, which is another one in each image.
    """
    x = minicnn.tensor(images, requires_grad=True)
    with minicnn.tier("plain"):  # Winograd's convolutions leave dust of 1e-8 where a gradient is 0
        y = nn.output_of(net.eval(), name, x)
        row, column = y.shape[2] // 2, y.shape[3] // 2
        upstream = np.zeros(y.shape, np.float32)
        upstream[:, :, row, column] = np.random.default_rng(seed).standard_normal(y.shape[:2])
        y.backward(minicnn.Tensor(upstream))
    net.zero_grad()
    return np.abs(x.grad.numpy()).sum(axis=(0, 1)), (row, column)


def extent(gradient: np.ndarray) -> int:
    """The side of the smallest square that holds all pixels whose gradient is not 0."""
    rows, columns = np.nonzero(gradient)
    return int(max(np.ptp(rows), np.ptp(columns))) + 1


def side_of_share(gradient: np.ndarray, field: Field, unit: tuple[int, int], share: float) -> int:
    """The side of the smallest square in the middle of the unit's field that holds `share` of the gradient."""
    rows, columns = field.slices(*unit)
    inside = gradient[rows, columns]
    for margin in range(field.size // 2, -1, -1):
        cut = slice(margin, field.size - margin)
        if inside[cut, cut].sum() >= share * gradient.sum():
            return field.size - 2 * margin
    raise ValueError(f"less than {share:.0%} of the gradient lies within the field of {field.size} pixels")


def by_layer(net: nn.Module, layers: dict[str, str], images: np.ndarray, share: float) -> dict[str, list[int]]:
    """{name: [side of the field as computed, as measured, of its middle that holds `share` of the gradient]}.

    layers: {name: name in the net}; images float32 (N, C, H, W), larger than the fields.
    """
    fields, result = computed(net, minicnn.Tensor(images[:1])), {}
    for name, layer in layers.items():
        gradient, unit = seen(net, layer, images)
        result[name] = [fields[layer].size, extent(gradient), side_of_share(gradient, fields[layer], unit, share)]
    return result


def _side(layer: Any, name: str) -> int:
    value = getattr(layer, name)
    sides = {value} if isinstance(value, int) else set(value)
    if len(sides) > 1 or getattr(layer, "dilation", 1) not in (1, (1, 1)):
        raise ValueError(f"receptive fields are computed for square windows without dilation, not for {layer}")
    return sides.pop()
