"""Mean squared error: gradients of both sides, every reduction, infinities, sums of many numbers, what it refuses."""

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
)
from hypothesis import given
from hypothesis import strategies as st
from strategies import TWO_EQUAL_SHAPES, a_quarter, cases

import minicnn.functional as F
from minicnn import Tensor
from minicnn.ops.labels import REDUCTIONS

PAIRS = cases(TWO_EQUAL_SHAPES, reduction=st.sampled_from(REDUCTIONS))
every_reduction = pytest.mark.parametrize("reduction", REDUCTIONS)


@a_quarter
@given(case=PAIRS)
def test_gradients(place, case):
    check_gradients(place, F.mse_loss, case.arrays(), **case.options)


@a_quarter
@given(case=PAIRS)
def test_equals_torch(place, torch, case):
    check_equals_torch(place, F.mse_loss, torch.nn.functional.mse_loss, case.arrays(), **case.options)


@a_quarter
@given(case=PAIRS)
def test_float32(place, case):
    check_float32(place, F.mse_loss, case.arrays(), **case.options)


@every_reduction
def test_one_side_alone_may_require_a_gradient(place, reduction):
    a, b = np.array([1.0, -2.0]), np.array([0.5, 4.0])
    upstream = [1.0, -1.0] if reduction == "none" else 1.0
    expected = np.array([1.0, -12.0]) / (2 if reduction == "mean" else 1) * upstream
    of_input = gradient(place, F.mse_loss, a, upstream, target=place.tensor(b), reduction=reduction)
    of_target = gradient(place, lambda x: F.mse_loss(place.tensor(a), x, reduction), b, upstream)
    check_close(of_input, expected, 1e-15)
    check_close(of_target, -expected, 1e-15)


def test_a_target_may_be_an_array(place):
    x, target = np.arange(6.0).reshape(2, 3), np.ones((2, 3))
    for each in (target, target.tolist(), place.tensor(target), np.ones((3, 2)).T):
        check_close(forward(place, F.mse_loss, x, target=each), np.array((1 + 0 + 1 + 4 + 9 + 16) / 6), 1e-15)
    assert forward(place, F.mse_loss, np.array(3.0), target=1.0) == 4


def test_the_same_tensor_twice(place):
    x = place.tensor(np.array([1.0, np.nan]), requires_grad=True)
    loss = F.mse_loss(x, x, "sum")
    loss.backward()
    assert np.isnan(loss.item())
    np.testing.assert_array_equal(x.grad.numpy(), [0, np.nan])


@every_reduction
@pytest.mark.filterwarnings("ignore:invalid value|overflow")
def test_what_is_not_finite_is_as_in_pytorch(place, torch, reduction):
    x, target = np.array([np.inf, -np.inf, np.inf, np.nan, 1.0, 1e30]), np.array([np.inf, 1, -np.inf, 1.0, 2.0, -1e30])
    for dtype in (np.float64, np.float32):
        for chosen in ([0], [1], [1, 2], [3], [4], [4, 5], [0, 1, 2, 3, 4, 5]):
            arrays = [array[chosen].astype(dtype) for array in (x, target)]
            y = forward(place, F.mse_loss, *arrays, reduction=reduction)
            theirs = [torch.tensor(array) for array in arrays]
            expected = torch.nn.functional.mse_loss(theirs[0].requires_grad_(), theirs[1], reduction=reduction)
            np.testing.assert_allclose(y, expected.detach().numpy(), rtol=1e-6)
            expected.sum().backward()
            grad = gradient(place, F.mse_loss, arrays[0], target=place.tensor(arrays[1]), reduction=reduction)
            np.testing.assert_allclose(grad, theirs[0].grad.numpy(), rtol=1e-6)


@pytest.mark.parametrize("shape", [(0,), (3, 0, 2), (0, 4)])
def test_empty(place, shape):
    x = np.empty(shape, np.float32)
    assert forward(place, F.mse_loss, x, x, reduction="sum") == 0
    assert gradient(place, F.mse_loss, x, target=place.tensor(x), reduction="none").shape == shape
    with raises(ValueError, "mse_loss", "no numbers to average", str(shape)):
        F.mse_loss(place.tensor(x), place.tensor(x))


def test_the_mean_of_many_squares(place):
    """One square is 2^24 times the others: added to it one by one in float32, they would be nothing."""
    count = 300 if place.simulated else {"cpu": 1_000_003, "cuda": 20_003}[place.device]
    x, target = np.full(count, 1.5, np.float32), np.full(count, 0.5, np.float32)
    x[0] = 2**12 + 0.5
    mean = forward(place, F.mse_loss, x, target)
    assert mean.dtype == np.float32
    np.testing.assert_allclose(mean, (2**24 + count - 1) / count, rtol=1e-6)
    for shape in ((count,), (1, count), (count, 1)):
        summed = forward(place, F.mse_loss, x.reshape(shape), target.reshape(shape), reduction="sum")
        np.testing.assert_allclose(summed, 2**24 + count - 1, rtol=2e-6)


def test_dtypes_do_not_mix(place):
    check_refuses_mixed_dtypes(place, F.mse_loss, [np.ones(3), np.ones(3)])
    with raises(TypeError, "MSELoss", "float32", "int64", "astype"):
        F.mse_loss(place.tensor(np.ones(3, np.float32)), np.arange(3))
    with raises(TypeError, "mse_loss", "int64", "astype"):
        F.mse_loss(place.tensor(np.arange(3)), place.tensor(np.arange(3)))


@pytest.mark.parametrize(
    "shapes", [((8, 1), (8,)), ((8,), (8, 1)), ((2, 3), (3,)), ((2, 3), ()), ((2, 3), (2, 4)), ((0,), (1,))]
)
@every_reduction
def test_shapes_do_not_broadcast(place, shapes, reduction):
    x, target = (place.tensor(np.ones(shape)) for shape in shapes)
    with raises(ValueError, "mse_loss", f"input {shapes[0]}", f"target {shapes[1]}", "target.reshape(input.shape)"):
        F.mse_loss(x, target, reduction)


@pytest.mark.parametrize(
    "arguments, error, parts",
    [
        (
            (Tensor([1.0]), Tensor([1.0]), "average"),
            ValueError,
            ["reduction", "'average'", "'mean' or 'sum' or 'none'"],
        ),
        ((Tensor([1.0]), Tensor([1.0]), None), ValueError, ["reduction", "None"]),
        ((np.ones(1), Tensor([1.0])), TypeError, ["input is a ndarray"]),
        ((Tensor([1.0]), "1"), TypeError, ["a str"]),
        ((Tensor([1.0]), None), TypeError, ["a NoneType"]),
    ],
)
def test_errors(arguments, error, parts):
    with raises(error, "mse_loss", *parts):
        F.mse_loss(*arguments)


def test_a_change_before_backward_is_noticed(place):
    x, target = place.tensor(np.ones(3), requires_grad=True), place.tensor(np.zeros(3))
    loss = F.mse_loss(x, target)
    target += 1
    with raises(RuntimeError, "MSELoss", "changed in place"):
        loss.backward()
