"""Batch norm in training and in evaluation, its running statistics, and the numbers that are hard on it."""

import numpy as np
import pytest
from checks import (
    check_close,
    check_equals_torch,
    check_float32,
    check_gradients,
    check_refuses_mixed_dtypes,
    forward,
    gradient,
    raises,
    run,
)
from hypothesis import given
from hypothesis import strategies as st
from strategies import batches

import minicnn.functional as F
from minicnn import Tensor

LARGE_BATCHES = batches(4, 30)
MOMENTA = st.sampled_from([0.1, 0.7, 0.0, 1.0])


def running_statistics(case):
    channels = (case.shapes[0][1],)
    return case.rng().standard_normal(channels), 0.5 + case.rng().random(channels)


def training(place):
    """batch_norm(x, weight, bias) in training, without running statistics."""

    def function(x, weight, bias, **options):
        return F.batch_norm(x, None, None, weight, bias, training=True, **options)

    return function


def evaluation(place, case):
    """batch_norm(x, weight, bias) in evaluation, with drawn statistics of x's dtype."""

    def function(x, weight, bias, **options):
        mean, var = (place.tensor(a.astype(x.dtype)) for a in running_statistics(case))
        return F.batch_norm(x, mean, var, weight, bias, **options)

    return function


@given(case=LARGE_BATCHES)
def test_gradients_in_training(place, case):
    check_gradients(place, training(place), case.arrays(), **case.options)


@given(case=batches(2, 3))
def test_gradients_in_training_over_two_or_three_values(place, case):
    """With two values x_hat is nearly a sign: curvature of order 1/sqrt(eps)^3, hence an eps of 0.1 and more room."""
    check_gradients(place, training(place), case.arrays(), **{"eps": 0.1}, atol=1e-6)


@given(case=LARGE_BATCHES)
def test_gradients_in_evaluation(place, case):
    check_gradients(place, evaluation(place, case), case.arrays(), **case.options)


@given(case=batches(2, 30), momentum=MOMENTA)
def test_training_equals_torch(place, torch, case, momentum):
    arrays, statistics = case.arrays(), running_statistics(case)
    ours = [place.tensor(a.copy()) for a in statistics]
    theirs = [torch.tensor(a) for a in statistics]
    check_equals_torch(
        place,
        lambda x, *wb, **options: F.batch_norm(x, *ours, *wb, training=True, momentum=momentum, **options),
        lambda x, *wb, **options: torch.nn.functional.batch_norm(x, *theirs, *wb, True, momentum, **options),
        arrays,
        tolerance=1e-9,  # a channel of equal values has inv_std 316
        **case.options,
    )
    for our, their in zip(ours, theirs, strict=True):
        check_close(our.numpy(), their.numpy(), 1e-10)


@given(case=batches(1, 30))
def test_evaluation_equals_torch(place, torch, case):
    mean, var = map(torch.tensor, running_statistics(case))
    check_equals_torch(
        place,
        evaluation(place, case),
        lambda x, *wb, **options: torch.nn.functional.batch_norm(x, mean, var, *wb, **options),
        case.arrays(),
        **case.options,
    )


@given(case=LARGE_BATCHES)
def test_float32(place, case):
    for function in (training(place), evaluation(place, case)):
        check_float32(place, function, case.arrays(), eps=0.1)


def test_running_statistics_move_by_momentum_towards_unbiased_variance(place):
    mean, var = place.tensor(np.array([10.0])), place.tensor(np.array([10.0]))
    x = np.array([[1.0], [2.0], [6.0]])  # mean 3, squared deviations 4 + 1 + 9
    F.batch_norm(place.tensor(x), mean, var, training=True, momentum=0.25)
    check_close(mean.numpy(), np.array([0.75 * 10 + 0.25 * 3]), 1e-14)
    check_close(var.numpy(), np.array([0.75 * 10 + 0.25 * 14 / 2]), 1e-14)


def test_evaluation_leaves_running_statistics_alone(place):
    mean, var = place.tensor(np.array([1.0])), place.tensor(np.array([4.0]))
    y = F.batch_norm(place.tensor(np.array([[5.0], [1.0]])), mean, var, eps=0.0)
    check_close(y.numpy(), np.array([[2.0], [0.0]]), 1e-14)
    assert (mean.item(), var.item()) == (1, 4)


def test_empty_batch_leaves_running_statistics_alone(place):
    mean, var = place.tensor(np.array([1.0, 2])), place.tensor(np.array([3.0, 4]))
    x, weight, bias = (place.tensor(np.ones(s), requires_grad=True) for s in ((0, 2, 3, 3), (2,), (2,)))
    y = F.batch_norm(x, mean, var, weight, bias, training=True)
    y.backward(place.tensor(np.empty(y.shape)))
    assert y.shape == x.grad.shape == (0, 2, 3, 3)
    assert not weight.grad.numpy().any() and not bias.grad.numpy().any()
    assert [*mean.numpy(), *var.numpy()] == [1, 2, 3, 4]


def test_a_constant_channel_becomes_zero(place):
    y = forward(place, training(place), np.full((4, 1, 3, 3), 7.25), None, None)
    assert not y.any()


@pytest.mark.parametrize("scale", [np.float32(1e25), np.float32(1e36), np.float64(1e200)])
def test_a_variance_beyond_the_largest_number_is_infinite(place, scale):
    """So that y is 0, as PyTorch's; not NaN, which would spread."""
    x = np.random.default_rng(0).uniform(-1, 1, (4, 2, 6, 5)).astype(scale.dtype)
    x[:, 0] *= scale  # the other channel is an ordinary one
    with np.errstate(over="ignore", invalid="ignore"):
        y = F.batch_norm(place.tensor(x), None, None, training=True).numpy()
    other = x[:, 1] - x[:, 1].mean()
    np.testing.assert_allclose(y[:, 1], other / np.sqrt(np.square(other).mean() + 1e-5), atol=1e-5)
    np.testing.assert_array_equal(y[:, 0], 0)


