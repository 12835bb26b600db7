"""Average-pooling: who shares, and where the padding counts."""

import numpy as np
import pytest
from checks import check_equals_torch, check_float32, check_gradients, forward, gradient, raises
from hypothesis import given
from hypothesis import strategies as st
from strategies import PERHAPS, distinct, poolings

import minicnn.functional as F
from minicnn import Tensor

AVERAGE = poolings(count_include_pad=PERHAPS, divisor_override=st.sampled_from([None, 2, -3]))


@given(case=AVERAGE)
def test_gradients(place, case):
    check_gradients(place, F.avg_pool2d, case.arrays(distinct), **case.options)


@given(case=AVERAGE)
def test_equals_torch(place, torch, case):
    check_equals_torch(place, F.avg_pool2d, torch.nn.functional.avg_pool2d, case.arrays(distinct), **case.options)


@given(case=AVERAGE)
def test_float32(place, case):
    check_float32(place, F.avg_pool2d, case.arrays(distinct), **case.options)


def test_empty_batch(place):
    x = np.empty((0, 2, 4, 6))
    assert forward(place, F.avg_pool2d, x, kernel_size=(2, 2)).shape[:2] == (0, 2)
    assert gradient(place, F.avg_pool2d, x, kernel_size=(2, 2)).shape == x.shape


def test_the_average_counts_padding_but_not_what_hangs_over(place):
    x = np.ones((1, 1, 2, 2))
    at_corner = {"kernel_size": 2, "stride": 3, "padding": 1}
    assert forward(place, F.avg_pool2d, x, **at_corner).item() == 0.25
    assert forward(place, F.avg_pool2d, x, **at_corner, count_include_pad=False).item() == 1
    assert forward(place, F.avg_pool2d, x, kernel_size=(3, 2), ceil_mode=True).item() == 1


def test_ceil_mode_keeps_only_windows_that_start_inside():
    x = Tensor(np.zeros((1, 1, 6, 5)))
    assert F.avg_pool2d(x, 3, 2, ceil_mode=True).shape == (1, 1, 3, 2)
    assert F.avg_pool2d(x, 3, 2).shape == (1, 1, 2, 2)
    assert F.avg_pool2d(x, 2, 3, padding=1, ceil_mode=True).shape == (1, 1, 3, 2)  # the third column would start at 5


def test_ceil_mode_lets_a_window_be_larger_than_the_image(place, torch):
    options = {"kernel_size": (3, 2), "stride": (3, 1), "ceil_mode": True}
    x = np.arange(4.0).reshape(1, 1, 1, 4)
    check_equals_torch(place, F.avg_pool2d, torch.nn.functional.avg_pool2d, [x], **options)


X = (2, 3, 5, 6)


@pytest.mark.parametrize(
    "x, options, error, parts",
    [
        (X, {"kernel_size": 7}, ValueError, ["height", "7"]),
        (X, {"kernel_size": 2, "divisor_override": 0}, ValueError, ["divisor_override", "0"]),
    ],
)
def test_errors(x, options, error, parts):
    with raises(error, "avg_pool2d", *parts):
        F.avg_pool2d(Tensor(np.ones(x)), **options)
