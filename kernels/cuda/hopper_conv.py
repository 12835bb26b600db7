"""Launches hopper_conv.cu: convolutions of bfloat16 images by wgmma and TMA; hopper.py says for whom.

Each group is a convolution of its own, of a copy of its channels. grad_x is one, too, whose windows slide over
grad_out: at stride 1 that is all. At stride 2 other taps see the pixels of odd rows than those of even ones, and so it
is with columns: each such phase is a convolution at stride 1, by some of the taps. What TMA cannot (strides above 8,
windows of which the first, or the last, begins more than 128 pixels from the image's corner) is a KernelError.
"""

import math
from typing import NamedTuple

from minicnn.kernels.arguments import check_positions, empty_channels_last, nchw_view, nhwc_view
from minicnn.ops.geometry import output_size
from minicnn.precision import BFLOAT16

from .cast import cast_forward
from .hopper import DEPTH, SHARED, SHORTEST, THREADS, TILE, check_gpu, filled_up, tiles_of, whole
from .launch import CudaFile, contiguous, empty
from .layout import channels_last
from .split import add_up, cut
from .tensor_map import of_boxes, of_windows

cu = CudaFile("hopper_conv.cu")


class Windows(NamedTuple):
    """Where windows lie in images; each is (of rows, of columns)."""

    counts: tuple  # how many there are
    taps: tuple
    steps: tuple  # from one to the next
    first: tuple  # where the first one begins: minus the padding
    apart: tuple  # from a tap to the next

    def map(self, images, positions):
        """The tensor map by which a tap's pixels of so many positions are brought."""
        axes = zip(self.first, self.counts, self.steps, images.shape[1:3], strict=True)
        last = tuple(first + (count - 1) * step - (size - 1) for first, count, step, size in axes)
        extent = max(a * (t - 1) for a, t in zip(self.apart, self.taps, strict=True))
        return of_windows(images, self.first, last, self.steps, positions, extent)

    def numbers(self):
        """WINDOWS of hopper_conv.cu."""
        return self.taps[1], math.prod(self.counts), self.counts[1], *self.steps, *self.first, *self.apart


def conv2d_forward(x, weight, bias, stride, padding, dilation, groups):
    """As conv.conv2d_forward: x and y are bfloat16, channels-last in memory, weight and bias float32."""
    check_gpu(x)
    out_size = output_size("conv2d", x.shape[2:], weight.shape[2:], stride, padding, dilation)
    y_shape = len(x), len(weight), *out_size
    check_positions(x.shape, y_shape)
    images, parts = nhwc_view(channels_last(x)), []
    windows = Windows(out_size, weight.shape[2:], stride, tuple(-before for before, _ in padding), dilation)
    for of_x, of_y in _groups(groups, x.shape[1], len(weight)):
        own = None if bias is None else bias[of_y]
        parts.append(((..., of_y), _convolved(_channels(images, of_x), weight[of_y], own, windows)))
    return _put_together(x, y_shape, parts)


def conv2d_grad_x(grad_out, x_shape, weight, stride, padding, dilation, groups):
    """As conv.conv2d_grad_x: grad_out and grad_x are bfloat16, weight is float32."""
    check_gpu(grad_out)
    check_positions(x_shape, grad_out.shape)
    gradients, before, parts = nhwc_view(channels_last(grad_out)), [before for before, _ in padding], []
    for of_x, of_y in _groups(groups, x_shape[1], len(weight)):
        of_group = _channels(gradients, of_y)
        for phase in [(h, w) for h in range(stride[0]) for w in range(stride[1])]:
            index = slice(None), *(slice(p, None, s) for p, s in zip(phase, stride, strict=True)), of_x
            axes = zip(phase, x_shape[2:], weight.shape[2:], stride, before, dilation, strict=True)
            (rows, *of_rows), (columns, *of_columns) = (_taps(*axis) for axis in axes)
            filters = weight[of_y, :, rows, columns].swapaxes(0, 1)  # (CG, OG, taps of rows, of columns)
            counts, first, apart = zip(of_rows, of_columns, strict=True)
            windows = Windows(counts, filters.shape[2:], (1, 1), first, apart)
            parts.append((index, _convolved(of_group, filters, None, windows)))
    return _put_together(grad_out, x_shape, parts)


