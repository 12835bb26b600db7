"""Launches batchnorm.cu and batchnorm_channels.cu; mirrors minicnn/ops/batchnorm.py."""

import functools
import math

import numpy as np

from minicnn.kernels.arguments import (
    empty_channels_last,
    folded_shape,
    in_place,
    nhwc_view,
    takes_bfloat16,
)

from .arrivals import COUNTERS, arrivals
from .launch import THREADS, CudaFile, address, blocks, contiguous, empty
from .layout import channels_last
from .source import BFLOAT16

cu, of_channels = CudaFile("batchnorm.cu"), CudaFile("batchnorm_channels.cu")
VECTOR = 16  # bytes that a thread reads at once
SUMMED, CHANGED = 32, 8  # how many vectors a thread takes, at most: of a sum, element by element
COLUMNS = 32  # threads side by side along a row of channels-last x, at most
MOST_PARTS = 65535  # of a grid's second axis


@takes_bfloat16
def batch_norm_statistics(x, running, momentum, eps):
    """(mean, inv_std) of the batch, each (C,); `running`, a pair or None, moves towards it, in place."""
    found, x_ = (of_channels_of(x), of_channels_of(x)), _as_it_lies(x)
    with in_place(running) as moving:
        results = *found, *moving, momentum, 1 - momentum, eps
        _launch_sum(cu.batch_norm_statistics, _moments_of(found[0]), x, [x_], [x_], results)
    return found


def batch_norm_running_statistics(running_mean, running_var, eps):
    """(mean, inv_std) for evaluation, each (C,); the mean is a copy."""
    channels = running_mean.size
    mean, inv_std = empty(running_mean, (channels,)), empty(running_mean, (channels,))
    arguments = running_mean, running_var, mean, inv_std, eps, channels
    of_channels.batch_norm_running_statistics[blocks(channels), THREADS](*arguments)
    return mean, inv_std


@takes_bfloat16
def batch_norm_forward(x, weight, bias, mean, inv_std):
    """y = weight * (x - mean) * inv_std + bias."""
    return _forward(x, weight, bias, mean, inv_std, None, False)


@takes_bfloat16
def batch_norm_grad_weight_bias(grad_out, x, mean, inv_std):
    """(grad_weight, grad_bias), each (C,): the sums of grad_out * x_hat and of grad_out."""
    return _sums(grad_out, x, None, (None, None), (mean, inv_std), None, False)


@takes_bfloat16
def batch_norm_grad_x(grad_out, x, weight, mean, inv_std, sums):
    """grad_x; `sums` is (grad_weight, grad_bias) in training, None in evaluation."""
    return _grad_x(grad_out, x, (weight, None), (mean, inv_std), sums, False)


@takes_bfloat16
def batch_norm_relu_forward(x, weight, bias, mean, inv_std, residual):
    """y = max(weight * (x - mean) * inv_std + bias + residual, 0); residual: an array like x, or None."""
    return _forward(x, weight, bias, mean, inv_std, residual, True)


@takes_bfloat16
def batch_norm_relu_backward(grad_out, x, y, weight, bias, statistics, training, residual):
    """(grad_x, grad_weight, grad_bias, grad_residual) of the above, in two launches.

    With a residual the first one reads y, and leaves the gradient behind the ReLU; else both work out y's sign again.
    """
    affine, behind = (weight, bias), _like(x) if residual else None
    sums = _sums(grad_out, x, y if residual else None, affine, statistics, behind, True)
    again = (grad_out, True) if behind is None else (behind, False)  # whether there is a ReLU still
    grad_x = _grad_x(again[0], x, affine, statistics, sums if training else None, again[1])
    return grad_x, *sums, behind


def of_channels_of(x, *rows):
    """An array (C,), or (rows, C), for what is known of x's channels."""
    return empty(x, (*rows, x.shape[1]), np.float32 if x.dtype == BFLOAT16 else x.dtype)


def moments(x):
    """(3, C): how many values the channels have, their means, their biased variances; zeros for an empty batch."""
    found = of_channels_of(x, 3)
    x_ = _as_it_lies(x)
    _launch_sum(cu.batch_norm_moments, _moments_of(found), x, [x_], [x_], [found])
    return found


