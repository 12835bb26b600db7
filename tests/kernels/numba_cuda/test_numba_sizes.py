"""Numba's CUDA kernels against the pages that they mirror, on sizes that no tile and no block divides."""

import importlib

import numpy as np
import pytest
from checks import NUMBA_CUDA, Place, loaded_anew
from elementwise import calls as elementwise_calls
from real_gpu import back, there
from test_kernel_sizes import SETS, arrays_of, axes, normalised

from minicnn.device import implementation
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
from minicnn.ops.geometry import output_size
from minicnn.ops.windows import Windows

pytestmark = pytest.mark.gpu("plain")

RNG = np.random.default_rng(0)


def normal(*shape):
    return RNG.standard_normal(shape)


def convolution(x_shape, weight_shape, stride=(1, 1), padding=((0, 0), (0, 0)), dilation=(1, 1), groups=1):
    """The three functions of a convolution of these shapes."""
    x, weight, geometry = normal(*x_shape), normal(*weight_shape), (stride, padding, dilation, groups)
    out_size = output_size("conv2d", x_shape[2:], weight_shape[2:], stride, padding, dilation)
    grad_out = normal(x_shape[0], weight_shape[0], *out_size)
    return [
        (conv.conv2d_forward, x, weight, normal(weight_shape[0]), *geometry),
        (conv.conv2d_forward, x, weight, None, *geometry),
        (conv.conv2d_grad_x, grad_out, x_shape, weight, *geometry),
        (conv.conv2d_grad_weight, grad_out, x, weight_shape, *geometry),
    ]


def max_pooling(x, kernel, stride, padding, dilation):
    out_size = output_size("max_pool2d", x.shape[2:], kernel, stride, padding, dilation)
    windows = Windows(kernel, stride, padding, dilation, out_size)
    y, winners = max_pool.max_pool2d_forward_and_winners(x, windows)
    of_kernels = winners.astype(np.uint8 if kernel[0] * kernel[1] <= 256 else np.int32)
    return [
        (max_pool.max_pool2d_forward, x, windows),
        (max_pool.max_pool2d_forward_and_winners, x, windows),
        (max_pool.max_pool2d_backward, normal(*y.shape), of_kernels, x.shape, windows),
    ]


def averages(x, kernel, stride, padding, ceil_mode, count_include_pad, divisor_override=None):
    out_size = output_size("avg_pool2d", x.shape[2:], kernel, stride, padding, (1, 1), ceil_mode)
    windows = Windows(kernel, stride, padding, (1, 1), out_size)
    grad_out = normal(*x.shape[:2], *out_size)
    return [
        (avg_pool.avg_pool2d_forward, x, windows, count_include_pad, divisor_override),
        (avg_pool.avg_pool2d_backward, grad_out, x.shape, windows, count_include_pad, divisor_override),
    ]


def layer(shape, outputs):
    weight, grad_out = normal(outputs, shape[-1]), normal(*shape[:-1], outputs)
    return [
        (linear.linear_forward, normal(*shape), weight, normal(outputs)),
        (linear.linear_forward, normal(*shape), weight, None),
        (linear.linear_grad_x, grad_out, weight),
        (linear.linear_grad_weight, grad_out, normal(*shape)),
        (linear.linear_grad_bias, grad_out),
    ]


