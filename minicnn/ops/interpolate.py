"""Pictures of another size: each output looks at the place of the picture that it comes from.

Shapes    x (N, C, H, W)   ->   y (N, C, OH, OW), each channel by itself
Places    Rows and columns by themselves. Output i comes from the place s(i), pixel h standing at place h:
          nearest                   s = floor(i * scale)
          bilinear                  s = (i + 1/2) * scale - 1/2, 0 where that is negative: pixels are squares, and the
                                    edges of both pictures lie on each other
          bilinear, align_corners   s = i * (H-1) / (OH-1): pixels are points, the corners lie on each other
          scale is H / OH, or 1 / scale_factor where that is given: they differ where OH = floor(H * scale_factor) was
          rounded. Where OH = H, s = i
Forward   y[i,j] = (1-b) * ((1-a) * x[h,w] + a * x[h,w+1]) + b * ((1-a) * x[h+1,w] + a * x[h+1,w+1]) in each channel,
          where h, b are the whole and the remaining part of s(i), and w, a those of s(j). Nearest: a = b = 0
Backward  grad_x[n,c,h,w] = sum over all outputs that looked at the pixel of grad_out times the share above
          s grows with i, so a pixel's outputs are neighbours, from `first` to `end` - 1: each pixel collects from those
          (no two write to one place, and sums have an order). What has a share of 0 is not looked at: 0 * inf is no 0
Saves     nothing but the places and shares of both axes
Mirrors   kernels/cpu/interpolate.py   kernels/numba_cuda/interpolate.py   kernels/cuda/interpolate.cu
Test      tests/ops/test_interpolate.py
Source    Long et al., "Fully convolutional networks for semantic segmentation", CVPR 2015, section 3.3 (bilinear)
"""

from typing import Any

import numpy as np

from ..autograd import Function
from ..device import device_of, to_device
from ..precision import wide_dtype
from ..settings import both, flag, one_of, real
from ..types import Array, Shape, Size
from ..variable import V
from .geometry import check_images, pair

MODES = "nearest", "bilinear"
Axis = tuple[Array, Array, Array, Array]
"""(source (OH,), share (OH,), first (H,), end (H,)): output i is made of (1 - share) of pixel `source` and `share` of
the next one; pixel h is looked at by outputs `first` to `end` - 1. Indices are int32, shares of x's dtype."""