def _moments_of(statistics):
    """How many numbers of the statistics' dtype three of float64 take: a part's count, mean and squares."""
    return 3 * 8 // statistics.itemsize


def _forward(x, weight, bias, mean, inv_std, residual, relu):
    y = _like(x)
    large = x_, residual, y_ = _as_it_lies(x), _as_it_lies(residual), _as_it_lies(y)
    grid, places = _places(x, large, CHANGED)
    cu.batch_norm_forward[grid, THREADS](x_, weight, bias, mean, inv_std, residual, y_, relu, *places)
    return y


def _sums(grad_out, x, y, affine, statistics, behind, relu):
    sums = of_channels_of(x), of_channels_of(x)
    large = [_as_it_lies(array) for array in (grad_out, x, y, behind)]
    kernel = cu.batch_norm_grad_weight_bias
    _launch_sum(kernel, 2, x, large, [*large[:3], *affine, *statistics, large[3]], [*sums, relu])
    return sums


def _grad_x(grad_out, x, affine, statistics, sums, relu):
    grad_x = _like(x)
    large = grad_out, x_, y_ = _as_it_lies(grad_out), _as_it_lies(x), _as_it_lies(grad_x)
    grid, places = _places(x, large, CHANGED)
    arguments = grad_out, x_, *affine, *statistics, *(sums or (None, None)), y_, relu
    cu.batch_norm_grad_x[grid, THREADS](*arguments, *places)
    return grad_x


def _launch_sum(kernel, numbers, x, large, arguments, results):
    """A kernel that sums: between its other arguments it takes room for the parts, of so many numbers each, and
    counters of blocks."""
    (groups, parts), places = _places(x, large, SUMMED)
    parts = max(1, parts)  # an empty batch has a sum, too: 0
    rows, vectors = places[-2:]
    room = 0 if parts == 1 else groups * parts * numbers * places[4] * (VECTOR // x.itemsize if rows and vectors else 1)
    between = of_channels_of(x)[:0] if not room else empty(x, (room,), results[0].dtype)
    kernel[(groups, parts), THREADS](*arguments, between, arrivals(x, groups if parts > 1 else 1), *results, *places)


def _as_it_lies(array):
    """An array as a kernel takes it, without gaps: images of bfloat16 as (N, H, W, C), all others in C order."""
    if array is None or array.dtype != BFLOAT16 or array.ndim != 4:
        return contiguous(array)
    return nhwc_view(channels_last(array))


def _like(x):
    return empty_channels_last(x, x.shape) if x.dtype == BFLOAT16 else empty(x, x.shape)


def _places(x, large, most):
    """(grid, the arguments PLACES) for arrays like x that a kernel reads or writes, `most` vectors in each thread."""
    aligned = all(array is None or address(array) % VECTOR == 0 for array in large)
    return _plan(x.shape, x.itemsize, x.dtype == BFLOAT16, aligned, most)


@functools.lru_cache(1024)
def _plan(shape, itemsize, is_bfloat16, aligned, most):
    n, channels, inner = folded_shape(shape, 3)
    count = n * inner
    if max(count, n * channels) >= 2**31:
        raise ValueError(f"batch_norm: {shape} are too many images for one call; take fewer at a time")
    rows = inner == 1 or (is_bfloat16 and len(shape) == 4)  # channels-last; or each channel has one number in an image
    side = channels if rows else inner
    vectors = aligned and side * itemsize % VECTOR == 0
    width = VECTOR // itemsize if vectors else 1
    columns = min(COLUMNS, 1 << (side // width - 1).bit_length()) if rows else 1
    groups = math.ceil(channels / (columns * width)) if rows else channels
    step = THREADS // columns * (1 if rows else width)  # how many of a channel's numbers a block takes at a time
    parts = min(math.ceil(count / (step * most)), MOST_PARTS if groups <= COUNTERS else 1)
    each = step * math.ceil(count / (step * max(1, parts)))
    return (groups, parts), (channels, count, max(1, inner), each, columns, rows, vectors)
