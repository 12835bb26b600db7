"""conv_transpose2d: against finite differences, PyTorch, loops, and conv2d's gradient; output sizes; its errors."""

import numpy as np
import pytest
from checks import (
    FAST_CPU,
    FAST_GPU,
    check_bfloat16,
    check_close,
    check_equals_torch,
    check_float32,
    check_gradients,
    check_refuses_mixed_dtypes,
    forward,
    gradient,
    needs_compiler,
    raises,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import LAYOUTS, SEEDS, Case, both, pairs

import minicnn.functional as F
from minicnn import Tensor


@st.composite
def transposed(draw):
    """(x, weight, bias or None) and every option; an output padding beyond the stride, and cut off to one pixel."""
    groups, group_in, group_out = draw(st.integers(1, 2)), draw(st.integers(1, 2)), draw(st.integers(1, 2))
    kernel = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    stride, dilation = draw(pairs(1, 3)), draw(pairs(1, 3))
    sizes, padding, more = [], [], []
    for k, s, d in zip(kernel, both(stride), both(dilation), strict=True):
        sizes.append(draw(st.integers(1, 3)))
        more.append(draw(st.integers(0, max(s, d) - 1)))
        padding.append(draw(st.integers(0, min(3, ((sizes[-1] - 1) * s + d * (k - 1) + more[-1]) // 2))))
    x, weight = (draw(st.integers(1, 2)), groups * group_in, *sizes), (groups * group_in, group_out, *kernel)
    bias = draw(st.sampled_from([None, (groups * group_out,)]))
    options = {"stride": stride, "padding": tuple(padding), "output_padding": tuple(more)}
    options |= {"groups": groups, "dilation": dilation}
    return Case((x, weight, bias), options, draw(SEEDS), draw(st.sampled_from(list(LAYOUTS))))


@given(case=transposed())
def test_gradients(place, case):
    check_gradients(place, F.conv_transpose2d, case.arrays(), **case.options)


@given(case=transposed())
def test_equals_torch(place, torch, case):
    check_equals_torch(place, F.conv_transpose2d, torch.nn.functional.conv_transpose2d, case.arrays(), **case.options)


@given(case=transposed())
def test_equals_loops(place, case):
    """The definition: every pixel, times the window of weights, is added to a window of the output."""
    x, weight, bias = arrays = case.arrays()
    stride, dilation = np.array(both(case.options["stride"])), np.array(both(case.options["dilation"]))
    y = forward(place, F.conv_transpose2d, *arrays, **case.options)
    expected = np.zeros(y.shape) + (0 if bias is None else bias.reshape(-1, 1, 1))
    inputs, outputs = len(weight) // case.options["groups"], weight.shape[1]
    for n, c, i, j in np.ndindex(*x.shape):
        for o, u, v in np.ndindex(*weight.shape[1:]):
            a, b = (i, j) * stride + (u, v) * dilation - case.options["padding"]
            if 0 <= a < y.shape[2] and 0 <= b < y.shape[3]:
                expected[n, c // inputs * outputs + o, a, b] += x[n, c, i, j] * weight[c, o, u, v]
    check_close(y, expected, 1e-12)


@given(case=transposed())
def test_float32(place, case):
    check_float32(place, F.conv_transpose2d, case.arrays(), **case.options)


@settings(max_examples=30)
@given(case=transposed())
def test_bfloat16(case):
    with FAST_CPU.active():
        check_bfloat16(FAST_CPU, F.conv_transpose2d, case.arrays(), **case.options)


@needs_compiler
@pytest.mark.gpu
@settings(max_examples=15)
@given(case=transposed())
def test_bfloat16_on_tensor_cores(case):
    with FAST_GPU.active():
        check_bfloat16(FAST_GPU, F.conv_transpose2d, case.arrays(), **case.options)


def test_it_is_the_gradient_of_conv2d(place):
    rng = np.random.default_rng(0)
    weight, grad_out = place.tensor(rng.standard_normal((6, 2, 3, 2))), rng.standard_normal((2, 6, 4, 5))
    options = {"stride": (2, 3), "padding": (1, 0), "groups": 2}
    expected = gradient(place, F.conv2d, np.ones((2, 4, 8, 15)), grad_out, weight=weight, **options)
    y = F.conv_transpose2d(place.tensor(grad_out), weight, output_padding=(1, 1), **options)
    check_close(y.numpy(), expected, 1e-12)


def test_the_pages_example(place):
    x, weight = np.array([[[[1.0, 10], [100, 1000]]]]), np.array([[[[1.0, 2], [3, 4]]]])
    side_by_side = [[1, 2, 10, 20], [3, 4, 30, 40], [100, 200, 1000, 2000], [300, 400, 3000, 4000]]
    np.testing.assert_array_equal(forward(place, F.conv_transpose2d, x, weight, stride=2)[0, 0], side_by_side)
    overlapping = [[1, 12, 20], [103, 1234, 2040], [300, 3400, 4000]]
    np.testing.assert_array_equal(forward(place, F.conv_transpose2d, x, weight)[0, 0], overlapping)


@pytest.mark.parametrize(
    "channels, outputs, options", [(16, 20, {"padding": 1}), (20, 16, {"stride": 2, "padding": 1})]
)
def test_many_channels(place, torch, channels, outputs, options):
    """By which the processor chooses other algorithms."""
    if (place.device, place.tier) == ("cuda", "plain"):
        pytest.skip("the simulator would run some million multiplications one by one")
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(s) for s in ((2, channels, 6, 5), (channels, outputs, 3, 3), (outputs,))]
    check_equals_torch(
        place, F.conv_transpose2d, torch.nn.functional.conv_transpose2d, arrays, tolerance=1e-9, **options
    )


def test_no_images(place):
    y = forward(place, F.conv_transpose2d, np.empty((0, 2, 4, 5)), np.ones((2, 3, 2, 2)), np.ones(3), stride=2)
    assert y.shape == (0, 3, 8, 10)


def test_mixed_dtypes(place):
    check_refuses_mixed_dtypes(place, F.conv_transpose2d, [np.ones(s) for s in ((1, 2, 3, 3), (2, 2, 2, 2), (2,))])


X = (2, 4, 5, 6)
W = (4, 3, 3, 2)


@pytest.mark.parametrize(
    "x, weight, bias, options, error, parts",
    [
        ((4, 5, 6), W, None, {}, ValueError, ["input", "(N, C, H, W)", "(4, 5, 6)"]),
        ((2, 4, 0, 6), W, None, {}, ValueError, ["input", "(2, 4, 0, 6)", "nothing in it"]),
        (X, (4, 3, 3), None, {}, ValueError, ["weight", "(C, OC/groups, KH, KW)", "(4, 3, 3)"]),
        (X, (4, 0, 3, 3), None, {}, ValueError, ["weight", "(4, 0, 3, 3)"]),
        (X, (3, 4, 3, 2), None, {}, ValueError, ["weight", "3 channels", "(2, 4, 5, 6) has 4", "other way round"]),
        (X, W, None, {"groups": 3}, ValueError, ["groups", "4 input", "got 3"]),
        (X, W, None, {"groups": 0}, ValueError, ["groups", "got 0"]),
        (X, W, (3,), {"groups": 2}, ValueError, ["bias", "(6,)", "(3,)"]),
        (X, W, None, {"stride": 0}, ValueError, ["stride", "at least 1", "0"]),
        (X, W, None, {"padding": -1}, ValueError, ["padding", "at least 0", "-1"]),
        (X, W, None, {"padding": "same"}, TypeError, ["padding", "'same'"]),
        (X, W, None, {"dilation": (1, 0)}, ValueError, ["dilation", "at least 1", "got 0"]),
        (X, W, None, {"output_padding": 1}, ValueError, ["output_padding", "smaller", "1 and 1", "height", "got 1"]),
        (X, W, None, {"output_padding": (1, 3), "stride": 2, "dilation": (1, 3)}, ValueError, ["2 and 3", "width"]),
        (X, W, None, {"padding": (0, 4)}, ValueError, ["width", "7 from 6", "kernel 2", "cuts off 8", "smaller"]),
    ],
)
def test_errors(x, weight, bias, options, error, parts):
    tensors = [None if shape is None else Tensor(np.ones(shape)) for shape in (x, weight, bias)]
    with raises(error, "conv_transpose2d", *parts):
        F.conv_transpose2d(*tensors, **options)
