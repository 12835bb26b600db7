"""Softmax and log-softmax: slopes, huge scores, probabilities that sum to one."""

import numpy as np
import pytest
from checks import check_close, check_equals_torch, check_float32, check_gradients, forward, gradient, raises
from hypothesis import given
from strategies import with_axis

import minicnn.functional as F
from minicnn import Tensor

every_softmax = pytest.mark.parametrize("function", [F.softmax, F.log_softmax])


@every_softmax
@given(case=with_axis())
def test_gradients(place, function, case):
    check_gradients(place, function, case.arrays(), **case.options)


@every_softmax
@given(case=with_axis())
def test_equals_torch(place, torch, function, case):
    torch_function = getattr(torch.nn.functional, function.__name__)
    check_equals_torch(place, function, torch_function, case.arrays(), **case.options)


@every_softmax
@given(case=with_axis())
def test_float32(place, function, case):
    check_float32(place, function, case.arrays(), **case.options)


def test_huge_scores_stay_exact(place):
    x = np.array([[1e30, 0.0], [1e4, 1e4 - 1], [-1e4, -1e4]])
    check_close(forward(place, F.softmax, x, dim=1)[[0, 2]], np.array([[1, 0], [0.5, 0.5]]), 0)
    check_close(forward(place, F.log_softmax, x, dim=1)[1], np.log([1 / (1 + np.exp(-1)), 1 / (1 + np.exp(1))]), 1e-12)
    assert forward(place, F.log_softmax, x, dim=1)[0, 1] == -1e30


def test_excluded_scores(place):
    """-inf takes a class out; a row of nothing else has no answer."""
    x = np.array([[0.0, -np.inf]])
    check_close(forward(place, F.softmax, x, dim=1), np.array([[1.0, 0.0]]), 0)
    check_close(gradient(place, F.softmax, x, np.array([[1.0, 2.0]]), dim=1), np.array([[0.0, 0.0]]), 0)


@every_softmax
def test_empty(place, function):
    assert forward(place, function, np.empty((0, 3)), dim=1).shape == (0, 3)
    assert gradient(place, function, np.empty((0, 3)), dim=1).shape == (0, 3)


@every_softmax
def test_dim_must_be_an_axis(function):
    with raises(ValueError, function.__name__, "dim 2", "(2, 3)"):
        function(Tensor(np.ones((2, 3))), 2)
