"""Smooth L1 and L1 loss: both sides' gradients, every reduction and beta, the kinks, what is not finite, errors."""

import numpy as np
import pytest
from checks import check_close, check_equals_torch, check_float32, check_gradients, forward, gradient, raises
from hypothesis import given
from hypothesis import strategies as st
from strategies import TWO_EQUAL_SHAPES, a_quarter, cases

import minicnn.functional as F
from minicnn import Tensor
from minicnn.ops.labels import REDUCTIONS

REDUCED = {"reduction": st.sampled_from(REDUCTIONS)}
PAIRS = cases(TWO_EQUAL_SHAPES, **REDUCED, beta=st.sampled_from([0, 0.1, 1.0, 1.5]))


@a_quarter
@given(case=PAIRS)
def test_gradients(place, case):
    check_gradients(place, F.smooth_l1_loss, case.arrays(), **case.options)


@a_quarter
@given(case=PAIRS)
def test_equals_torch(place, torch, case):
    check_equals_torch(place, F.smooth_l1_loss, torch.nn.functional.smooth_l1_loss, case.arrays(), **case.options)


@a_quarter
@given(case=PAIRS)
def test_float32(place, case):
    check_float32(place, F.smooth_l1_loss, case.arrays(), **case.options)


@a_quarter
@given(case=cases(TWO_EQUAL_SHAPES, **REDUCED))
def test_l1_equals_torch(place, torch, case):
    check_equals_torch(place, F.l1_loss, torch.nn.functional.l1_loss, case.arrays(), **case.options)


def test_by_hand(place):
    x, target = np.array([0.0, 1.0, 3.0, -4.0]), np.zeros(4)
    values = forward(place, F.smooth_l1_loss, x, target, reduction="none", beta=2)
    np.testing.assert_array_equal(values, [0, 0.25, 2, 3])
    grad = gradient(place, F.smooth_l1_loss, x, target=target, reduction="sum", beta=2)
    np.testing.assert_array_equal(grad, [0, 0.5, 1, -1])
    assert forward(place, F.l1_loss, x, target) == 2
    np.testing.assert_array_equal(gradient(place, F.l1_loss, x, target=target), [0, 0.25, 0.25, -0.25])


@pytest.mark.parametrize("beta", [0, 1.0])
def test_what_is_not_finite(place, beta):
    x = np.array([np.inf, -np.inf, np.nan, 1e300])
    values = forward(place, F.smooth_l1_loss, x, np.zeros(4), reduction="none", beta=beta)
    np.testing.assert_array_equal(values, [np.inf, np.inf, np.nan, 1e300])
    grad = gradient(place, F.smooth_l1_loss, x, target=np.zeros(4), reduction="sum", beta=beta)
    np.testing.assert_array_equal(grad, [1, -1, np.nan, 1])


def test_the_target_has_the_opposite_gradient(place):
    a, b = np.array([1.0, -2.0]), np.array([0.5, 4.0])
    grad = gradient(place, lambda t: F.smooth_l1_loss(place.tensor(a), t), b)
    check_close(grad, np.array([-0.25, 0.5]), 1e-15)


@pytest.mark.parametrize("loss", [F.smooth_l1_loss, F.l1_loss])
def test_errors(loss):
    x = Tensor(np.ones((2, 3)))
    with raises(ValueError, loss.__name__, "input (2, 3)", "target (3,)", "reshape"):
        loss(x, np.ones(3))
    with raises(ValueError, loss.__name__, "reduction", "'average'"):
        loss(x, x, "average")
    with raises(TypeError, loss.__name__, "input is a ndarray"):
        loss(np.ones(3), np.ones(3))
    with raises(ValueError, loss.__name__, "no numbers", "(0, 3)"):
        loss(Tensor(np.ones((0, 3))), np.ones((0, 3)))
    with raises(ValueError, "smooth_l1_loss", "beta", "at least 0", "-1"):
        F.smooth_l1_loss(x, x, beta=-1)
