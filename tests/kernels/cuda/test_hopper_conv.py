"""Hopper's convolutions, in the emulator. Factors are whole numbers, so that results must be right to the last bit."""

import numpy as np
import pytest
from checks import Place, needs_compiler, raises
from hypothesis import given, settings
from real_gpu import back, there
from strategies import convolutions
from test_hopper import Array, exactly, for_hopper  # noqa: F401 (a fixture for each test)

import minicnn.functional as F
from minicnn.device import DeviceError, KernelError
from minicnn.envvars import EnvVarError
from minicnn.kernels.cuda import conv, hopper, hopper_conv
from minicnn.ops import conv as reference
from minicnn.ops.geometry import pair
from minicnn.precision import BFLOAT16, precision

pytestmark = [needs_compiler, pytest.mark.gpu, pytest.mark.untried]

ALL = ["conv2d_forward", "conv2d_grad_x", "conv2d_grad_weight", "multiply", "multiply", "multiply"]
PLAIN = (1, 1), ((0, 0), (0, 0)), (1, 1), 1  # stride, padding, dilation, groups


def numbers(seed, *shape):
    return np.random.default_rng(seed).integers(-3, 4, shape).astype(np.float32)


def check(x_shape, weight_shape, stride, padding, dilation, groups, *, biased=True):
    """All three passes beside the op's page, in the precision of float64."""
    geometry = stride, padding, dilation, groups
    x, weight, bias = numbers(0, *x_shape), numbers(1, *weight_shape), numbers(2, weight_shape[0]) if biased else None
    rounded = there(x.astype(BFLOAT16))
    y = conv.conv2d_by_hopper(rounded, there(weight), there(bias), *geometry)
    expected = reference.conv2d_forward(x, weight, bias, *geometry)
    exactly(y, expected)
    assert y.transpose(0, 2, 3, 1).flags.c_contiguous
    grad_out = numbers(3, *expected.shape)
    given = there(grad_out.astype(BFLOAT16))
    grad_x = hopper_conv.conv2d_grad_x(given, x.shape, there(weight), *geometry)
    exactly(grad_x, reference.conv2d_grad_x(grad_out, x.shape, weight, *geometry))
    assert grad_x.transpose(0, 2, 3, 1).flags.c_contiguous
    grad_weight = hopper_conv.conv2d_grad_weight(given, rounded, weight.shape, *geometry)
    assert grad_weight.dtype == np.float32
    np.testing.assert_array_equal(back(grad_weight), reference.conv2d_grad_weight(grad_out, x, weight.shape, *geometry))


@settings(max_examples=12)
@given(case=convolutions())
def test_convolutions(case):
    x, weight, bias = case.arrays()
    padding = 1 if isinstance(case.options["padding"], str) else case.options["padding"]
    sides = tuple((p, p) for p in pair("conv2d", "padding", padding, 0))
    stride, dilation = (pair("conv2d", name, case.options[name], 1) for name in ("stride", "dilation"))
    check(x.shape, weight.shape, stride, sides, dilation, case.options["groups"], biased=bias is not None)


@pytest.mark.parametrize("groups, stride", [(1, (1, 2)), (2, (2, 1))])
def test_convolutions_of_several_pieces(groups, stride):
    """More positions, filters and channels than a tile has, more tiles than stages; sides that differ."""
    check((2, 68 * groups, 11, 12), (131 * groups, 68, 3, 2), stride, ((1, 0), (2, 1)), (1, 1), groups)


def test_a_step_that_no_tap_takes():
    """Stride 3, dilation 2, then a window of one pixel at stride 2: pixels that few, or no, windows see."""
    check((2, 8, 13, 14), (8, 8, 3, 3), (3, 2), ((2, 2), (1, 3)), (2, 3), 1)
    check((2, 3, 6, 7), (5, 3, 1, 1), (2, 2), ((0, 0), (0, 0)), (1, 1), 1)


