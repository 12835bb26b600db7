"""CUDA kernels on more than one block, warp or piece, which the small shapes of the other tests never need."""

import numpy as np
import pytest
from checks import Place, needs_compiler
from elementwise import calls as elementwise_calls
from real_gpu import back, there

from minicnn.device import implementation
from minicnn.kernels.cuda.launch import Kernel
from minicnn.ops import (
    activation,
    adaptive_avg_pool,
    arithmetic,
    avg_pool,
    batchnorm,
    conv,
    conv_transpose,
    cross_entropy,
    dropout,
    interpolate,
    linear,
    lrn,
    max_pool,
    mse_loss,
    nll_loss,
    pad,
    smooth_l1_loss,
    softmax,
    sync_batchnorm,
)
from minicnn.ops.windows import Windows

pytestmark = [needs_compiler, pytest.mark.gpu]

RNG = np.random.default_rng(0)


def normal(*shape):
    return RNG.standard_normal(shape)


def axes(mode, size, out):
    return [interpolate.axis(*each, None, mode, False, np.float64) for each in zip(size, out, strict=True)]


def normalised(x):
    """Batch norm of x, with everything there is and with nothing of it."""
    mean, inv_std, weight, bias = np.exp(normal(4, x.shape[1]))
    grad_out, residual, statistics = normal(*x.shape), normal(*x.shape), (mean, inv_std)
    y, added = (batchnorm.batch_norm_relu_forward(x, weight, bias, *statistics, each) for each in (None, residual))
    return [
        (batchnorm.batch_norm_statistics, x, (mean.copy(), inv_std.copy()), 0.3, 1e-3),
        (batchnorm.batch_norm_running_statistics, mean, inv_std, 1e-3),
        (batchnorm.batch_norm_forward, x, weight, None, mean, inv_std),
        (batchnorm.batch_norm_grad_weight_bias, grad_out, x, mean, inv_std),
        (batchnorm.batch_norm_grad_x, grad_out, x, weight, mean, inv_std, (bias, weight)),
        (batchnorm.batch_norm_grad_x, grad_out, x, None, mean, inv_std, None),
        (batchnorm.batch_norm_relu_forward, x, weight, bias, mean, inv_std, residual),
        (batchnorm.batch_norm_relu_forward, x, None, None, mean, inv_std, None),
        (batchnorm.batch_norm_relu_backward, grad_out, x, added, weight, bias, statistics, True, True),
        (batchnorm.batch_norm_relu_backward, grad_out, x, y, weight, bias, statistics, True, False),
        (batchnorm.batch_norm_relu_backward, grad_out, x, y, weight, bias, statistics, False, False),
        (sync_batchnorm.batch_norm_moments, x),
    ]