X = normal(2, 3, 7, 5)
ODD = X.copy()
ODD[0, 0, 1, 1:3], ODD[0, 1], ODD[1, 2, 3] = np.nan, -np.inf, 2.0  # NaN, nothing to choose from, and ties
NAN_AND_INFINITY = np.array([[np.nan, 1.0, -np.inf, np.inf], [-1.0, 0.0, -0.0, 2.0]])
LABELS = np.array([[3, 19, 5], [0, 7, 7]])  # of scores (2, 20, 3)
IMPOSSIBLE = normal(2, 20, 3)
IMPOSSIBLE[:, 1] = -np.inf
TRANSPOSED = (2, 2), ((0, 0), (1, 1)), (1, 1), 2
ONE, NONE = ((1, 1), (1, 1)), ((0, 0), (0, 0))
CASES = [
    *layer((7,), 3),
    *layer((2, 3, 5), 7),
    *layer((1, 1), 1),
    *layer((0, 3), 2),
    *layer((3, 0), 2),
    *convolution((1, 1, 1, 1), (1, 1, 1, 1)),
    *convolution((2, 4, 5, 7), (6, 2, 3, 2), (2, 1), ((1, 0), (2, 1)), (1, 2), 2),  # everything at once
    *convolution((1, 5, 4, 4), (5, 1, 3, 3), padding=ONE, groups=5),  # a group for each channel
    *convolution((3, 7, 2, 3), (5, 7, 1, 1), (2, 2)),
    *convolution((1, 2, 3, 3), (1, 2, 2, 2), (3, 2), ((0, 2), (3, 0))),  # a stride beyond the window
    *convolution((0, 2, 3, 3), (3, 2, 2, 2)),
    *convolution((2, 0, 3, 3), (3, 0, 2, 2)),
    (conv_transpose.conv_transpose2d_forward, normal(2, 4, 3, 2), normal(4, 1, 3, 2), normal(2), (7, 3), *TRANSPOSED),
    (conv_transpose.conv_transpose2d_forward, normal(2, 4, 3, 2), normal(4, 1, 3, 2), None, (8, 2), *TRANSPOSED),
    (conv.conv2d_grad_bias, normal(3, 2, 5, 1)),
    (conv.conv2d_grad_bias, normal(0, 2, 3, 3)),
    *normalised(X),
    (batchnorm.batch_norm_statistics, X + 1e5, None, 0.1, 1e-5),  # a large mean costs no digits
    (sync_batchnorm.sync_batch_norm_statistics, SETS, 3, None, 0.3, 1e-3),
    *normalised(normal(19, 2)),
    *normalised(normal(3, 2, 13)),  # steps into the next image
    *normalised(normal(1, 1, 2)),
    *normalised(normal(0, 3, 2)),
    *max_pooling(ODD, (3, 2), (2, 1), ONE, (1, 1)),
    *max_pooling(ODD, (2, 3), (1, 2), ONE, (3, 2)),
    *max_pooling(normal(1, 1, 17, 17), (17, 17), (1, 1), NONE, (1, 1)),  # more taps than a byte can count
    *max_pooling(normal(0, 3, 4, 4), (2, 2), (2, 2), NONE, (1, 1)),
    *averages(X, (3, 2), (2, 2), ONE, True, True),
    *averages(X, (3, 2), (2, 2), ONE, True, False),
    *averages(X, (2, 3), (1, 2), NONE, False, True, 5),
    *averages(normal(1, 2, 6, 6), (3, 3), (2, 2), ONE, True, True),  # the last window hangs over the padding too
    *((adaptive_avg_pool.adaptive_avg_pool2d_forward, X, size) for size in [(1, 1), (3, 4), (9, 2)]),
    *(
        (adaptive_avg_pool.adaptive_avg_pool2d_backward, normal(2, 3, *size), X.shape)
        for size in [(1, 1), (3, 4), (9, 2)]
    ),
    *elementwise_calls(activation, lambda: NAN_AND_INFINITY),
    *elementwise_calls(activation, lambda: normal(37)),
    (arithmetic.residual_add_forward, normal(3, 37), normal(3, 37)),
    *(
        (dropout.dropout_forward, normal(size), 0.3, 0xFEDCBA9876543210, 2**33 + 5, start, None)
        for size, start in [(1, 0), (4, 0), (71, 0), (1, 2**35 + 3), (71, 2**35 + 3)]
    ),
    *((softmax.softmax_forward, normal(2, 20, 3), dim) for dim in [0, 1, -1]),
    (softmax.softmax_forward, NAN_AND_INFINITY[:, :3], 1),
    (softmax.log_softmax_forward, 1000 * normal(3, 17), 1),
    (softmax.log_softmax_backward, normal(3, 9), normal(3, 9), 1),
    (softmax.softmax_backward, normal(0, 3), normal(0, 3), 1),
    (cross_entropy.cross_entropy_forward, IMPOSSIBLE, LABELS - 105 * (LABELS == 5), None, -100, 0.0),
    (cross_entropy.cross_entropy_forward, normal(2, 20, 3), LABELS, np.exp(normal(20)), 7, 0.1),
    (
        cross_entropy.cross_entropy_backward,
        normal(2, 3),
        None,
        -np.exp(normal(2, 20, 3)),
        LABELS,
        np.exp(normal(20)),
        -100,
        0.1,
        np.dtype(float),
    ),
    (
        cross_entropy.cross_entropy_backward,
        np.array(2.0),
        np.array(3.0),
        -np.exp(normal(2, 20, 3)),
        LABELS,
        None,
        7,
        0.0,
        np.dtype(float),
    ),
    (interpolate.interpolate_forward, normal(1, 2, 4, 3), *axes("nearest", (4, 3), (7, 5))),
    (interpolate.interpolate_forward, normal(1, 2, 4, 3), *axes("bilinear", (4, 3), (3, 6))),
    (interpolate.interpolate_backward, normal(1, 2, 7, 5), (1, 2, 4, 3), *axes("nearest", (4, 3), (7, 5))),
    (interpolate.interpolate_backward, normal(1, 2, 3, 6), (1, 2, 4, 3), *axes("bilinear", (4, 3), (3, 6))),
    (pad.pad_forward, X, ((0, 0), (0, 0), (2, 1), (-3, 4)), 0.5),
    (pad.pad_forward, X, ((1, 0), (0, 2), (-1, 1), (1, 2)), 0.5),
    (pad.pad_forward, normal(2, 1, 2, 2, 1, 3), ((1, 0), (0, 2), (1, -1), (2, 0), (0, 1), (-1, 1)), 0.5),
    (nll_loss.nll_loss_forward, IMPOSSIBLE, LABELS - 105 * (LABELS == 5), np.exp(normal(20)), -100),
    (nll_loss.nll_loss_forward, IMPOSSIBLE, LABELS - 4 * (LABELS == 5), (np.arange(20) != 1) * 2.0, 7),
    (nll_loss.nll_loss_backward, normal(2, 3), (2, 20, 3), LABELS, np.exp(normal(20)), 7),
    (nll_loss.nll_loss_backward, np.array(2.0), (2, 20, 3), LABELS - 105 * (LABELS == 5), None, -100),
    *((mse_loss.mse_loss_forward, normal(*shape), normal(*shape)) for shape in [(), (37,), (2, 3, 7)]),
    *((mse_loss.mse_loss_sum, normal(*shape), normal(*shape)) for shape in [(), (5,), (37,), (2, 3, 7), (0, 3)]),
    (smooth_l1_loss.smooth_l1_loss_forward, normal(3, 13), normal(3, 13), 0.8),
    (smooth_l1_loss.smooth_l1_loss_backward, np.array(0.7), normal(3, 13), normal(3, 13), 0.8),
    (smooth_l1_loss.smooth_l1_loss_backward, normal(3, 13), normal(3, 13), normal(3, 13), 0.8),
    (mse_loss.mse_loss_backward, np.array(0.7), normal(3, 13), normal(3, 13)),
    (mse_loss.mse_loss_backward, normal(3, 13), normal(3, 13), normal(3, 13)),
    *((lrn.local_response_norm_forward, normal(2, 7, 3, 2), size, 1.0, 0.75, 2.0, 1) for size in [1, 4, 5, 99]),
    *((lrn.local_response_norm_backward, *normal(2, 2, 7, 3), size, 1.0, 0.75, 2.0, 1) for size in [1, 4, 5, 99]),
    (lrn.local_response_norm_forward, normal(2, 6, 3, 2), 5, 1.0, 0.75, 2.0, 2),
    (lrn.local_response_norm_backward, *normal(2, 2, 6, 3), 4, 1.0, 0.75, 2.0, 3),
]
LARGE = [
    layer((17, 5), 18)[0],
    layer((17, 3), 18)[3],
    layer((35, 17), 18)[4],
    *convolution((1, 2, 5, 7), (17, 2, 2, 3), (1, 2), ONE)[1:],
    normalised(normal(9, 2, 31))[0],
    normalised(normal(2, 2, 129))[4],
    max_pooling(normal(2, 3, 9, 11), (3, 2), (2, 1), ONE, (1, 1))[1],
]


