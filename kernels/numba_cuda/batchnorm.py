"""Batch normalisation of x (N, C, inner); mirrors minicnn/ops/batchnorm.py. Two kernels that sum over a channel, two
that work element by element.

The sums
  Threads   a thread block for each channel; its threads take values t, t + THREADS, ... of the channel's N * inner
  Memory    neighbouring threads read neighbouring values, coalesced where inner is 32 or more
  Shared    one partial sum for each thread: see block_sum, whose barriers every thread reaches, with values or not
  Launch    grid C, block THREADS
  Order     fixed, so that results repeat bit for bit: no atomics
Element by element
  Threads   one for every element, in a grid-stride loop; launch as in activation.py
Bound by    memory: 1 or 2 reads (statistics: x twice) and at most 1 write an element, for 2 to 8 operations
"""

from .activation import relu_backward, relu_forward
from .arithmetic import residual_add_forward
from .launch import THREADS, T, blocks, contiguous, cuda, empty, folded, kernel, optional
from .reduction import add, block_sum

T3, Affine = T[:, :, :], optional(T[:])  # (N, C, inner); weight or bias, and their gradients, (C,)


def batch_norm_statistics(x):
    """(mean, biased variance), each (C,), over everything but the channels; zeros for an empty batch."""
    channels = x.shape[1]
    mean, var = empty(x, (channels,)), empty(x, (channels,))
    if x.size == 0:
        mean[...] = var[...] = 0
    else:
        batch_norm_statistics_kernel[channels, THREADS](folded(x, 3), mean, var)
    return mean, var


def batch_norm_forward(x, weight, bias, mean, inv_std):
    """y = weight * (x - mean) * inv_std + bias."""
    y = empty(x, x.shape)
    per_channel = map(contiguous, (weight, bias, mean, inv_std))
    batch_norm_forward_kernel[blocks(x.size), THREADS](folded(x, 3), *per_channel, folded(y, 3))
    return y


def batch_norm_grad_weight_bias(grad_out, x, mean, inv_std):
    """(grad_weight, grad_bias), each (C,): the sums of grad_out * x_hat and of grad_out."""
    channels = x.shape[1]
    sums = empty(x, (channels,)), empty(x, (channels,))
    arrays = folded(grad_out, 3), folded(x, 3), contiguous(mean), contiguous(inv_std)
    batch_norm_grad_weight_bias_kernel[channels, THREADS](*arrays, *sums)
    return sums


def batch_norm_grad_x(grad_out, x, weight, mean, inv_std, sums):
    """grad_x; `sums` is (grad_weight, grad_bias) in training, None in evaluation."""
    grad_x = empty(x, x.shape)
    per_channel = map(contiguous, (weight, mean, inv_std, *(sums or (None, None))))
    arrays = folded(grad_out, 3), folded(x, 3), *per_channel, folded(grad_x, 3)
    batch_norm_grad_x_kernel[blocks(x.size), THREADS](*arrays)
    return grad_x


def batch_norm_relu_forward(x, weight, bias, mean, inv_std, residual):
    """y = max(weight * (x - mean) * inv_std + bias + residual, 0), one kernel after the other."""
    y = batch_norm_forward(x, weight, bias, mean, inv_std)
    return relu_forward(y if residual is None else residual_add_forward(y, residual), None)


def batch_norm_relu_backward(grad_out, x, y, weight, bias, statistics, training, residual):
    """(grad_x, grad_weight, grad_bias, grad_residual), one kernel after the other."""
    behind = relu_backward(grad_out, y)  # the gradient behind the ReLU
    sums = batch_norm_grad_weight_bias(behind, x, *statistics)
    grad_x = batch_norm_grad_x(behind, x, weight, *statistics, sums if training else None)
    return grad_x, *sums, behind if residual else None


