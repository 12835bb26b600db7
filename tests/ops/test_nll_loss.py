"""Negative log-likelihood with every option; behind log_softmax it is cross-entropy. Wrong labels: test_labels.py."""

import numpy as np
import pytest
from checks import check_close, check_equals_torch, check_float32, check_gradients, forward, gradient, run
from hypothesis import given
from strategies import classifications
from test_cross_entropy import labels_and_options

import minicnn.functional as F
from minicnn import Tensor


def loss_of(case, loss=F.nll_loss):
    """A loss as a function of the scores, with the class weights in their dtype; labels and options as drawn."""
    target, options = labels_and_options(case)
    weight, _ = options.pop("weight"), options.pop("label_smoothing")

    def function(x):
        return loss(x, target, None if weight is None else weight.astype(x.dtype), **options)

    return function


@given(case=classifications())
def test_gradients(place, case):
    check_gradients(place, loss_of(case), case.arrays())


@given(case=classifications())
def test_equals_torch(place, torch, case):
    target, options = labels_and_options(case)
    weight, _ = options.pop("weight"), options.pop("label_smoothing")

    def by_torch(x):
        weights = None if weight is None else torch.tensor(weight)
        return torch.nn.functional.nll_loss(x, torch.tensor(target), weights, **options)

    check_equals_torch(place, loss_of(case), by_torch, case.arrays())


@given(case=classifications())
def test_float32(place, case):
    check_float32(place, loss_of(case), case.arrays())


@given(case=classifications())
def test_behind_log_softmax_it_is_cross_entropy(place, case):
    by_nll, of_scores = loss_of(case), loss_of(case, F.cross_entropy)
    y, (grad,) = run(place, lambda x: by_nll(F.log_softmax(x, 1)), case.arrays())
    expected_y, (expected,) = run(place, of_scores, case.arrays())
    check_close(y, expected_y, 1e-12)
    check_close(grad, expected, 1e-12)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.int64])
def test_labels_of_any_integer_type(place, dtype):
    x, target = np.array([[-1.0, -2], [-3, -4]]), np.array([1, 0], dtype)
    for labels in (target, Tensor(target), target.tolist(), np.repeat(target, 2)[::2]):
        assert forward(place, F.nll_loss, x, target=labels) == 2.5


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_an_impossible_class_costs_nothing_unless_it_is_the_label(place, reduction):
    x = np.array([[-1.0, -np.inf], [-2.0, -np.inf]])
    assert np.isfinite(forward(place, F.nll_loss, x, target=[0, 0], reduction=reduction)).all()
    assert np.max(forward(place, F.nll_loss, x, target=[0, 1], reduction=reduction)) == np.inf
    weight = np.array([2.0, 0.0])  # such a class counts for nothing, whatever its number is
    values = forward(place, F.nll_loss, x, target=[0, 1], weight=weight, reduction=reduction)
    np.testing.assert_array_equal(values, {"mean": 1.0, "sum": 2.0, "none": [2.0, 0.0]}[reduction])
    grad = gradient(place, F.nll_loss, x, target=[0, 1], weight=weight, reduction=reduction)
    np.testing.assert_array_equal(grad, [[-1.0 if reduction == "mean" else -2.0, 0], [0, 0]])


def test_nan_reaches_the_loss_by_the_label_alone(place):
    x = np.array([[np.nan, -1.0], [-1.0, np.nan]])
    assert forward(place, F.nll_loss, x, target=[1, 0]) == 1
    assert np.isnan(forward(place, F.nll_loss, x, target=[0, 0]))


def test_an_infinite_gradient_goes_to_its_label_alone(place):
    x, upstream = np.zeros((3, 2)), [np.inf, np.nan, -np.inf]
    grad = gradient(place, F.nll_loss, x, upstream, target=[1, -100, 0], reduction="none")
    np.testing.assert_array_equal(grad, [[0, -np.inf], [0, 0], [np.inf, 0]])


def test_the_mean_is_over_what_is_counted(place):
    x = -np.arange(6.0).reshape(3, 2)
    check_close(forward(place, F.nll_loss, x, target=[0, -100, 1]), np.array(2.5), 1e-15)
    weight = np.array([1.0, 3.0])
    check_close(forward(place, F.nll_loss, x, target=[0, -100, 1], weight=weight), np.array(15 / 4), 1e-15)
    grad = gradient(place, F.nll_loss, x, target=[0, -100, 1], weight=weight)
    check_close(grad, np.array([[-0.25, 0], [0, 0], [0, -0.75]]), 1e-15)


def test_labels_changed_before_backward_are_noticed(place):
    x, target = place.tensor(np.zeros((2, 3)), requires_grad=True), np.array([0, 1])
    loss = F.nll_loss(x, target)
    target[0] = 2
    with pytest.raises(RuntimeError, match=r"NLLLoss: .* changed in place"):
        loss.backward()
