"""Adaptive average-pooling: windows that divide any image."""

import numpy as np
import pytest
from checks import check_equals_torch, check_float32, check_gradients, forward, gradient, raises
from hypothesis import given
from hypothesis import strategies as st
from strategies import LAYOUTS, SEEDS, SIDES, Case, distinct

import minicnn.functional as F
from minicnn import Tensor


@st.composite
def adaptive(draw):
    sizes = st.integers(1, 6)
    x = draw(st.tuples(st.integers(1, 2), SIDES, sizes, sizes))
    out = st.none() | sizes
    options = {"output_size": draw(sizes | st.tuples(out, out))}
    return Case((x,), options, draw(SEEDS), draw(st.sampled_from(list(LAYOUTS))))


@given(case=adaptive())
def test_gradients(place, case):
    check_gradients(place, F.adaptive_avg_pool2d, case.arrays(distinct), **case.options)


@given(case=adaptive())
def test_equals_torch(place, torch, case):
    check_equals_torch(
        place, F.adaptive_avg_pool2d, torch.nn.functional.adaptive_avg_pool2d, case.arrays(distinct), **case.options
    )


@given(case=adaptive())
def test_float32(place, case):
    check_float32(place, F.adaptive_avg_pool2d, case.arrays(distinct), **case.options)


def test_empty_batch(place):
    x = np.empty((0, 2, 4, 6))
    assert forward(place, F.adaptive_avg_pool2d, x, output_size=(2, 2)).shape[:2] == (0, 2)
    assert gradient(place, F.adaptive_avg_pool2d, x, output_size=(2, 2)).shape == x.shape


X = (2, 3, 5, 6)


@pytest.mark.parametrize(
    "x, options, error, parts",
    [
        (X, {"output_size": 0}, ValueError, ["output_size", "at least 1"]),
        (X, {"output_size": (1, 2, 3)}, TypeError, ["output_size", "(1, 2, 3)"]),
        ((2, 3, 0, 6), {"output_size": 1}, ValueError, ["(2, 3, 0, 6)", "nothing to average"]),
        ((3, 5, 6), {"output_size": 1}, ValueError, ["input", "(3, 5, 6)"]),
    ],
)
def test_errors(x, options, error, parts):
    with raises(error, "adaptive_avg_pool2d", *parts):
        F.adaptive_avg_pool2d(Tensor(np.ones(x)), **options)
