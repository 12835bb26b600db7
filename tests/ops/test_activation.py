"""ReLU, leaky ReLU, ReLU6, sigmoid and tanh: slopes, the kink at 0, saturation, NaN, and overwriting the input."""

import numpy as np
import pytest
from checks import check_close, check_equals_torch, check_float32, check_gradients, forward, gradient, raises
from hypothesis import given
from strategies import ONE_SHAPE, a_quarter, away_from_zero, cases

import minicnn.functional as F
from minicnn import Tensor

ACTIVATIONS = [F.relu, F.leaky_relu, F.relu6, F.sigmoid, F.tanh]
every_activation = pytest.mark.parametrize("function", ACTIVATIONS)


@every_activation
@a_quarter
@given(case=cases(ONE_SHAPE))
def test_gradients(place, function, case):
    check_gradients(place, function, case.arrays(away_from_zero))


@every_activation
@a_quarter
@given(case=cases(ONE_SHAPE))
def test_equals_torch(place, torch, function, case):
    check_equals_torch(place, function, getattr(torch.nn.functional, function.__name__), case.arrays(away_from_zero))


@every_activation
@a_quarter
@given(case=cases(ONE_SHAPE))
def test_float32(place, function, case):
    check_float32(place, function, case.arrays(away_from_zero))


@a_quarter
@given(case=cases(ONE_SHAPE, layouts=("C", "F", "negative stride", "sliced", "channels last")))
def test_inplace_relu_in_a_graph(place, case):
    """On a result, not on a leaf: (2 x) is overwritten."""
    check_gradients(place, lambda x: F.relu(x * 2, inplace=True), case.arrays(away_from_zero))


def test_inplace_relu_writes_into_the_input(place):
    x = place.tensor(np.array([-1.0, 2.0]))
    assert F.relu(x, inplace=True) is x
    check_close(x.numpy(), np.array([0.0, 2.0]), 0)


def test_relu_at_its_kink_and_at_nan(place):
    x = np.array([0.0, -0.0, np.nan, np.inf, -np.inf])
    check_close(forward(place, F.relu, x), np.array([0, 0, np.nan, np.inf, 0]), 0)
    check_close(gradient(place, F.relu, x), np.array([0.0, 0, 1, 1, 0]), 0)


def test_relu_stops_an_infinite_gradient(place):
    grad = gradient(place, F.relu, np.array([-1.0, 1.0]), np.array([np.inf, -np.inf]))
    check_close(grad, np.array([0, -np.inf]), 0)


SLOPES = [0.2, 0.0, -0.5, 3.0]


@pytest.mark.parametrize("slope", SLOPES)
@a_quarter
@given(case=cases(ONE_SHAPE))
def test_slopes_of_leaky_relu(place, torch, slope, case):
    arrays = case.arrays(away_from_zero)
    check_gradients(place, F.leaky_relu, arrays, negative_slope=slope)
    check_equals_torch(place, F.leaky_relu, torch.nn.functional.leaky_relu, arrays, negative_slope=slope)


def test_leaky_relu_where_pytorch_decides(place, torch):
    """At 0 and at NaN the slope is the negative side's; at infinity times 0, NaN."""
    x = np.array([0.0, -0.0, np.nan, np.inf, -np.inf, -1.0, 1.0])
    for slope in SLOPES:
        with np.errstate(invalid="ignore"):  # 0 times infinity
            y = forward(place, F.leaky_relu, x, negative_slope=slope)
            grad = gradient(place, F.leaky_relu, x, negative_slope=slope)
        theirs = torch.tensor(x, requires_grad=True)
        expected = torch.nn.functional.leaky_relu(theirs, slope)
        expected.sum().backward()
        np.testing.assert_array_equal(y, expected.detach().numpy())
        np.testing.assert_array_equal(grad, theirs.grad.numpy())


@a_quarter
@given(case=cases(ONE_SHAPE, layouts=("C", "F", "negative stride", "sliced", "channels last")))
def test_inplace_leaky_relu_in_a_graph(place, case):
    check_gradients(place, lambda x: F.leaky_relu(x * 2, 0.1, inplace=True), case.arrays(away_from_zero))


