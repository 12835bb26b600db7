"""Batch normalisation of x (N, C, inner); mirrors minicnn/ops/batchnorm.py. The sum with a residual and
the ReLU behind it are done on the way forward; in CUDA C++, on the way back, too.

Threads   thread block (c, part) has a part of channel c: THREADS numbers side by side, and then those that lie
          gridDim.y * THREADS further on
Memory    neighbouring threads have neighbouring numbers, but for those at the end of a plane; x is read once in each
          kernel. A place is found by additions (`step`): to divide for each number would take longer than to read it
Shared    of a sum, one number for each thread: see block_sum, whose barriers every thread reaches, with numbers or not
Launch    grid (C, parts), block THREADS; then, of a sum, one thread for each channel, which merges the parts
Order     fixed, so that results repeat bit for bit: no atomics
Bound by  memory: 1 to 3 reads and at most 1 write a number, for 3 to 10 operations

Statistics in one pass: a block adds up the distances d from its first number, and d^2. So it knows the mean and the
squared distances from it, and parts are merged (Chan, Golub and LeVeque; minicnn/ops/sync_batchnorm.py). A large mean
costs no digits, as it would in E[x^2] - E[x]^2: what is added up are distances, from a number or from a mean.
"""

import math

import numpy as np

from minicnn.kernels.arguments import in_place

from .activation import relu_backward
from .launch import (
    SIMULATED,
    THREADS,
    T,
    blocks,
    bool_,
    contiguous,
    cuda,
    device,
    empty,
    folded,
    int64,
    kernel,
    optional,
    sqrt,
)
from .reduction import add, block_sum

T3, Affine, Some = T[:, :, :], optional(T[:]), optional(T[:, :, :])  # (N, C, inner); (C,), or None; like x, or None
MOST = 2 if SIMULATED else 32  # numbers of a thread


def batch_norm_statistics(x, running, momentum, eps):
    """(mean, inv_std) of the batch, each (C,); `running`, a pair or None, moves towards it, in place."""
    return finished(moments(x)[None], 0, running, momentum, eps)[:2]


def batch_norm_running_statistics(running_mean, running_var, eps):
    """(mean, inv_std) for evaluation, each (C,); the mean is a copy."""
    mean, inv_std = (empty(running_mean, running_mean.shape) for _ in range(2))
    arrays = contiguous(running_mean), contiguous(running_var), mean, inv_std
    batch_norm_running_statistics_kernel[blocks(mean.size), THREADS](*arrays, eps)
    return mean, inv_std


def batch_norm_forward(x, weight, bias, mean, inv_std):
    """y = weight * (x - mean) * inv_std + bias."""
    return _forward(x, weight, bias, mean, inv_std, None, False)


def batch_norm_grad_weight_bias(grad_out, x, mean, inv_std):
    """(grad_weight, grad_bias), each (C,): the sums of grad_out * x_hat and of grad_out."""
    grid, inv_std = _grid(x), contiguous(inv_std)
    parts = empty(x, (2, *reversed(grid)))
    batch_norm_sums_kernel[grid, THREADS](folded(grad_out, 3), folded(x, 3), contiguous(mean), parts)
    sums = empty(x, inv_std.shape), empty(x, inv_std.shape)
    batch_norm_grad_weight_bias_kernel[blocks(inv_std.size), THREADS](parts, inv_std, *sums)
    return sums


def batch_norm_grad_x(grad_out, x, weight, mean, inv_std, sums):
    """grad_x; `sums` is (grad_weight, grad_bias) in training, None in evaluation."""
    grad_x = empty(x, x.shape)
    per_channel = map(contiguous, (weight, mean, inv_std, *(sums or (None, None))))
    batch_norm_grad_x_kernel[_grid(x), THREADS](folded(grad_out, 3), folded(x, 3), *per_channel, folded(grad_x, 3))
    return grad_x


def batch_norm_relu_forward(x, weight, bias, mean, inv_std, residual):
    """y = max(weight * (x - mean) * inv_std + bias + residual, 0); residual: an array like x, or None."""
    return _forward(x, weight, bias, mean, inv_std, residual, True)


def batch_norm_relu_backward(grad_out, x, y, weight, bias, statistics, training, residual):
    """(grad_x, grad_weight, grad_bias, grad_residual) of the above: the ReLU's backward, then batch norm's."""
    behind = relu_backward(grad_out, y)
    sums = batch_norm_grad_weight_bias(behind, x, *statistics)
    grad_x = batch_norm_grad_x(behind, x, weight, *statistics, sums if training else None)
    return grad_x, *sums, behind if residual else None


