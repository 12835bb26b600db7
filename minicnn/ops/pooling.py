"""What max- and average-pooling share: their arguments looked at, and padding put around images and taken off."""

import numpy as np

from .geometry import check_images, output_size, pair


def pool_geometry(op, x, kernel_size, stride, padding, dilation, ceil_mode):
    check_images(op, x, min_channels=1)
    kernel = pair(op, "kernel_size", kernel_size, 1)
    stride = kernel if stride is None else pair(op, "stride", stride, 1)
    dilation, padding = pair(op, "dilation", dilation, 1), pair(op, "padding", padding, 0)
    if any(p > k // 2 for p, k in zip(padding, kernel, strict=True)):
        raise ValueError(f"{op}: padding must be at most half of kernel_size {kernel}, got {padding}")
    padding = tuple((p, p) for p in padding)
    out_size = output_size(op, x.data.shape[2:], kernel, stride, padding, dilation, ceil_mode)
    return {"kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation, "out_size": out_size}


def padded(x, kernel, stride, padding, dilation, out_size, value):
    sides = _sides(x.shape[2:], kernel, stride, padding, dilation, out_size)
    return np.pad(x, ((0, 0), (0, 0), *sides), constant_values=value) if np.any(sides) else x


def padded_zeros(x_shape, dtype, kernel, stride, padding, dilation, out_size):
    sides = _sides(x_shape[2:], kernel, stride, padding, dilation, out_size)
    return np.zeros((*x_shape[:2], *(n + sum(s) for n, s in zip(x_shape[2:], sides, strict=True))), dtype)


def unpadded(image, x_shape, padding):
    (top, _), (left, _) = padding
    return image[:, :, top : top + x_shape[2], left : left + x_shape[3]]


def _sides(size, kernel, stride, padding, dilation, out_size):
    """The padding ((top, bottom), (left, right)) that lets every window see pixels (ceil_mode: more at the end)."""
    return tuple(
        (before, max(0, (out - 1) * s + d * (k - 1) + 1 - length - before))
        for length, k, s, (before, _), d, out in zip(size, kernel, stride, padding, dilation, out_size, strict=True)
    )
