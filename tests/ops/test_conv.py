"""conv2d against finite differences, PyTorch and seven nested loops; the geometries that break; its errors."""

import numpy as np
import pytest
from checks import (
    FAST_CPU,
    FAST_GPU,
    Place,
    check_bfloat16,
    check_close,
    check_equals_torch,
    check_float32,
    check_gradients,
    check_refuses_mixed_dtypes,
    forward,
    needs_compiler,
    raises,
    run,
)
from hypothesis import given, settings
from strategies import convolutions

import minicnn.functional as F
from minicnn import Tensor
from minicnn.ops import conv
from minicnn.ops.geometry import pair

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")


@given(case=convolutions())
def test_gradients(place, case):
    check_gradients(place, F.conv2d, case.arrays(), **case.options)


@given(case=convolutions())
def test_equals_torch(place, torch, case):
    check_equals_torch(place, F.conv2d, torch.nn.functional.conv2d, case.arrays(), **case.options)


@given(case=convolutions())
def test_equals_seven_loops(place, case):
    arrays = case.arrays()
    check_close(forward(place, F.conv2d, *arrays, **case.options), conv2d_by_loops(*arrays, **case.options), 1e-12)


@given(case=convolutions())
def test_float32(place, case):
    check_float32(place, F.conv2d, case.arrays(), **case.options)


@settings(max_examples=30)
@given(case=convolutions())
def test_bfloat16(case):
    with FAST_CPU.active():
        check_bfloat16(FAST_CPU, F.conv2d, case.arrays(), **case.options)


@needs_compiler
@pytest.mark.gpu
@settings(max_examples=15)
@given(case=convolutions())
def test_bfloat16_on_tensor_cores(case):
    with FAST_GPU.active():
        check_bfloat16(FAST_GPU, F.conv2d, case.arrays(), **case.options)


def conv2d_by_loops(x, weight, bias, stride, padding, dilation, groups):
    """The definition, number by number."""
    kernel = np.array(weight.shape[2:])
    stride, dilation = np.array(pair("", "", stride, 1)), np.array(pair("", "", dilation, 1))
    if padding == "same":
        before = dilation * (kernel - 1) // 2
        size = np.array(x.shape[2:])
    else:
        before = np.array((0, 0) if padding == "valid" else pair("", "", padding, 0))
        size = (x.shape[2:] + 2 * before - dilation * (kernel - 1) - 1) // stride + 1
    y = np.zeros((len(x), len(weight), *size))
    filters_per_group = len(weight) // groups
    for n, o, i, j in np.ndindex(*y.shape):
        y[n, o, i, j] = 0 if bias is None else bias[o]
        first_channel = o // filters_per_group * weight.shape[1]
        for c, u, v in np.ndindex(*weight.shape[1:]):
            row, column = (i, j) * stride + (u, v) * dilation - before
            if 0 <= row < x.shape[2] and 0 <= column < x.shape[3]:
                y[n, o, i, j] += x[n, first_channel + c, row, column] * weight[o, c, u, v]
    return y


@pytest.mark.parametrize(
    "x_shape, weight_shape, options",
    [
        ((2, 3, 7, 8), (4, 3, 2, 2), {"stride": 3}),  # gaps between the windows
        ((1, 2, 3, 4), (3, 2, 2, 3), {"padding": (2, 4)}),  # windows that see nothing but padding
        ((1, 2, 3, 4), (3, 2, 5, 6), {"padding": 1}),  # the window is the padded image
        ((2, 1, 1, 6), (2, 1, 1, 4), {}),
        ((2, 1, 6, 1), (2, 1, 4, 1), {}),
        ((1, 2, 9, 5), (3, 2, 9, 5), {}),
        ((0, 2, 4, 5), (3, 2, 2, 2), {"padding": 1}),
        ((2, 3, 12, 1), (2, 3, 3, 1), {"dilation": (5, 1)}),
        ((1, 3, 4, 4), (3, 1, 3, 3), {"groups": 3, "padding": "same"}),
    ],
)
def test_unusual_geometry(place, torch, x_shape, weight_shape, options):
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(shape) for shape in (x_shape, weight_shape, weight_shape[:1])]
    check_equals_torch(place, F.conv2d, torch.nn.functional.conv2d, arrays, tolerance=1e-12, **options)