X, CHANNEL = normal(5, 3, 13, 17), np.exp(normal(3))
WEIGHT, GRAD = normal(70, 4, 3, 3), normal(2, 70, 9, 8)
GEOMETRY = (1, 1), ((1, 1), (2, 1)), (1, 1), 1
TRANSPOSED = (2, 2), ((0, 0), (1, 1)), (1, 1), 2
PARTS = normal(40, 3, 21, 11)  # of a channel, more than one thread block takes
SETS = np.stack([np.stack([np.full(3, n), *np.exp(normal(2, 3))]) for n in (3.0, 0.0, 5.0)])  # of three ranks
SCORES, LABELS = normal(40, 100), RNG.integers(0, 100, 40)
FLOAT64 = np.dtype(np.float64)
SPREAD = RNG.integers(0, 7, (5, 300))  # labels of pixels
WINDOWS = Windows((3, 2), (2, 1), ((1, 1), (1, 1)), (1, 1), (7, 18))
WINNERS = RNG.integers(0, 6, (5, 3, 7, 18), np.int32)
CASES = [
    (activation.relu_forward, normal(300, 301), None),
    *elementwise_calls(activation, lambda: normal(7, 1000)),
    (arithmetic.residual_add_forward, X, X * 2),
    *(case for x in (X, PARTS, normal(600, 70), normal(4, 5, 16, 12)) for case in normalised(x)),
    (batchnorm.batch_norm_statistics, X + 1e5, None, 0.1, 1e-5),  # a large mean costs no digits
    (sync_batchnorm.sync_batch_norm_statistics, SETS, 3, (CHANNEL.copy(), CHANNEL.copy()), 0.3, 1e-3),
    (conv.conv2d_forward, normal(2, 4, 9, 7), WEIGHT, normal(70), *GEOMETRY),
    (conv.conv2d_grad_x, GRAD, (2, 4, 9, 7), WEIGHT, *GEOMETRY),
    (conv.conv2d_grad_weight, GRAD, normal(2, 4, 9, 7), WEIGHT.shape, *GEOMETRY),
    (conv.conv2d_grad_weight, normal(3, 6, 15, 14), normal(3, 4, 15, 13), (6, 2, 3, 3), *GEOMETRY[:3], 2),  # two splits
    (conv.conv2d_grad_bias, X),
    (
        conv_transpose.conv_transpose2d_forward,
        normal(2, 4, 9, 7),
        normal(4, 5, 3, 2),
        normal(10),
        (19, 13),
        *TRANSPOSED,
    ),
    (conv_transpose.conv_transpose2d_forward, normal(2, 4, 9, 7), normal(4, 5, 3, 2), None, (20, 12), *TRANSPOSED),
    *((dropout.dropout_forward, normal(3, 1001), 0.3, 12345, 6, start, None) for start in [0, 2**35 + 3, 2**35 + 4]),
    (linear.linear_forward, normal(3, 41, 33), normal(70, 33), normal(70)),
    (linear.linear_grad_x, normal(130, 70), normal(70, 33)),
    (linear.linear_grad_weight, normal(130, 70), normal(130, 33)),
    (linear.linear_grad_bias, normal(130, 70)),
    (cross_entropy.cross_entropy_forward, SCORES, LABELS, np.exp(normal(100)), -100, 0.1),
    *((cross_entropy.cross_entropy_total, SCORES, LABELS, np.exp(normal(100)), -100, 0.1, n) for n in (None, 7)),
    (cross_entropy.cross_entropy_total, normal(5, 7, 300), SPREAD, None, 3, 0.1, None),
    (
        cross_entropy.cross_entropy_backward,
        normal(5, 300),
        None,
        normal(5, 7, 300),
        SPREAD,
        np.exp(normal(7)),
        3,
        0.1,
        FLOAT64,
    ),
    (
        cross_entropy.cross_entropy_backward,
        np.array(0.7),
        np.array(3.0),
        normal(5, 7, 300),
        SPREAD,
        None,
        3,
        0.0,
        FLOAT64,
    ),
    (
        cross_entropy.cross_entropy_backward,
        normal(40),
        np.array(2.0),
        SCORES,
        LABELS,
        np.exp(normal(100)),
        LABELS[0],
        0.1,
        FLOAT64,
    ),
    (lrn.local_response_norm_forward, normal(2, 9, 5, 30), 5, 1.0, 0.75, 2.0, 1),
    (lrn.local_response_norm_forward, normal(2, 19, 5, 30), 7, 1.0, 0.75, 2.0, 1),
    (lrn.local_response_norm_forward, normal(2, 19, 5, 30), 4, 1.0, 0.6, 2.0, 1),
    (lrn.local_response_norm_backward, normal(2, 9, 5, 30), normal(2, 9, 5, 30), 4, 1.0, 0.75, 2.0, 3),
    (lrn.local_response_norm_backward, normal(2, 19, 5, 30), normal(2, 19, 5, 30), 5, 1.0, 0.6, 2.0, 1),
    (lrn.local_response_norm_backward, normal(2, 20, 5, 30), normal(2, 20, 5, 30), 8, 1.0, 0.75, 2.0, 2),
    (max_pool.max_pool2d_forward, X, WINDOWS),
    (max_pool.max_pool2d_forward_and_winners, X, WINDOWS),
    (max_pool.max_pool2d_backward, normal(5, 3, 7, 18), WINNERS, X.shape, WINDOWS),
    (interpolate.interpolate_forward, normal(2, 3, 20, 17), *axes("nearest", (20, 17), (37, 21))),
    (interpolate.interpolate_forward, normal(2, 3, 20, 17), *axes("bilinear", (20, 17), (11, 30))),
    (interpolate.interpolate_backward, normal(2, 3, 37, 21), (2, 3, 20, 17), *axes("nearest", (20, 17), (37, 21))),
    (interpolate.interpolate_backward, normal(2, 3, 11, 30), (2, 3, 20, 17), *axes("bilinear", (20, 17), (11, 30))),
    (pad.pad_forward, X, ((0, 0), (0, 0), (2, 1), (-3, 4)), 0.5),
    (pad.pad_forward, normal(2, 3, 2, 3, 2, 3), ((1, 0), (0, 2), (1, -1), (2, 0), (0, 1), (-1, 1)), 0.5),
    (nll_loss.nll_loss_forward, SCORES, LABELS, np.exp(normal(100)), LABELS[0]),
    (nll_loss.nll_loss_forward, normal(3, 5, 200), RNG.integers(0, 5, (3, 200)), None, -100),
    (nll_loss.nll_loss_backward, normal(40), (40, 100), LABELS, np.exp(normal(100)), LABELS[0]),
    (nll_loss.nll_loss_backward, np.array(0.7), (3, 5, 200), RNG.integers(0, 5, (3, 200)), None, -100),
    (mse_loss.mse_loss_forward, X, X * 2),
    (mse_loss.mse_loss_sum, X, X * 2),
    (mse_loss.mse_loss_sum, normal(3), normal(3)),
    (smooth_l1_loss.smooth_l1_loss_forward, normal(5, 3, 13, 17), normal(5, 3, 13, 17), 0.8),
    (smooth_l1_loss.smooth_l1_loss_backward, np.array(0.7), normal(5, 3, 13, 17), normal(5, 3, 13, 17), 0.8),
    (smooth_l1_loss.smooth_l1_loss_backward, normal(5, 3, 13, 17), normal(5, 3, 13, 17), normal(5, 3, 13, 17), 0.8),
    (mse_loss.mse_loss_backward, np.array(0.7), X, X * 2),
    (mse_loss.mse_loss_backward, X * 3, X, X * 2),
    (avg_pool.avg_pool2d_forward, X, WINDOWS, True, None),
    (avg_pool.avg_pool2d_backward, normal(5, 3, 7, 18), X.shape, WINDOWS, False, None),
    *((adaptive_avg_pool.adaptive_avg_pool2d_forward, X, out_size) for out_size in [(4, 5), (1, 1)]),
    (adaptive_avg_pool.adaptive_avg_pool2d_backward, normal(5, 3, 4, 5), X.shape),
    (softmax.softmax_forward, normal(20, 100, 2), 1),
    (softmax.log_softmax_forward, SCORES, -1),
    (softmax.softmax_backward, normal(40, 100), SCORES, 1),
    (softmax.log_softmax_backward, normal(20, 40, 3), normal(20, 40, 3), 1),
]