def named(case):
    reference, *arguments = case
    sizes = "-".join("x".join(map(str, a.shape)) for a in arguments if isinstance(a, np.ndarray))
    return pytest.param(reference, arguments, id=f"{reference.__name__}-{sizes}")


@pytest.mark.parametrize("reference, arguments", [named(case) for case in CASES])
def test_equals_the_reference(reference, arguments):
    check_equals_the_reference(reference, arguments, there)


@pytest.mark.parametrize(
    "reference, arguments",
    [named(case) for case in CASES[5:10] + convolution((2, 4, 5, 3), (4, 2, 2, 3), groups=2) + normalised(X)[:5]],
)
def test_input_with_gaps(reference, arguments):
    check_equals_the_reference(reference, arguments, with_gaps)


@pytest.mark.emulator
@pytest.mark.parametrize("reference, arguments", [named(case) for case in LARGE])
def test_blocks_as_large_as_on_a_gpu(monkeypatch, reference, arguments):
    with Place("cuda", "plain").active(), loaded_anew():
        launch = importlib.import_module(f"{NUMBA_CUDA}.launch")
        for name, value in {"TILE": 16, "THREADS": 256, "MAX_BLOCKS": 65535}.items():
            monkeypatch.setattr(launch, name, value)
        check_equals_the_reference(reference, arguments, there)


def with_gaps(value):
    """The array on the device, where every other number of its memory belongs to nobody."""
    if isinstance(value, tuple):
        return tuple(with_gaps(part) for part in value)
    return there(np.repeat(value, 2, axis=-1))[..., ::2] if isinstance(value, np.ndarray) else value


def check_equals_the_reference(reference, arguments, move):
    moved = [move(argument) for argument in arguments]
    with Place("cuda", "plain").active():
        values, expected = implementation(reference, "cuda", "plain")(*moved), reference(*arguments)
    found, wanted = arrays_of([values, moved]), arrays_of([expected, arguments])  # what is changed in place, too
    for value, other in zip(found, wanted, strict=True):
        assert value.shape == other.shape
        np.testing.assert_allclose(back(value), other, rtol=1e-11, atol=1e-11)