def test_sums_in_parts(monkeypatch):
    monkeypatch.setattr(hopper_conv, "SHORTEST", 64)
    check((2, 8, 12, 11), (3, 8, 2, 2), (1, 1), ((0, 1), (1, 0)), (1, 1), 1)


def test_no_images():
    check((0, 8, 5, 5), (8, 8, 3, 3), *PLAIN)


def test_nan_stays_in_the_windows_that_see_it():
    """Groups are rows of one array to TMA: zeros fill them up, not the neighbour's channels."""
    x, weight, geometry = numbers(0, 2, 6, 9, 9), numbers(1, 4, 3, 2, 3), ((1, 2), ((0, 0), (1, 1)), (1, 1), 2)
    x[0, 0, 4, 4] = np.nan
    y = hopper_conv.conv2d_forward(there(x.astype(BFLOAT16)), there(weight), None, *geometry)
    expected = reference.conv2d_forward(x, weight, None, *geometry)
    np.testing.assert_array_equal(np.isnan(back(y).astype(np.float32)), np.isnan(expected))


def test_what_tma_cannot():
    x, weight = there(numbers(0, 1, 8, 9, 300).astype(BFLOAT16)), there(numbers(1, 8, 8, 1, 2))
    for stride, padding, dilation, words in [
        ((1, 9), (0, 0), (1, 1), ["stride (1, 9)", "8"]),
        ((1, 1), (129, 129), (1, 1), ["(0, -129)"]),
        ((1, 1), (0, 0), (1, 256), ["256 pixels apart", "255"]),
    ]:
        with raises(KernelError, "TMA cannot copy", "another kernel can", *words):
            hopper_conv.conv2d_forward(x, weight, None, stride, ((0, 0), padding), dilation, 1)


def test_layers_take_them_where_they_are_chosen(monkeypatch):
    """And give the same, to the last bit, as by the kernels that are taken otherwise."""
    place, taken = Place("cuda", "fast"), []
    for module in (hopper, hopper_conv):
        for name in ("multiply", "conv2d_forward", "conv2d_grad_x", "conv2d_grad_weight"):
            if function := vars(module).get(name):
                monkeypatch.setattr(module, name, lambda *a, f=function, **o: taken.append(f.__name__) or f(*a, **o))
    given = (numbers(0, 2, 3, 9, 8), numbers(1, 5, 3, 3, 2), numbers(2, 5)), (numbers(3, 7, 70), numbers(4, 10, 70))
    results = []
    for chosen in "01":
        monkeypatch.setenv("MINICNN_HOPPER", chosen)
        with place.active(), precision("bfloat16"):
            for function, arrays in zip((F.conv2d, F.linear), given, strict=True):
                tensors = [place.tensor(array, requires_grad=True) for array in arrays]
                y = function(*tensors)
                y.backward(place.tensor(numbers(5, *y.shape).astype(BFLOAT16)))
                results.append([y.numpy(), *(t.grad.numpy() for t in tensors)])
        assert sorted(taken) == sorted(ALL if chosen == "1" else [])
    for ours, others in zip(results[2:], results[:2], strict=True):
        for mine, other in zip(ours, others, strict=True):
            np.testing.assert_array_equal(mine, other)


def test_the_switch_is_one_or_zero(monkeypatch):
    monkeypatch.setenv("MINICNN_HOPPER", "sm_90")
    with raises(EnvVarError, "MINICNN_HOPPER must be 1 or 0"):
        hopper.is_chosen(numbers(0, 1).astype(BFLOAT16))


@pytest.mark.emulator
def test_other_gpus_are_refused():
    for function, *arguments in [
        (hopper_conv.conv2d_forward, Array, None, None),
        (hopper_conv.conv2d_grad_x, Array, None, None),
        (hopper_conv.conv2d_grad_weight, None, Array, None),
    ]:
        with raises(DeviceError, "9.0", "8.0"):
            function(*arguments, *PLAIN)