@pytest.mark.parametrize("reference, arguments", [pytest.param(f, a, id=f.__name__) for f, *a in CASES])
def test_equals_the_reference(reference, arguments):
    moved = [there(argument) for argument in arguments]
    with Place("cuda", "fast").active():
        values, expected = implementation(reference, "cuda", "fast")(*moved), reference(*arguments)
    found, wanted = arrays_of([values, moved]), arrays_of([expected, arguments])  # what is changed in place, too
    for value, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(back(value), other, rtol=1e-11, atol=1e-11)


def arrays_of(value):
    """Every array in it, in order."""
    if isinstance(value, (list, tuple)):
        return [array for part in value for array in arrays_of(part)]
    return [value] if hasattr(value, "dtype") else []


@pytest.mark.parametrize("grid, block", [(1, 1), (1, 32), (3, 7), (100, 256)])
def test_any_grid_is_right_for_a_grid_stride_loop(grid, block):
    x = normal(1000)
    y = there(np.zeros(1000))
    Kernel("activation.cu", "tanh_forward")[grid, block](there(x), y, 1000)
    np.testing.assert_allclose(back(y), np.tanh(x), rtol=1e-14)
    dropped, before = there(np.zeros(1000)), there(np.array([4], np.uint64))  # of the 6 calls so far
    for start in (7, 8):
        numbers = 1000, 0.3, 1 / 0.7, 12345, 2, before, start
        Kernel("dropout.cu", "dropout_forward")[grid, block](there(x), dropped, *numbers)
        expected = dropout.dropout_forward(x, 0.3, 12345, 6, start, None)
        np.testing.assert_allclose(back(dropped), expected, rtol=1e-14)
