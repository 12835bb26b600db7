"""Convolutions and linear layers of bfloat16 arrays: within one rounding of float64 sums of the same numbers."""

import math

import ml_dtypes
import numpy as np
import pytest
from checks import needs_compiler, raises
from hypothesis import given, settings
from real_gpu import back, there
from strategies import convolutions
from test_tensor_cores import geometry_of, normal

from minicnn.kernels.arguments import is_channels_last
from minicnn.kernels.cuda import tensor_conv
from minicnn.kernels.cuda.emulator.recording import recording, requests, sectors, turns
from minicnn.ops import conv as reference

pytestmark = [needs_compiler, pytest.mark.gpu]

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
NO_PADDING, SAME = ((0, 0), (0, 0)), ((1, 1), (1, 1))
POINTWISE = (1, 1), NO_PADDING, (1, 1), 1


def rounded(array):
    """As bfloat16, on the device; and the same numbers as float64."""
    short = np.asarray(array).astype(BFLOAT16)
    return there(short), short.astype(np.float64)


def channels_last(array):
    """The same array, (N, H, W, C) in memory."""
    return there(back(array).transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)


def check_rounded(value, exact):
    """`value` is `exact` rounded, where the float sum before that may have been wrong in its last digits."""
    assert value.dtype == BFLOAT16 and value.shape == exact.shape and is_channels_last(value)
    check_near(value, exact, 2**-8)


def check_near(value, exact, relative):
    error = np.abs(back(value).astype(np.float64) - exact)
    assert (error <= relative * np.abs(exact) + 1e-5 * np.abs(exact).max(initial=0)).all(), error.max()


def check_convolution(x, weight, bias, *geometry, layout=channels_last):
    """Forward and all gradients."""
    (x, exact_x), (_, exact_weight) = rounded(x), rounded(weight)
    weight, exact_bias = there(np.float32(weight)), None if bias is None else np.float32(bias).astype(np.float64)
    y = tensor_conv.conv2d_forward(layout(x), weight, None if bias is None else there(np.float32(bias)), *geometry)
    check_rounded(y, reference.conv2d_forward(exact_x, exact_weight, exact_bias, *geometry))
    grad_out, exact_grad = rounded(normal(*y.shape))
    grad_x = tensor_conv.conv2d_grad_x(layout(grad_out), x.shape, weight, *geometry)
    check_rounded(grad_x, reference.conv2d_grad_x(exact_grad, x.shape, exact_weight, *geometry))
    grad_weight = tensor_conv.conv2d_grad_weight(layout(grad_out), layout(x), weight.shape, *geometry)
    assert grad_weight.dtype == np.float32
    check_near(grad_weight, reference.conv2d_grad_weight(exact_grad, exact_x, weight.shape, *geometry), 1e-6)
    grad_bias = tensor_conv.conv2d_grad_bias(layout(grad_out))
    assert grad_bias.dtype == np.float32
    check_near(grad_bias, exact_grad.sum((0, 2, 3)), 1e-6)


@settings(max_examples=25)
@given(case=convolutions())
def test_convolutions(case):
    check_convolution(*case.arrays(), *geometry_of(case))


def test_any_layout_in_memory():
    geometry = (1, 1), SAME, (1, 1), 1
    check_convolution(normal(2, 9, 5, 6), normal(4, 9, 3, 3), normal(4), *geometry, layout=there)
    check_convolution(
        normal(2, 9, 6, 5), normal(4, 9, 3, 3), None, *geometry, layout=lambda a: a[:, :, :, ::-1][..., ::-1]
    )


@pytest.mark.parametrize("groups, dilation", [(1, 2), (2, 1)])
def test_several_tiles(groups, dilation):
    """More filters and positions than a block takes, in groups whose channels are no whole vectors, and a stride that
    leaves gaps."""
    x, weight, bias = normal(2, 20 * groups, 13, 9), normal(132 * groups, 20, 3, 2), normal(132 * groups)
    check_convolution(x, weight, bias, (2, 1), ((1, 0), (2, 1)), (dilation, dilation), groups)