def interpolate(
    input: V,
    size: Size | None = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> V:
    """Pictures (N, C, H, W) of another size, as ``torch.nn.functional.interpolate`` (formulas: top of this file).

    size          (OH, OW), or a number for both; or instead
    scale_factor  by which they grow, (height, width) or a number for both: OH = floor(H * scale_factor)
    mode          "nearest" or "bilinear"; PyTorch's others are refused, and so is antialias
    align_corners of "bilinear" alone. recompute_scale_factor: outputs come from i * H / OH, whatever scale_factor was
    """
    op = "interpolate"
    check_images(op, input)
    shape = input.data.shape
    mode, corners = checked_settings(op, size, scale_factor, mode, align_corners)
    if flag(op, "antialias", antialias):
        raise ValueError(f"{op}: antialias is not built; before pictures are made smaller, F.avg_pool2d smooths them")
    if 0 in shape[2:]:
        raise ValueError(f"{op}: input of shape {shape} has no pixels")
    scales: tuple[Any, Any] = (None, None)
    sizes: Any = size
    if scale_factor is not None:
        scales = scale_factors(op, scale_factor)
        sizes = tuple(int(length * scale) for length, scale in zip(shape[2:], scales, strict=True))
        if 0 in sizes:
            raise ValueError(f"{op}: scale_factor {scale_factor} leaves {sizes} of pictures of {shape[2:]}, no pixels")
    if recompute_scale_factor is not None and flag(op, "recompute_scale_factor", recompute_scale_factor):
        if scales == (None, None):
            raise ValueError(f"{op}: recompute_scale_factor goes with scale_factor, not with size {size}")
        scales = (None, None)
    dtype, device = wide_dtype(input.data.dtype), device_of(input.data)
    axes = [
        tuple(to_device(table, device) for table in axis(*each, mode, corners, dtype))
        for each in zip(shape[2:], pair(op, "size", sizes, 1), scales, strict=True)
    ]
    return Interpolate.apply(input, rows=axes[0], columns=axes[1])


class Interpolate(Function):
    takes_bfloat16 = True

    def forward(self, x, rows, columns):
        self.x_shape, self.rows, self.columns = x.shape, rows, columns
        return self.run(interpolate_forward, x, rows, columns)

    def backward(self, grad_out):
        return self.run(interpolate_backward, grad_out, self.x_shape, self.rows, self.columns)


def interpolate_forward(x: Array, rows: Axis, columns: Axis) -> Array:
    """y (N, C, OH, OW)."""
    wide = _mixed(x, *columns[:2])  # (N, C, H, OW)
    return np.ascontiguousarray(_mixed(wide.swapaxes(2, 3), *rows[:2]).swapaxes(2, 3))


def interpolate_backward(grad_out: Array, x_shape: Shape, rows: Axis, columns: Axis) -> Array:
    """grad_x (N, C, H, W)."""
    wide = _collected(grad_out.swapaxes(2, 3), *rows).swapaxes(2, 3)  # (N, C, H, OW)
    return _collected(wide, *columns)


def axis(size: int, out: int, scale: float | None, mode: str, corners: bool, dtype: Any) -> Axis:
    """The tables of one axis of `size` pixels and `out` outputs; scale: the scale_factor, or None."""
    i = np.arange(out)
    if out == size:  # whatever the scale was
        place = i * 1.0
    elif mode == "nearest" and out == 2 * size:
        place = i // 2 * 1.0
    elif mode == "nearest":  # in float32, as PyTorch: its rounding decides between two pixels
        place = np.floor(i.astype(np.float32) * np.float32(size / out if scale is None else 1 / scale)).astype(float)
    elif corners:
        place = i * ((size - 1) / max(1, out - 1))
    else:
        place = np.maximum((i + 0.5) * (size / out if scale is None else 1 / scale) - 0.5, 0)
    place = np.minimum(place, size - 1)  # of what lies behind the last pixel, that one
    source = np.floor(place).astype(np.int32)
    share = (place - source).astype(dtype)
    pixels = np.arange(size)
    first = np.searchsorted(source + (share > 0), pixels, "left").astype(np.int32)
    return source, share, first, np.searchsorted(source, pixels, "right").astype(np.int32)


def checked_settings(
    owner: str, size: Any, scale_factor: Any, mode: str, align_corners: bool | None
) -> tuple[str, bool]:
    """(mode, whether corners are aligned)."""
    if (size is None) == (scale_factor is None):
        raise ValueError(f"{owner}: give size or scale_factor, one of the two, got {size} and {scale_factor}")
    mode = one_of(owner, "mode", mode, MODES)
    corners = align_corners is not None and flag(owner, "align_corners", align_corners)
    if mode == "nearest" and align_corners is not None:
        raise ValueError(f'{owner}: align_corners goes with mode "bilinear", not with "nearest", got {align_corners}')
    return mode, corners


def scale_factors(owner: str, value: Any) -> tuple[float, float]:
    """A scale_factor as two numbers, of the height and of the width."""
    values = both(tuple(value) if isinstance(value, (list, np.ndarray)) else value)
    if len(values) != 2:
        raise TypeError(f"{owner}: scale_factor must be a number or a pair of them, got {value!r}")
    height, width = (real(owner, "scale_factor", each, above=0) for each in values)
    return height, width


def _mixed(x, source, share):
    """(..., W) to (..., OW): each output is mixed of two pixels, or is one where the other has no share."""
    y = x[..., source]
    mixed = np.flatnonzero(share)
    y[..., mixed] = (1 - share[mixed]) * y[..., mixed] + share[mixed] * x[..., source[mixed] + 1]
    return y


def _collected(grad_out, source, share, first, end):
    """The way back, (..., OW) to (..., W): each pixel's sum over the outputs that looked at it."""
    grad_x = np.zeros((*grad_out.shape[:-1], len(first)), grad_out.dtype)
    for i in range(grad_out.shape[-1]):
        grad_x[..., source[i]] += (1 - share[i]) * grad_out[..., i]
        if share[i] > 0:
            grad_x[..., source[i] + 1] += share[i] * grad_out[..., i]
    return grad_x