def test_a_large_mean_costs_no_digits_in_float32(place):
    """In one pass, E[x^2] - mean^2 = 1e8 - 1e8 has no correct digit left; the values are 9999.99 and 10000.01."""
    x = np.tile(np.array([9999.99, 10000.01], np.float32), 500).reshape(1000, 1)
    spread = x.astype(np.float64).var()
    y = forward(place, training(place), x, None, None)
    assert y.dtype == np.float32
    assert abs(np.abs(y).mean() - np.sqrt(spread / (spread + 1e-5))) < 1e-3


def test_gradient_of_the_sum_is_zero_in_training_only(place):
    x = np.random.default_rng(0).standard_normal((6, 2))
    assert np.abs(gradient(place, lambda t: training(place)(t, None, None), x)).max() < 1e-12
    scale = place.tensor(np.array([0.0, 0.0])), place.tensor(np.array([1.0, 4.0]))
    grad = gradient(place, lambda t: F.batch_norm(t, *scale, eps=0.0), x)
    check_close(grad, np.tile([1.0, 0.5], (6, 1)), 1e-14)


def test_mixed_dtypes(place):
    arrays = [np.ones(shape) for shape in ((3, 2), (2,), (2,), (2,), (2,))]
    check_refuses_mixed_dtypes(place, F.batch_norm, arrays)


@pytest.mark.parametrize(
    "x, running, weight, train, parts",
    [
        ((5,), None, None, True, ["input", "(N, C, ...)", "(5,)"]),
        ((5, 0, 2), None, None, True, ["input", "channel", "(5, 0, 2)"]),
        ((1, 3), None, None, True, ["input", "(1, 3)", "one value in each channel"]),
        ((1, 3, 1, 1), None, None, True, ["input", "(1, 3, 1, 1)", "larger batches"]),
        ((4, 3), None, None, False, ["evaluation", "running_mean", "running_var"]),
        ((4, 3), (2,), None, False, ["running_mean", "(3,)", "(4, 3)", "(2,)"]),
        ((4, 3), None, (4,), True, ["weight", "(3,)", "(4, 3)", "(4,)"]),
    ],
)
def test_errors(x, running, weight, train, parts):
    statistics = [None if running is None else Tensor(np.ones(running)) for _ in range(2)]
    weight = None if weight is None else Tensor(np.ones(weight))
    with raises(ValueError, "batch_norm", *parts):
        F.batch_norm(Tensor(np.ones(x)), *statistics, weight, training=train)


def test_one_running_statistic_alone_is_an_error():
    with raises(ValueError, "batch_norm", "running_mean", "running_var", "both"):
        F.batch_norm(Tensor(np.ones((4, 3))), Tensor(np.ones(3)), None)


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("with_residual", [True, False])
def test_with_relu_and_residual_it_is_one_after_the_other(place, with_residual, affine, train):
    rng = np.random.default_rng(0)
    x, residual = rng.standard_normal((2, 3, 4, 5, 6))
    arrays = [x, *rng.standard_normal((2, 4))[: 2 * affine]]
    arrays += [residual] * with_residual
    running = [place.tensor(rng.random(4) + 0.5) for _ in range(2)]

    def split(rest):
        rest = list(rest)
        weight, bias = (rest.pop(0), rest.pop(0)) if affine else (None, None)
        return weight, bias, rest.pop() if with_residual else None

    def fused(x, *rest):
        weight, bias, added = split(rest)
        return F.batch_norm_relu(x, *running, weight, bias, train, 0.0, residual=added)

    def separate(x, *rest):
        weight, bias, added = split(rest)
        y = F.batch_norm(x, *running, weight, bias, train, 0.0)
        return F.relu(y if added is None else F.residual_add(y, added))

    y, grads = run(place, fused, arrays)
    expected_y, expected_grads = run(place, separate, arrays)
    for value, expected in zip([y, *grads], [expected_y, *expected_grads], strict=True):
        check_close(value, expected, 1e-10)


@pytest.mark.parametrize("train", [True, False])
def test_a_residual_that_needs_no_gradient_still_decides_which_relus_are_open(place, train):
    """As behind a frozen stem, where the first block's shortcut is a picture's features."""
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal((3, 4, 5, 6)), *rng.standard_normal((2, 4))]
    residual = rng.standard_normal((3, 4, 5, 6))
    running = [place.tensor(rng.random(4) + 0.5) for _ in range(2)]

    def fused(x, weight, bias):
        return F.batch_norm_relu(x, *running, weight, bias, train, 0.0, residual=place.tensor(3 * residual))

    def separate(x, weight, bias):
        y = F.batch_norm(x, *running, weight, bias, train, 0.0)
        return F.relu(F.residual_add(y, place.tensor(3 * residual)))

    y, grads = run(place, fused, arrays)
    expected_y, expected_grads = run(place, separate, arrays)
    for value, expected in zip([y, *grads], [expected_y, *expected_grads], strict=True):
        check_close(value, expected, 1e-10)


def test_a_residual_of_another_shape_is_refused():
    x, running = Tensor(np.ones((2, 3, 4, 4))), [Tensor(np.ones(3))] * 2
    with raises(ValueError, "batch_norm_relu", "(2, 3, 4, 4)", "(2, 3, 2, 2)"):
        F.batch_norm_relu(x, *running, residual=Tensor(np.ones((2, 3, 2, 2))))