@pytest.mark.parametrize(
    "size, kernel, stride, padding, dilation",
    [
        ((7, 6), (1, 1), (2, 2), NO_PADDING, (1, 1)),  # three phases of four that no tap sees
        ((9, 8), (3, 3), (2, 2), SAME, (1, 1)),
        ((9, 11), (3, 2), (2, 3), SAME, (2, 1)),  # a dilation that is no multiple of the stride, and one that is
        ((11, 10), (3, 3), (4, 2), ((0, 2), (3, 0)), (2, 3)),
        ((2, 3), (2, 2), (5, 4), SAME, (1, 1)),  # a stride beyond the image
    ],
)
def test_strides(size, kernel, stride, padding, dilation):
    check_convolution(normal(2, 8, *size), normal(16, 8, *kernel), None, stride, padding, dilation, 1)


def test_depthwise():
    check_convolution(normal(2, 6, 5, 7), normal(12, 1, 3, 3), normal(12), (1, 1), SAME, (1, 1), 6)


def test_splits(monkeypatch):
    """Sums of all three products in parts, the last one shorter."""
    monkeypatch.setattr(tensor_conv, "SHORTEST", 64)
    check_convolution(normal(2, 24, 9, 11), normal(40, 24, 3, 3), normal(40), (1, 1), SAME, (1, 1), 1)


def test_more_splits_than_are_added_up_at_once(monkeypatch):
    monkeypatch.setattr(tensor_conv, "SHORTEST", 32)
    check_convolution(normal(2, 8, 18, 19), normal(8, 8, 1, 1), None, *POINTWISE)  # 684 positions: 22 splits


def test_one_image_and_none():
    check_convolution(normal(1, 16, 1, 1), normal(8, 16, 1, 1), normal(8), (1, 1), NO_PADDING, (1, 1), 1)
    geometry = POINTWISE
    x, weight = rounded(normal(0, 8, 3, 3))[0], there(normal(4, 8, 1, 1))
    assert tensor_conv.conv2d_forward(x, weight, None, *geometry).shape == (0, 4, 3, 3)
    grad_out = rounded(normal(0, 4, 3, 3))[0]
    assert not back(tensor_conv.conv2d_grad_weight(grad_out, x, weight.shape, *geometry)).any()
    assert tensor_conv.conv2d_grad_x(grad_out, x.shape, weight, *geometry).shape == x.shape


@pytest.mark.parametrize("channels", [3, 16])
def test_nan_stays_in_the_windows_that_see_it(channels):
    x, weight, geometry = normal(2, channels, 9, 9), normal(3, channels, 2, 3), ((1, 2), ((0, 0), (1, 1)), (1, 1), 1)
    x[0, 0, 4, 4] = np.nan
    y = back(tensor_conv.conv2d_forward(channels_last(rounded(x)[0]), there(weight), None, *geometry))
    np.testing.assert_array_equal(
        np.isnan(y.astype(np.float32)), np.isnan(reference.conv2d_forward(x, weight, None, *geometry))
    )


@pytest.mark.parametrize("shape, filters", [((5, 70), 30), ((3, 2, 8), 65), ((130, 9), 200), ((0, 4), 3)])
def test_linear(shape, filters):
    (x, exact_x), weight, bias = rounded(normal(*shape)), normal(filters, shape[-1]), normal(filters)
    exact_weight = rounded(weight)[1]
    y = tensor_conv.linear_forward(x, there(weight), there(bias))
    assert y.dtype == BFLOAT16 and y.flags.c_contiguous
    check_near(y, exact_x @ exact_weight.T + bias, 2**-8)
    grad_out, exact_grad = rounded(normal(*y.shape))
    grad_x = tensor_conv.linear_grad_x(grad_out, there(weight))
    assert grad_x.dtype == BFLOAT16
    check_near(grad_x, exact_grad @ exact_weight, 2**-8)
    rows, columns = math.prod(shape[:-1]), shape[-1]
    grad_weight = tensor_conv.linear_grad_weight(grad_out, x)
    assert grad_weight.dtype == np.float32
    check_near(grad_weight, exact_grad.reshape(rows, filters).T @ exact_x.reshape(rows, columns), 1e-6)
    check_near(tensor_conv.linear_grad_bias(grad_out), exact_grad.reshape(rows, filters).sum(0), 1e-6)


