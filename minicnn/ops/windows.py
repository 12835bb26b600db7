"""Where the windows of max- and average-pooling lie, and the padding that they see around images."""

from typing import NamedTuple

import numpy as np

from ..types import Array, DTypeLike, Shape, Size
from ..variable import Variable
from .geometry import check_images, output_size, pair, tap


class Windows(NamedTuple):
    """How windows lie on images, each number for (height, width). Kernels take it apart in this order."""

    kernel: tuple[int, int]  # taps
    stride: tuple[int, int]  # pixels from one window to the next
    padding: tuple[tuple[int, int], tuple[int, int]]  # (top, bottom), (left, right)
    dilation: tuple[int, int]  # pixels from one tap to the next
    out_size: tuple[int, int]  # (OH, OW): windows

    @property
    def before(self) -> tuple[int, int]:
        """(top, left) of the padding."""
        (top, _), (left, _) = self.padding
        return top, left

    def taps(self) -> list:
        """What each tap u*KW + v sees, over all windows: the index of ``xpad[..., rows, columns]``."""
        return [tap(u, v, self.out_size, self.stride, self.dilation) for u, v in np.ndindex(*self.kernel)]


def windows_of(
    op: str, x: Variable, kernel_size: Size, stride: Size | None, padding: Size, dilation: Size, ceil_mode: bool
) -> Windows:
    """What an op has been told, as Windows; ValueError or TypeError, by name, where that is nothing for images x."""
    check_images(op, x, min_channels=1)
    kernel = pair(op, "kernel_size", kernel_size, 1)
    steps = kernel if stride is None else pair(op, "stride", stride, 1)  # by default they stand side by side
    taps_apart, (rows, columns) = pair(op, "dilation", dilation, 1), pair(op, "padding", padding, 0)
    if rows > kernel[0] // 2 or columns > kernel[1] // 2:
        raise ValueError(f"{op}: padding must be at most half of kernel_size {kernel}, got {(rows, columns)}")
    sides = (rows, rows), (columns, columns)
    out_size = output_size(op, x.data.shape[2:], kernel, steps, sides, taps_apart, ceil_mode)
    return Windows(kernel, steps, sides, taps_apart, out_size)


def padded(x: Array, windows: Windows, value: float) -> Array:
    """Images x with `value` around them, as far as windows see: x itself where they see nothing else."""
    sides = _sides(x.shape[2:], windows)
    return np.pad(x, ((0, 0), (0, 0), *sides), constant_values=value) if np.any(sides) else x


def padded_zeros(x_shape: Shape, dtype: DTypeLike, windows: Windows) -> Array:
    """Zeros as large as ``padded`` makes images of that shape: where gradients are collected."""
    sides = _sides(x_shape[2:], windows)
    return np.zeros((*x_shape[:2], *(n + sum(s) for n, s in zip(x_shape[2:], sides, strict=True))), dtype)


def unpadded(image: Array, x_shape: Shape, windows: Windows) -> Array:
    """Of padded images, those of shape `x_shape` inside: a view."""
    top, left = windows.before  # how far in the image lies
    return image[:, :, top : top + x_shape[2], left : left + x_shape[3]]


def _sides(size, windows):
    """((top, bottom), (left, right)) that let every window see pixels: with ceil_mode more at the end than `padding`.

    It may be less, too: the last window need not reach the image's end.
    """
    return tuple(
        (before, max(0, (out - 1) * s + d * (k - 1) + 1 - length - before))  # the last window's end, less what there is
        for length, k, s, (before, _), d, out in zip(size, *windows, strict=True)  # five pairs: each for H, then W
    )
