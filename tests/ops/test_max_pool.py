"""Max-pooling: who wins, and that the padding never does."""

import numpy as np
import pytest
from checks import check_close, check_equals_torch, check_float32, check_gradients, forward, gradient, raises
from hypothesis import given
from strategies import distinct, poolings

import minicnn.functional as F
from minicnn import Tensor

MAX = poolings(dilated=True)


@given(case=MAX)
def test_gradients(place, case):
    check_gradients(place, F.max_pool2d, case.arrays(distinct), **case.options)


@given(case=MAX)
def test_equals_torch(place, torch, case):
    check_equals_torch(place, F.max_pool2d, torch.nn.functional.max_pool2d, case.arrays(distinct), **case.options)


@given(case=MAX)
def test_float32(place, case):
    check_float32(place, F.max_pool2d, case.arrays(distinct), **case.options)


def test_empty_batch(place):
    x = np.empty((0, 2, 4, 6))
    assert forward(place, F.max_pool2d, x, kernel_size=(2, 2)).shape[:2] == (0, 2)
    assert gradient(place, F.max_pool2d, x, kernel_size=(2, 2)).shape == x.shape


@given(case=MAX)
def test_ties_nan_and_infinities_equal_torch(place, torch, case):
    def few_values(rng, shape):
        return rng.choice([0.0, 1.0, np.nan, -np.inf, np.inf], shape, p=[0.3, 0.2, 0.1, 0.3, 0.1])

    check_equals_torch(place, F.max_pool2d, torch.nn.functional.max_pool2d, case.arrays(few_values), **case.options)


def image(rows):
    return np.array([[rows]], np.float64)


def test_the_first_of_equals_gets_the_gradient(place):
    check_close(gradient(place, F.max_pool2d, image([[7, 7], [7, 7]]), kernel_size=2), image([[1, 0], [0, 0]]), 0)


def test_overlapping_windows_add_up(place):
    x = image([[1, 5, 2], [3, 4, 0]])
    check_close(gradient(place, F.max_pool2d, x, kernel_size=2, stride=1), image([[0, 2, 0], [0, 0, 0]]), 0)


def test_nan_wins_wherever_it_stands(place):
    for spot in np.ndindex(2, 2):
        x = image([[9, 9], [9, 9]])
        x[0, 0][spot] = np.nan
        assert np.isnan(forward(place, F.max_pool2d, x, kernel_size=2)).all()
        assert gradient(place, F.max_pool2d, x, kernel_size=2)[0, 0][spot] == 1


def test_padding_never_wins(place):
    x = image([[-5, -6], [-7, -8]])
    check_close(forward(place, F.max_pool2d, x, kernel_size=2, padding=1), image([[-5, -6], [-7, -8]]), 0)
    lowest = np.full((1, 1, 2, 2), -np.inf)
    assert np.isneginf(forward(place, F.max_pool2d, lowest, kernel_size=3, padding=1)).all()
    check_close(gradient(place, F.max_pool2d, lowest, kernel_size=3, padding=1), image([[1, 0], [0, 0]]), 0)


def test_a_window_whose_taps_all_miss_the_image_sends_its_gradient_nowhere(place):
    x, window = np.ones((1, 1, 1, 1)), {"kernel_size": 2, "padding": 1, "dilation": 2}  # taps at -1 and 1
    assert np.isneginf(forward(place, F.max_pool2d, x, **window)).all()
    assert not gradient(place, F.max_pool2d, x, **window).any()


def test_an_infinite_gradient_reaches_the_winner_only(place):
    grad = gradient(place, F.max_pool2d, image([[1, 2], [3, 4]]), image([[np.inf]]), kernel_size=2)
    check_close(grad, image([[0, 0], [0, np.inf]]), 0)


def test_ceil_mode_keeps_only_windows_that_start_inside():
    x = Tensor(np.zeros((1, 1, 6, 5)))
    assert F.max_pool2d(x, 3, 2, ceil_mode=True).shape == (1, 1, 3, 2)
    assert F.max_pool2d(x, 3, 2).shape == (1, 1, 2, 2)
    assert F.max_pool2d(x, 2, 3, padding=1, ceil_mode=True).shape == (1, 1, 3, 2)  # the third column would start at 5


def test_ceil_mode_lets_a_window_be_larger_than_the_image(place, torch):
    options = {"kernel_size": (3, 2), "stride": (3, 1), "ceil_mode": True}
    x = np.arange(4.0).reshape(1, 1, 1, 4)
    check_equals_torch(place, F.max_pool2d, torch.nn.functional.max_pool2d, [x], **options)


def test_a_large_window(place, torch):
    x = np.random.default_rng(0).standard_normal((1, 2, 17, 18))
    check_equals_torch(place, F.max_pool2d, torch.nn.functional.max_pool2d, [x], kernel_size=(17, 17))  # 289 taps


X = (2, 3, 5, 6)


@pytest.mark.parametrize(
    "x, options, error, parts",
    [
        ((3, 5, 6), {"kernel_size": 2}, ValueError, ["input", "(N, C, H, W)", "(3, 5, 6)"]),
        ((2, 0, 5, 6), {"kernel_size": 2}, ValueError, ["input", "no channels", "(2, 0, 5, 6)"]),
        (X, {"kernel_size": 0}, ValueError, ["kernel_size", "at least 1", "0"]),
        (X, {"kernel_size": 2, "stride": 0}, ValueError, ["stride", "at least 1", "0"]),
        (X, {"kernel_size": 3, "padding": 2}, ValueError, ["padding", "half", "(3, 3)", "(2, 2)"]),
        (X, {"kernel_size": 3, "padding": -1}, ValueError, ["padding", "at least 0", "-1"]),
        (X, {"kernel_size": 2, "dilation": 0}, ValueError, ["dilation", "at least 1", "0"]),
        (X, {"kernel_size": (7, 2)}, ValueError, ["height", "7", "5 + 0 + 0", "smaller kernel"]),
        (X, {"kernel_size": 2.0}, TypeError, ["kernel_size", "2.0"]),
    ],
)
def test_errors(x, options, error, parts):
    with raises(error, "max_pool2d", *parts):
        F.max_pool2d(Tensor(np.ones(x)), **options)