def conv2d_grad_weight(grad_out, x, weight_shape, stride, padding, dilation, groups):
    """As conv.conv2d_grad_weight: grad_out and x are bfloat16, grad_weight is float32."""
    check_gpu(x)
    check_positions(x.shape, grad_out.shape)
    grad_weight = empty(x, weight_shape, "float32")
    images, gradients = nhwc_view(channels_last(x)), nhwc_view(channels_last(grad_out))
    counts, taps = grad_out.shape[2:], weight_shape[2:]
    windows = Windows(counts, taps, stride, tuple(-before for before, _ in padding), dilation)
    for of_x, of_y in _groups(groups, x.shape[1], weight_shape[0]):
        sums = _summed(_channels(gradients, of_y), _channels(images, of_x), windows)  # (OG, KH * KW, channels)
        of_group = sums[: weight_shape[0] // groups, :, : weight_shape[1]].swapaxes(1, 2)
        grad_weight[of_y] = of_group.reshape(-1, *weight_shape[1:])
    return grad_weight


def _groups(groups, *channels):
    """For each group, its slices of so many channels."""
    for group in range(groups):
        yield [slice(group * count // groups, (group + 1) * count // groups) for count in channels]


def _channels(images, part):
    """Those channels of images (N, H, W, C), and zeros up to a multiple of 8."""
    return filled_up(images[..., part])


def _taps(phase, size, count, stride, padding, dilation):
    """Of one axis: which of so many taps see the pixels `phase`, `phase` + stride, ..., the last one first; how many
    such pixels there are; where in grad_out the window of the first one begins; how far apart its taps are."""
    seeing = [u for u in range(count) if (phase + padding - u * dilation) % stride == 0]
    pixels = len(range(phase, size, stride))
    if not seeing:
        return slice(0, 0), pixels, 0, 1
    step = stride // math.gcd(stride, dilation)  # from one of them to the next
    taps = slice(seeing[-1], seeing[0] - 1 if seeing[0] else None, -step)
    return taps, pixels, (phase + padding - seeing[-1] * dilation) // stride, step * dilation // stride


def _convolved(images, weight, bias, windows):
    """(N, *counts, OC) = the windows of images (N, H, W, C and zeros) @ weight (OC, C, *taps) + bias, or None where
    there is no window or no tap."""
    (filters, channels), positions = weight.shape[:2], len(images) * math.prod(windows.counts)
    if not positions or not weight.size:
        return None
    packed = nhwc_view(cast_forward(contiguous(weight), BFLOAT16)).reshape(filters, -1, channels)
    packed = filled_up(packed)
    y = empty(images, (positions, whole(filters)))
    maps = windows.map(images, TILE), of_boxes(packed, (TILE, 1, DEPTH)), of_boxes(y, (TILE, DEPTH))
    sizes = filters, channels, math.prod(windows.taps) * math.ceil(channels / DEPTH)
    bias = None if bias is None else contiguous(bias)
    launch = cu.conv2d_hopper[tiles_of(positions, filters), THREADS]
    launch(*maps, bias, *sizes, *windows.numbers(), shared=SHARED, reaches=(images, packed, y))
    return y.reshape(len(images), *windows.counts, -1)[..., :filters]


def _put_together(like, shape, parts):
    """The images (N, C, H, W), channels-last in memory, of [(index, what is there in (N, H, W, C), or None: zeros)]."""
    if len(parts) == 1 and parts[0][1] is not None:
        return nchw_view(contiguous(parts[0][1]))
    images = empty_channels_last(like, shape)
    for index, part in parts:
        nhwc_view(images)[index] = 0 if part is None else part
    return images


def _summed(gradients, images, windows):
    """(OC and zeros, taps, C and more) = gradients (N, *counts, OC and zeros)^T @ the windows of images."""
    filters, taps, blocks = gradients.shape[-1], math.prod(windows.taps), math.ceil(images.shape[-1] / DEPTH)
    positions = len(images) * math.prod(windows.counts)
    tiles = math.ceil(filters / TILE) * math.ceil(taps * blocks / 2)
    splits, length = cut(positions, tiles, SHORTEST, DEPTH)
    sums = empty(images, (splits, filters, taps, blocks * DEPTH), "float32")
    if not positions:
        sums[...] = 0
        return sums[0]
    gradients = gradients.reshape(positions, filters)
    maps = of_boxes(gradients, (DEPTH, DEPTH)), windows.map(images, DEPTH)
    sizes = filters, taps * blocks, positions, length // DEPTH, blocks
    launch = cu.conv2d_hopper_sums[(tiles, splits), THREADS]
    launch(*maps, sums, *sizes, *windows.numbers(), shared=SHARED, reaches=(gradients, images))
    return add_up(sums)