def test_inplace_leaky_relu_writes_into_the_input(place):
    x = place.tensor(np.array([-1.0, 2.0]))
    assert F.leaky_relu(x, -0.5, inplace=True) is x  # no gradient is to come back: any slope will do
    check_close(x.numpy(), np.array([0.5, 2.0]), 0)


def test_a_negative_slope_in_place_loses_what_backward_needs(place):
    x = place.tensor(np.array([-1.0, 2.0]), requires_grad=True) * 1
    with raises(RuntimeError, "LeakyReLU", "inplace=True", "-0.5", "inplace=False"):
        F.leaky_relu(x, -0.5, inplace=True)
    check_close(x.numpy(), np.array([-1.0, 2.0]), 0)  # nothing was written


@pytest.mark.parametrize("slope, error", [("0.1", TypeError), (True, TypeError), (np.nan, ValueError)])
def test_a_slope_that_is_none(slope, error):
    with raises(error, "leaky_relu", "negative_slope", str(slope)):
        F.leaky_relu(Tensor([1.0]), slope)


def below_between_and_above(rng, shape):
    """Numbers below 0, between 0 and 6, and above 6, none nearer than 0.5 to 0 or 6."""
    return rng.choice([-3.0, 3.0, 9.0], shape) + rng.uniform(-2.5, 2.5, shape)


@a_quarter
@given(case=cases(ONE_SHAPE))
def test_relu6_on_both_sides_of_6(place, torch, case):
    arrays = case.arrays(below_between_and_above)
    check_gradients(place, F.relu6, arrays)
    check_equals_torch(place, F.relu6, torch.nn.functional.relu6, arrays)
    check_gradients(place, lambda x: F.relu6(x * 1, inplace=True), arrays)


def test_relu6_where_pytorch_decides(place, torch):
    """At NaN it does not: its gradient passes or not, as the processor takes one number or several at once."""
    x = np.array([0.0, -0.0, 6.0, np.nan, np.inf, -np.inf, -1.0, 7.0])
    theirs = torch.tensor(x, requires_grad=True)
    expected = torch.nn.functional.relu6(theirs)
    upstream = np.array([1.0, 1, 1, 0, np.inf, np.inf, np.nan, -np.inf])
    expected.backward(torch.from_numpy(upstream))
    np.testing.assert_array_equal(forward(place, F.relu6, x), expected.detach().numpy())
    np.testing.assert_array_equal(gradient(place, F.relu6, x, upstream), theirs.grad.numpy())
    np.testing.assert_array_equal(gradient(place, F.relu6, np.array([np.nan])), [1])


def test_inplace_relu6_writes_into_the_input(place):
    x = place.tensor(np.array([-1.0, 2.0, 7.0]))
    assert F.relu6(x, inplace=True) is x
    check_close(x.numpy(), np.array([0.0, 2.0, 6.0]), 0)


@pytest.mark.parametrize("function, low", [(F.sigmoid, 0.0), (F.tanh, -1.0)])
def test_saturation_without_overflow(place, function, low):
    x = np.array([-1e4, 1e4, -np.inf, np.inf])
    with np.errstate(all="raise", under="ignore"):
        check_close(forward(place, function, x), np.array([low, 1, low, 1]), 0)
        assert not gradient(place, function, x).any()


def test_sigmoid_keeps_small_probabilities(place):
    check_close(forward(place, F.sigmoid, np.array([-700.0])) / np.exp(-700.0), np.array([1.0]), 1e-12)


@every_activation
def test_empty(place, function):
    assert gradient(place, function, np.empty((0, 3))).shape == (0, 3)


def test_an_array_is_not_a_tensor():
    with pytest.raises(TypeError, match="ReLU: x is a ndarray, not a Tensor"):
        F.relu(np.ones(3))
    assert isinstance(F.relu(Tensor(np.ones(3))), Tensor)


@pytest.mark.parametrize("function", [F.relu, F.leaky_relu, F.relu6, F.dropout])
def test_in_place_is_true_or_false(function):
    x = Tensor(np.full(3, -1.0))
    with raises(TypeError, function.__name__, "inplace", "True or False", "'no'"):
        function(x, inplace="no")
    assert (x.numpy() == -1).all()