def test_without_input_channels_the_bias_remains(place):
    """A sum over nothing is 0; PyTorch loses the output channels here."""
    y, (grad_x, grad_weight, grad_bias) = run(place, F.conv2d, [np.ones(s) for s in ((2, 0, 4, 5), (3, 0, 2, 2), (3,))])
    check_close(y, np.ones((2, 3, 3, 4)), 0)
    assert grad_x.shape == (2, 0, 4, 5) and grad_weight.shape == (3, 0, 2, 2) and grad_bias.all()


def test_images_taken_one_at_a_time_give_the_same(monkeypatch):
    place = Place("cpu", "plain")
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(shape) for shape in ((5, 4, 6, 7), (6, 2, 3, 2), (6,))]
    y, grads = run(place, F.conv2d, arrays, groups=2)
    monkeypatch.setattr(conv, "COL_BYTES", 1)
    other_y, other_grads = run(place, F.conv2d, arrays, groups=2)
    for value, other in zip([y, *grads], [other_y, *other_grads], strict=True):
        check_close(value, other, 1e-12)


def test_mixed_dtypes(place):
    arrays = [np.ones(shape) for shape in ((1, 2, 3, 3), (2, 2, 2, 2), (2,))]
    check_refuses_mixed_dtypes(place, F.conv2d, arrays)


X = (2, 4, 5, 6)
W = (6, 4, 3, 3)


@pytest.mark.parametrize(
    "x, weight, bias, options, error, parts",
    [
        ((4, 5, 6), W, None, {}, ValueError, ["input", "(N, C, H, W)", "(4, 5, 6)"]),
        (X, (6, 4, 3), None, {}, ValueError, ["weight", "(OC, C/groups, KH, KW)", "(6, 4, 3)"]),
        (X, (0, 4, 3, 3), None, {}, ValueError, ["weight", "(0, 4, 3, 3)"]),
        (X, (6, 3, 3, 3), None, {}, ValueError, ["weight", "(6, 3, 3, 3)", "3 channels", "(2, 4, 5, 6)", "has 4"]),
        (X, W, None, {"groups": 3}, ValueError, ["groups", "4 input", "6 output", "got 3"]),
        (X, W, None, {"groups": 0}, ValueError, ["groups", "got 0"]),
        (X, W, (5,), {}, ValueError, ["bias", "(6,)", "(5,)"]),
        (X, W, None, {"stride": 0}, ValueError, ["stride", "at least 1", "0"]),
        (X, W, None, {"padding": -1}, ValueError, ["padding", "at least 0", "-1"]),
        (X, W, None, {"dilation": (1, 0)}, ValueError, ["dilation", "at least 1", "got 0"]),
        (X, W, None, {"stride": 1.5}, TypeError, ["stride", "1.5"]),
        (X, W, None, {"padding": (1, 2, 3)}, TypeError, ["padding", "(1, 2, 3)"]),
        (X, W, None, {"padding": "full"}, ValueError, ["padding", "'full'", "same", "valid"]),
        (X, W, None, {"padding": "same", "stride": 2}, ValueError, ["same", "stride 1", "(2, 2)"]),
        (X, (6, 4, 3, 7), None, {}, ValueError, ["width", "7", "6 + 0 + 0", "smaller kernel"]),
        (X, W, None, {"dilation": 3, "padding": (0, 1)}, ValueError, ["height", "7", "5 + 0 + 0"]),
    ],
)
def test_errors(x, weight, bias, options, error, parts):
    tensors = [None if shape is None else Tensor(np.ones(shape)) for shape in (x, weight, bias)]
    with raises(error, "conv2d", *parts):
        F.conv2d(*tensors, **options)