def moments(x):
    """(3, C): how many numbers the channels have, their means, their biased variances; zeros for an empty batch."""
    x = folded(x, 3)
    grid = _grid(x)
    parts, found = empty(x, (4, *reversed(grid))), empty(x, (3, x.shape[1]))
    batch_norm_parts_kernel[grid, THREADS](x, parts)
    batch_norm_moments_kernel[blocks(x.shape[1]), THREADS](parts, x.size // x.shape[1], found)
    return found


def finished(sets, own, running, momentum, eps):
    """(mean, inv_std, n/M), each (C,), of all sets (ranks, 3, C) together; n, this rank's count, is `own`."""
    found = empty(sets, sets.shape[1:])
    with in_place(running) as moving:
        launch = batch_norm_finish_kernel[blocks(sets.shape[2]), THREADS]
        launch(contiguous(sets), found, *moving, momentum, eps, own)
    return tuple(found)


def _forward(x, weight, bias, mean, inv_std, residual, relu):
    y = empty(x, x.shape)
    per_channel = map(contiguous, (weight, bias, mean, inv_std))
    batch_norm_forward_kernel[_grid(x), THREADS](folded(x, 3), *per_channel, folded(residual, 3), folded(y, 3), relu)
    return y


def _grid(x):
    """(C, parts of a channel)."""
    return x.shape[1], min(math.ceil(x.size / x.shape[1] / (THREADS * MOST)), 65535)


@device
def step(n, i, images, places, inner):
    """The place (image, number in it) so many images and places after (n, i), in planes of `inner` numbers."""
    n, i = n + images, i + places
    return (n + 1, i - inner) if i >= inner else (n, i)


@kernel
def batch_norm_parts_kernel(x: T3, parts: T3):
    """Of each part of a channel, parts (4, parts, C): how many numbers, one of them, the distance of their mean from
    it, and the sum of their squared distances from that mean."""
    N, _, inner = x.shape
    real = x.dtype.type
    partial = cuda.shared.array(THREADS, x.dtype)
    c, part, stride = cuda.blockIdx.x, cuda.blockIdx.y, cuda.gridDim.y * THREADS
    pivot = x[part * THREADS // inner, c, part * THREADS % inner]
    total, squares, lost, lost_squares, seen = real(0), real(0), real(0), real(0), 0
    m = part * THREADS + cuda.threadIdx.x  # [0, N * inner)
    n, i, images, places = m // inner, m % inner, stride // inner, stride % inner
    for _ in range(m, N * inner, stride):
        d = x[n, c, i] - pivot
        total, lost = add(total, lost, d)
        squares, lost_squares = add(squares, lost_squares, d * d)
        seen += 1
        n, i = step(n, i, images, places, inner)
    total, squares, count = block_sum(total, partial), block_sum(squares, partial), block_sum(real(seen), partial)
    if cuda.threadIdx.x == 0:
        parts[0, part, c], parts[1, part, c] = count, pivot
        parts[2, part, c], parts[3, part, c] = total / count, squares - total * (total / count)


@kernel
def batch_norm_moments_kernel(parts: T3, count: int64, moments: T[:, :]):
    """moments (3, C): count, mean and biased variance, of all parts of a channel; a thread for each channel.

    First a mean that is right but for its last digits, then how far from it the mean and each number are."""
    zero, one = parts.dtype.type(0), parts.dtype.type(1)
    numbers = parts.dtype.type(count)
    for c in range(cuda.grid(1), parts.shape[2], cuda.gridsize(1)):
        middle, apart, squares, lost, lost_apart, lost_squares = zero, zero, zero, zero, zero, zero
        every = numbers if count > 0 else one
        for part in range(parts.shape[1]):
            middle, lost = add(middle, lost, parts[0, part, c] / every * (parts[1, part, c] + parts[2, part, c]))
        for part in range(parts.shape[1]):
            share, distance = parts[0, part, c] / every, parts[1, part, c] - middle + parts[2, part, c]
            apart, lost_apart = add(apart, lost_apart, share * distance)
            spread = parts[3, part, c] / every + share * distance * distance
            squares, lost_squares = add(squares, lost_squares, spread)
        mean, var = middle + apart, squares - apart * apart
        # NaN of a finite mean: squares beyond the largest number, less such squares
        moments[0, c], moments[1, c] = numbers, mean
        moments[2, c] = parts.dtype.type(np.inf) if var != var and mean - mean == zero else var


@kernel
def batch_norm_finish_kernel(
    sets: T3, found: T[:, :], running_mean: Affine, running_var: Affine, momentum: T, eps: T, own: T
):
    """The formulas of minicnn/ops/sync_batchnorm.py for sets (ranks, 3, C) of count, mean and variance; a thread for
    each channel. found (3, C): mean, inv_std, n/M."""
    zero, one = sets.dtype.type(0), sets.dtype.type(1)
    for c in range(cuda.grid(1), sets.shape[2], cuda.gridsize(1)):
        total, middle, var = zero, zero, zero
        for rank in range(sets.shape[0]):
            total += sets[rank, 0, c]
        every = total if total > zero else one
        for rank in range(sets.shape[0]):
            middle += sets[rank, 0, c] / every * sets[rank, 1, c]
        for rank in range(sets.shape[0]):
            apart = sets[rank, 1, c] - middle
            if sets[rank, 0, c] > zero:  # a set without numbers is at no distance
                var += sets[rank, 0, c] / every * (sets[rank, 2, c] + apart * apart)
        found[0, c], found[1, c], found[2, c] = middle, one / sqrt(var + eps), own / every
        if running_mean is not None and running_var is not None and total > zero:  # an empty batch says nothing
            running_mean[c] = (one - momentum) * running_mean[c] + momentum * middle
            running_var[c] = (one - momentum) * running_var[c] + momentum * (var * (total / (total - one)))  # unbiased


@kernel
def batch_norm_running_statistics_kernel(running_mean: T[:], running_var: T[:], mean: T[:], inv_std: T[:], eps: T):
    """What evaluation normalises by: the running statistics as they are now."""
    for c in range(cuda.grid(1), mean.size, cuda.gridsize(1)):
        mean[c], inv_std[c] = running_mean[c], mean.dtype.type(1) / sqrt(running_var[c] + eps)


@kernel
def batch_norm_forward_kernel(
    x: T3, weight: Affine, bias: Affine, mean: T[:], inv_std: T[:], residual: Some, y: T3, relu: bool_
):
    """y = weight * (x - mean) * inv_std + bias + residual, or max(that, 0)."""
    N, _, inner = x.shape
    c, stride = cuda.blockIdx.x, cuda.gridDim.y * THREADS  # [0, C)
    scale = inv_std[c] if weight is None else inv_std[c] * weight[c]
    shift = x.dtype.type(0) if bias is None else bias[c]
    m = cuda.blockIdx.y * THREADS + cuda.threadIdx.x  # [0, N * inner)
    n, i, images, places = m // inner, m % inner, stride // inner, stride % inner
    for _ in range(m, N * inner, stride):
        value = (x[n, c, i] - mean[c]) * scale + shift
        if residual is not None:
            value += residual[n, c, i]
        y[n, c, i] = x.dtype.type(0) if relu and value < x.dtype.type(0) else value  # NaN stays
        n, i = step(n, i, images, places, inner)


@kernel
def batch_norm_sums_kernel(grad_out: T3, x: T3, mean: T[:], parts: T3):
    """Of each part of a channel, parts (2, parts, C): the sums of grad_out * (x - mean) and of grad_out."""
    N, _, inner = x.shape
    zero = x.dtype.type(0)
    partial = cuda.shared.array(THREADS, x.dtype)
    c, part, stride = cuda.blockIdx.x, cuda.blockIdx.y, cuda.gridDim.y * THREADS
    along, total, lost_along, lost = zero, zero, zero, zero
    m = part * THREADS + cuda.threadIdx.x  # [0, N * inner)
    n, i, images, places = m // inner, m % inner, stride // inner, stride % inner
    for _ in range(m, N * inner, stride):
        g = grad_out[n, c, i]
        along, lost_along = add(along, lost_along, g * (x[n, c, i] - mean[c]))
        total, lost = add(total, lost, g)
        n, i = step(n, i, images, places, inner)
    along, total = block_sum(along, partial), block_sum(total, partial)
    if cuda.threadIdx.x == 0:
        parts[0, part, c], parts[1, part, c] = along, total


@kernel
def batch_norm_grad_weight_bias_kernel(parts: T3, inv_std: T[:], grad_weight: T[:], grad_bias: T[:]):
    """grad_weight = sum of grad_out * x_hat, grad_bias = sum of grad_out, from parts; a thread for each channel."""
    zero = inv_std.dtype.type(0)
    for c in range(cuda.grid(1), inv_std.size, cuda.gridsize(1)):
        along, total, lost_along, lost = zero, zero, zero, zero
        for part in range(parts.shape[1]):
            along, lost_along = add(along, lost_along, parts[0, part, c])
            total, lost = add(total, lost, parts[1, part, c])
        grad_weight[c], grad_bias[c] = along * inv_std[c], total  # x_hat = (x - mean) * inv_std


@kernel
def batch_norm_grad_x_kernel(
    grad_out: T3, x: T3, weight: Affine, mean: T[:], inv_std: T[:], grad_weight: Affine, grad_bias: Affine, grad_x: T3
):
    """grad_x = weight * inv_std * (grad_out - grad_bias / count - x_hat * grad_weight / count); in evaluation, where
    mean and variance are constants, grad_weight and grad_bias are None."""
    N, _, inner = x.shape
    count = x.dtype.type(N * inner)  # numbers of a channel
    c, stride = cuda.blockIdx.x, cuda.gridDim.y * THREADS  # [0, C)
    scale = inv_std[c] if weight is None else inv_std[c] * weight[c]
    m = cuda.blockIdx.y * THREADS + cuda.threadIdx.x  # [0, N * inner)
    n, i, images, places = m // inner, m % inner, stride // inner, stride % inner
    for _ in range(m, N * inner, stride):
        grad = grad_out[n, c, i]
        if grad_weight is not None and grad_bias is not None:  # training: x moves mean and variance as well
            x_hat = (x[n, c, i] - mean[c]) * inv_std[c]
            grad -= (grad_bias[c] + x_hat * grad_weight[c]) / count
        grad_x[n, c, i] = scale * grad
        n, i = step(n, i, images, places, inner)
