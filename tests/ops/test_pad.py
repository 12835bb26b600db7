"""Padding: every axis, crops, layouts, dtypes, and what it refuses."""

import numpy as np
import pytest
from checks import check_close, check_equals_torch, check_float32, check_gradients, forward, gradient, raises
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes
from strategies import LAYOUTS, SEEDS, Case

import minicnn
import minicnn.functional as F
from minicnn import Tensor
from minicnn.kernels.cpu.pad import pad_forward
from minicnn.ops.pad import INSTEAD


@st.composite
def paddings(draw):
    """(x,) of up to six axes, and the padding of some of the last: numbers of both signs."""
    shape = draw(array_shapes(min_dims=0, max_dims=6, max_side=3))
    sizes = []
    for length in shape[len(shape) - draw(st.integers(0, len(shape))) :]:
        before = draw(st.integers(-length, 2))
        sizes = [before, draw(st.integers(-length - min(before, 0), 2)), *sizes]
    options = {"pad": tuple(sizes), "value": draw(st.sampled_from([None, 0.5, -3]))}
    return Case((shape,), options, draw(SEEDS), draw(st.sampled_from(list(LAYOUTS))))


@given(case=paddings())
def test_gradients(place, case):
    check_gradients(place, F.pad, case.arrays(), **case.options)


@given(case=paddings())
def test_equals_torch(place, torch, case):
    check_equals_torch(place, F.pad, torch.nn.functional.pad, case.arrays(), tolerance=0, **case.options)


@given(case=paddings())
def test_float32(place, case):
    check_float32(place, F.pad, case.arrays(), **case.options)


def test_the_last_axis_comes_first(place):
    y = forward(place, F.pad, np.ones((1, 2)), pad=[0, 1, 2, 0], value=7)
    np.testing.assert_array_equal(y, [[7, 7, 7], [7, 7, 7], [1, 1, 7]])


def test_a_padding_that_only_crops(place):
    x = np.arange(12.0).reshape(3, 4)
    np.testing.assert_array_equal(forward(place, F.pad, x, pad=(-1, -2, 0, -1)), x[:2, 1:2])
    np.testing.assert_array_equal(gradient(place, F.pad, x, pad=(-1, -2)), np.eye(4)[[1, 1, 1]])


def test_what_is_cut_off_gets_no_gradient_whatever_it_is(place):
    grad = gradient(place, F.pad, np.zeros(3), [np.nan, 1.0, np.inf], pad=(1, -1), value=np.nan)
    np.testing.assert_array_equal(grad, [1.0, np.inf, 0.0])


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, np.float32(0.5), True])
def test_any_number_may_stand_around(place, value):
    for dtype in (np.float32, np.float64):
        y = forward(place, F.pad, np.zeros((2, 2), dtype), pad=(1, 0), value=value)
        assert y.dtype == dtype
        np.testing.assert_array_equal(y, [[value, 0, 0]] * 2)


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.bool_])
def test_integers_and_masks(place, torch, dtype):
    x = np.array([[1, 0], [0, 1]], dtype)
    for value in (None, 1):
        y = F.pad(place.tensor(x), (1, -1, 0, 2), value=value)
        assert y.dtype == dtype and y.device == place.device and not y.requires_grad
        expected = torch.nn.functional.pad(torch.tensor(x), (1, -1, 0, 2), value=value)
        np.testing.assert_array_equal(y.numpy(), expected.numpy())


@pytest.mark.parametrize(
    "shape, pad", [((0, 3), (1, 1)), ((0, 3), (1, 1, 2, 0)), ((2, 0, 3), (0, 1, 1, 2)), ((2, 0), ())]
)
def test_empty(place, torch, shape, pad):
    check_equals_torch(place, F.pad, torch.nn.functional.pad, [np.empty(shape)], tolerance=0, pad=pad, value=2.0)


def test_to_nothing(place):
    assert gradient(place, F.pad, np.ones((2, 3)), pad=(-1, -2)).tolist() == [[0, 0, 0]] * 2


def test_pictures_stay_as_they_lie():
    x = np.random.default_rng(0).standard_normal((2, 5, 4, 3))
    for array, order in ((x, (0, 1, 2, 3)), (LAYOUTS["channels last"](x), (0, 2, 3, 1))):
        y = pad_forward(array, ((0, 0), (1, 0), (2, 1), (0, 3)), 0.5)
        assert y.transpose(order).flags.c_contiguous
        check_close(y, np.pad(x, ((0, 0), (1, 0), (2, 1), (0, 3)), constant_values=0.5), 0)


@pytest.mark.parametrize(
    "arguments, error, parts",
    [
        ((1,), TypeError, ["pad must be pairs", "(before, after)", "got 1"]),
        (((1,),), ValueError, ["two numbers for each axis", "(1,)"]),
        (((1,) * 6,), ValueError, ["at most 2 axes of shape (2, 3)"]),
        (((1.0, 1),), TypeError, ["whole number", "1.0"]),
        (((True, 1),), TypeError, ["whole number", "True"]),
        (((-2, -2),), ValueError, ["(-2, -2)", "more than the 3 of axis 1", "(2, 3)"]),
        (((-4, 9),), ValueError, ["(-4, 9)", "more than the 3 of axis 1"]),
        (((1, 1), "constant", "0"), TypeError, ["value", "a str"]),
        (((1, 1), "constant", np.ones(3)), TypeError, ["value", "a ndarray"]),
        (((1, 1), "edge"), ValueError, ["mode", "'edge'", "'constant'"]),
    ],
)
def test_errors(arguments, error, parts):
    with raises(error, "pad", *parts):
        F.pad(Tensor(np.ones((2, 3))), *arguments)


@pytest.mark.parametrize(
    "x, value", [(np.arange(3), 0.5), (np.arange(3, dtype=np.uint8), -1), (np.arange(3, dtype=np.uint8), 256)]
)
def test_a_value_that_the_dtype_does_not_hold(x, value):
    with raises(TypeError, "pad", value, x.dtype, "astype"):
        F.pad(Tensor(x), (1, 1), value=value)


def test_around_a_mask_stand_true_and_false():
    with raises(TypeError, "pad", "2", "mask"):
        F.pad(Tensor(np.array([True])), (1, 1), value=2)


@pytest.mark.parametrize("mode", INSTEAD)
@pytest.mark.parametrize("a, b", [(1, 1), (2, 3)])
def test_what_to_write_for_another_mode_is_right(torch, mode, a, b):
    x = np.random.default_rng(0).standard_normal((2, 3, 4))
    with pytest.raises(ValueError, match=f"pad: mode '{mode}' is not built") as caught:
        F.pad(Tensor(x), (a, b), mode)
    y = eval(str(caught.value).partition("write ")[2], {"minicnn": minicnn, "x": Tensor(x), "a": a, "b": b})
    expected = torch.nn.functional.pad(torch.tensor(x), (a, b), mode)
    np.testing.assert_array_equal(y.numpy(), expected.numpy())