@kernel
def batch_norm_statistics_kernel(x: T3, mean: T[:], var: T[:]):
    """mean and biased variance of each channel, in two passes: a large mean costs no digits."""
    N, _, inner = x.shape
    real = x.dtype.type
    partial = cuda.shared.array(THREADS, x.dtype)
    c = cuda.blockIdx.x  # [0, C)
    total, squares, lost, lost_squares = real(0), real(0), real(0), real(0)
    for m in range(cuda.threadIdx.x, N * inner, THREADS):  # [0, N * inner)
        total, lost = add(total, lost, x[m // inner, c, m % inner])
    middle = block_sum(total, partial) / real(N * inner)  # the mean, known to every thread
    for m in range(cuda.threadIdx.x, N * inner, THREADS):  # [0, N * inner), read a second time
        centred = x[m // inner, c, m % inner] - middle  # small beside a large mean
        squares, lost_squares = add(squares, lost_squares, centred * centred)
    spread = block_sum(squares, partial) / real(N * inner)
    if cuda.threadIdx.x == 0:
        mean[c] = middle
        var[c] = spread


@kernel
def batch_norm_forward_kernel(x: T3, weight: Affine, bias: Affine, mean: T[:], inv_std: T[:], y: T3):
    """y = weight * (x - mean) * inv_std + bias."""
    _, C, inner = x.shape
    for i in range(cuda.grid(1), x.size, cuda.gridsize(1)):  # [0, N * C * inner)
        n, c, m = i // inner // C, i // inner % C, i % inner
        scale = inv_std[c] if weight is None else inv_std[c] * weight[c]
        shift = x.dtype.type(0) if bias is None else bias[c]
        y[n, c, m] = (x[n, c, m] - mean[c]) * scale + shift


@kernel
def batch_norm_grad_weight_bias_kernel(
    grad_out: T3, x: T3, mean: T[:], inv_std: T[:], grad_weight: T[:], grad_bias: T[:]
):
    """grad_weight = sum of grad_out * x_hat, grad_bias = sum of grad_out, for each channel."""
    N, _, inner = x.shape
    partial = cuda.shared.array(THREADS, x.dtype)
    c = cuda.blockIdx.x  # [0, C)
    zero = x.dtype.type(0)
    along, total, lost_along, lost = zero, zero, zero, zero
    for m in range(cuda.threadIdx.x, N * inner, THREADS):  # [0, N * inner)
        n, i = m // inner, m % inner
        along, lost_along = add(along, lost_along, grad_out[n, c, i] * (x[n, c, i] - mean[c]))
        total, lost = add(total, lost, grad_out[n, c, i])
    along = block_sum(along, partial)  # of grad_out * (x - mean)
    total = block_sum(total, partial)
    if cuda.threadIdx.x == 0:
        grad_weight[c] = along * inv_std[c]  # x_hat = (x - mean) * inv_std
        grad_bias[c] = total


@kernel
def batch_norm_grad_x_kernel(
    grad_out: T3, x: T3, weight: Affine, mean: T[:], inv_std: T[:], grad_weight: Affine, grad_bias: Affine, grad_x: T3
):
    """grad_x = weight * inv_std * (grad_out - grad_bias / count - x_hat * grad_weight / count); in evaluation, where
    mean and variance are constants, grad_weight and grad_bias are None."""
    N, C, inner = x.shape
    count = x.dtype.type(N * inner)  # values of a channel
    for i in range(cuda.grid(1), x.size, cuda.gridsize(1)):  # [0, N * C * inner)
        n, c, m = i // inner // C, i // inner % C, i % inner
        grad = grad_out[n, c, m]  # image, channel, place in it
        if grad_weight is not None and grad_bias is not None:  # training: x moves mean and variance as well
            x_hat = (x[n, c, m] - mean[c]) * inv_std[c]
            grad -= (grad_bias[c] + x_hat * grad_weight[c]) / count
        scale = inv_std[c] if weight is None else inv_std[c] * weight[c]
        grad_x[n, c, m] = scale * grad
