"""Launches batchnorm.cu; mirrors minicnn/ops/batchnorm.py."""

from minicnn.kernels.arguments import folded_shape

from .activation import relu_backward, relu_forward
from .arithmetic import residual_add_forward
from .launch import THREADS, CudaFile, blocks, empty

cu = CudaFile("batchnorm.cu")


def batch_norm_statistics(x):
    """(mean, biased variance), each (C,), over everything but the channels; zeros for an empty batch."""
    n, channels, inner = folded_shape(x.shape, 3)
    mean, var = empty(x, (channels,)), empty(x, (channels,))
    if x.size == 0:
        mean[...] = var[...] = 0
    else:
        cu.batch_norm_statistics[channels, THREADS](x, mean, var, n, channels, inner)
    return mean, var


def batch_norm_forward(x, weight, bias, mean, inv_std):
    """y = weight * (x - mean) * inv_std + bias."""
    _, channels, inner = folded_shape(x.shape, 3)
    y = empty(x, x.shape)
    cu.batch_norm_forward[blocks(x.size), THREADS](x, weight, bias, mean, inv_std, y, channels, inner, x.size)
    return y


def batch_norm_grad_weight_bias(grad_out, x, mean, inv_std):
    """(grad_weight, grad_bias), each (C,): the sums of grad_out * x_hat and of grad_out."""
    n, channels, inner = folded_shape(x.shape, 3)
    sums = empty(x, (channels,)), empty(x, (channels,))
    cu.batch_norm_grad_weight_bias[channels, THREADS](grad_out, x, mean, inv_std, *sums, n, channels, inner)
    return sums


def batch_norm_grad_x(grad_out, x, weight, mean, inv_std, sums):
    """grad_x; `sums` is (grad_weight, grad_bias) in training, None in evaluation."""
    _, channels, inner = folded_shape(x.shape, 3)
    grad_x = empty(x, x.shape)
    arrays = grad_out, x, weight, mean, inv_std, *(sums or (None, None)), grad_x
    cu.batch_norm_grad_x[blocks(x.size), THREADS](*arrays, channels, inner, x.size // channels, x.size)
    return grad_x


def batch_norm_relu_forward(x, weight, bias, mean, inv_std, residual):
    """y = max(weight * (x - mean) * inv_std + bias + residual, 0), one kernel after the other."""
    y = batch_norm_forward(x, weight, bias, mean, inv_std)
    return relu_forward(y if residual is None else residual_add_forward(y, residual), None)


def batch_norm_relu_backward(grad_out, x, y, weight, bias, statistics, training, residual):
    """(grad_x, grad_weight, grad_bias, grad_residual), one kernel after the other."""
    behind = relu_backward(grad_out, y)
    sums = batch_norm_grad_weight_bias(behind, x, *statistics)
    grad_x = batch_norm_grad_x(behind, x, weight, *statistics, sums if training else None)
    return grad_x, *sums, behind if residual else None