def test_results_repeat_bit_for_bit(monkeypatch):
    monkeypatch.setattr(tensor_conv, "SHORTEST", 64)
    geometry, weight = ((1, 1), SAME, (1, 1), 1), there(normal(24, 16, 3, 3))
    x = channels_last(rounded(normal(2, 16, 6, 6))[0])
    first, again = (back(tensor_conv.conv2d_forward(x, weight, None, *geometry)) for _ in range(2))
    assert first.tobytes() == again.tobytes()


# What the kernels ask of memory


@pytest.fixture
def emulated(monkeypatch):
    monkeypatch.setenv("MINICNN_EMULATE_GPU", "1")


@pytest.mark.emulator
@pytest.mark.parametrize("filters", [128, 64])
def test_shared_memory_without_conflicts(emulated, filters):
    """Each read by ldmatrix, and each pass of results through shared memory, in as few turns as its bytes need."""
    x, weight = channels_last(rounded(normal(1, 32, 16, 16))[0]), there(normal(filters, 32, 3, 3))
    geometry = (1, 1), SAME, (1, 1), 1
    with recording() as launches:
        grad_out = tensor_conv.conv2d_forward(x, weight, None, *geometry)
        tensor_conv.conv2d_grad_x(grad_out, x.shape, weight, *geometry)
        tensor_conv.conv2d_grad_weight(grad_out, x, weight.shape, *geometry)
    for launch in (launch for launch in launches if launch.kernel.startswith("conv2d_")):
        for accesses in (launch.reads("shared"), launch.writes("shared")):
            vectors = accesses[accesses["bytes"] == 16]
            assert turns(vectors) == 4 * len(np.unique(requests(vectors))), launch.kernel
        words = launch.writes("shared")[launch.writes("shared")["bytes"] == 4]
        words = words[words["offset"] < 4 * 64 * 192]  # results; behind the tiles lie vectors, Positions
        assert turns(words) == len(np.unique(requests(words))), launch.kernel


@pytest.mark.emulator
def test_global_memory_is_read_and_written_in_whole_sectors(emulated):
    x, weight = channels_last(rounded(normal(2, 64, 8, 8))[0]), there(normal(64, 64, 1, 1))
    geometry = POINTWISE
    with recording() as launches:
        y = tensor_conv.conv2d_forward(x, weight, None, *geometry)
        tensor_conv.conv2d_grad_x(y, x.shape, weight, *geometry)
    for launch, read, written in zip(launches[1::2], ("x", "grad_out"), ("y", "grad_x"), strict=True):
        assert sectors(launch.reads(read)) * 32 == x.nbytes
        writes = launch.writes(written)
        assert sectors(writes[writes["bytes"] == 16]) * 32 == y.nbytes


@pytest.mark.emulator
def test_grad_x_multiplies_no_zeros_between_outputs(emulated):
    """With stride 2, each pixel asks the outputs that see it, and not those between them."""
    x, weight = channels_last(rounded(normal(1, 32, 32, 32))[0]), there(normal(64, 32, 2, 2))
    geometry = (2, 2), NO_PADDING, (1, 1), 1
    with recording() as launches:
        y = tensor_conv.conv2d_forward(x, weight, None, *geometry)
        tensor_conv.conv2d_grad_x(y, x.shape, weight, *geometry)
    reads = launches[-1].reads("grad_out")
    assert reads["bytes"].sum() == 4 * y.nbytes  # each output by its 4 phases, once


@pytest.mark.emulator
def test_few_launches(emulated):
    """Nothing is packed but the weight, where channels are whole vectors."""
    x, weight = channels_last(rounded(normal(2, 16, 6, 6))[0]), there(normal(24, 16, 3, 3))
    geometry = (1, 1), SAME, (1, 1), 1
    with recording() as launches:
        y = tensor_conv.conv2d_forward(x, weight, None, *geometry)
        tensor_conv.conv2d_grad_x(y, x.shape, weight, *geometry)
        tensor_conv.conv2d_grad_weight(y, x, weight.shape, *geometry)
    names = [launch.kernel.removesuffix("_narrow") for launch in launches]
    assert names == ["pack_filters", "conv2d_forward", "pack_filters", "conv2d_grad_x", "conv2d_grad_weight"]


def test_too_large_an_image():
    with raises(ValueError, "conv2d", "65536 channels", "too large"):
        tensor_conv._geometry((1, 65536, 200, 200), (8, 65536, 1, 1), (1, 8, 200, 200))
