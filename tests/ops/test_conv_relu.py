"""conv2d_relu against its parts one after the other, which have tests of their own, finite differences; its errors."""

import numpy as np
import pytest
from checks import (
    check_bfloat16,
    check_close,
    check_float32,
    check_gradients,
    check_refuses_mixed_dtypes,
    forward,
    raises,
    run,
)
from hypothesis import given, settings
from strategies import convolutions

import minicnn
import minicnn.functional as F
from minicnn import Tensor

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")


def in_parts(x, weight, bias, residual, **options):
    y = F.conv2d(x, weight, bias, **options)
    return F.relu(y if residual is None else F.residual_add(y, residual))


def in_one(x, weight, bias, residual, **options):
    return F.conv2d_relu(x, weight, bias, **options, residual=residual)


def with_residual(case):
    """The drawn arrays and a residual, half of the time."""
    arrays = case.arrays()
    shape = F.conv2d(*(None if a is None else Tensor(a) for a in arrays), **case.options).shape
    rng = case.rng()
    return [*arrays, rng.standard_normal(shape) if rng.random() < 0.5 else None]


@settings(max_examples=10)
@given(case=convolutions())
def test_it_is_one_after_the_other(place, case):
    arrays = with_residual(case)
    y, grads = run(place, in_one, arrays, **case.options)
    expected_y, expected_grads = run(place, in_parts, arrays, **case.options)
    for value, expected in zip([y, *grads], [expected_y, *expected_grads], strict=True):
        assert (value is None) == (expected is None)
        if expected is not None:
            check_close(value, expected, 1e-12)


@settings(max_examples=5)  # what is behind the ReLU is conv2d's
@given(case=convolutions())
def test_gradients(place, case):
    """Away from the kink, where finite differences say nothing: a residual that brings each sum to a distance of 1."""
    arrays = case.arrays()
    y = forward(place, F.conv2d, *arrays, **case.options)
    rng = case.rng()
    residual = np.where(rng.random(y.shape) < 0.5, 1, -1) - y + 0.2 * rng.standard_normal(y.shape).clip(-2, 2)
    check_gradients(place, in_one, [*arrays, residual], **case.options)


@settings(max_examples=10)
@given(case=convolutions())
def test_float32(place, case):
    arrays = case.arrays()
    y = forward(place, F.conv2d, *arrays, **case.options)
    check_float32(place, in_one, [*arrays, np.where(y > 0, 1.0, -1.0)], **case.options)  # no sum close to the kink


@pytest.mark.parametrize(
    "layout", [np.ascontiguousarray, lambda a: a.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2)]
)
def test_a_residual_in_any_layout_stays_as_it_is(place, layout):
    rng = np.random.default_rng(0)
    x, weight = rng.standard_normal((2, 3, 5, 4)), rng.standard_normal((4, 3, 3, 3))
    residual = layout(rng.standard_normal((2, 4, 5, 4)))
    before, added = residual.copy(), place.tensor(residual)
    y = F.conv2d_relu(place.tensor(x), place.tensor(weight), padding=1, residual=added)
    expected = F.relu(F.conv2d(place.tensor(x), place.tensor(weight), padding=1) + place.tensor(before))
    check_close(y.numpy(), expected.numpy(), 1e-12)
    np.testing.assert_array_equal(added.numpy(), before)


def test_nan_stays_and_lets_its_gradient_through(place):
    x = np.array([np.nan, 2.0, -2.0]).reshape(1, 1, 1, 3)
    for residual in (None, np.zeros((1, 1, 1, 3))):
        y, (grad_x, *_) = run(place, in_one, [x, np.ones((1, 1, 1, 1)), None, residual])
        np.testing.assert_array_equal(y.ravel(), [np.nan, 2, 0])
        assert grad_x[0, 0, 0, 0] != 0 and grad_x[0, 0, 0, 2] == 0


def test_the_residual_gets_a_gradient_where_nothing_else_wants_one(place):
    x, weight = place.tensor(np.ones((1, 1, 2, 2))), place.tensor(np.ones((1, 1, 1, 1)))
    residual = place.tensor(np.array([1.0, -3, 0, -1]).reshape(1, 1, 2, 2), requires_grad=True)
    y = F.conv2d_relu(x, weight, residual=residual)
    y.backward(place.tensor(np.full((1, 1, 2, 2), 5.0)))
    np.testing.assert_array_equal(residual.grad.numpy().ravel(), [5, 0, 5, 0])


def test_one_tensor_may_be_picture_and_residual(place):
    """The block whose shortcut is the identity: its gradient is the sum of both."""
    rng = np.random.default_rng(0)
    x, weight = rng.standard_normal((2, 3, 4, 5)), rng.standard_normal((3, 3, 3, 3))

    def block(op):
        return lambda x, weight: op(x, weight, None, x, padding=1)

    y, grads = run(place, block(in_one), [x, weight])
    expected_y, expected_grads = run(place, block(in_parts), [x, weight])
    for value, expected in zip([y, *grads], [expected_y, *expected_grads], strict=True):
        check_close(value, expected, 1e-12)


def test_its_result_must_not_change_before_backward(place):
    weight = place.tensor(np.ones((1, 1, 1, 1)), requires_grad=True)
    y = F.conv2d_relu(place.tensor(np.ones((1, 1, 2, 2))), weight)
    with minicnn.no_grad():
        y += 1
    with raises(RuntimeError, "Conv2dReLU", "in place"):
        y.backward(place.tensor(np.ones((1, 1, 2, 2))))


@pytest.mark.parametrize(
    "images, weight, options",
    [
        ((2, 16, 6, 8), (16, 16, 1, 1), {}),
        ((2, 16, 6, 8), (24, 8, 3, 2), {"stride": 2, "padding": 1, "groups": 2}),
        ((2, 32, 12, 12), (32, 32, 3, 3), {"padding": 1}),  # Winograd's, if no unit multiplies bfloat16
        ((2, 4, 6, 8), (4, 1, 3, 3), {"padding": 1, "groups": 4}),
    ],
    ids=["pointwise", "groups", "winograd", "depthwise"],
)
def test_bfloat16_is_rounded_once(place, images, weight, options):
    if place.simulated and images[2] > 6:
        pytest.skip("it has one way for all shapes; this one takes Python long, thread by thread")
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal(images), rng.standard_normal(weight) / weight[1]
    shape = F.conv2d(Tensor(x), Tensor(w), **options).shape
    arrays = [x, rng.standard_normal(shape), w, rng.standard_normal(weight[0])]
    check_bfloat16(place, lambda x, r, w, b: in_one(x, w, b, r, **options), arrays, activations=2)


def test_mixed_dtypes(place):
    arrays = [np.ones(shape) for shape in ((1, 2, 3, 3), (2, 2, 2, 2), (2,), (1, 2, 2, 2))]
    check_refuses_mixed_dtypes(place, in_one, arrays)


@pytest.mark.parametrize(
    "residual, options, error, parts",
    [
        ((2, 6, 3, 3), {}, ValueError, ["gives (2, 6, 3, 4)", "(2, 6, 3, 3)", "projection"]),
        ((2, 1, 3, 4), {}, ValueError, ["(2, 6, 3, 4)", "(2, 1, 3, 4)"]),  # no broadcasting
        ((6, 3, 4), {}, ValueError, ["(2, 6, 3, 4)", "(6, 3, 4)"]),
        (None, {"stride": 0}, ValueError, ["stride", "at least 1"]),
        (None, {"groups": 3}, ValueError, ["groups", "4 input", "6 output", "got 3"]),
        (None, {"padding": "full"}, ValueError, ["padding", "'full'"]),
    ],
)
def test_errors(residual, options, error, parts):
    x, weight = Tensor(np.ones((2, 4, 5, 6))), Tensor(np.ones((6, 4, 3, 3)))
    with raises(error, "conv2d_relu", *parts):
        F.conv2d_relu(x, weight, **options, residual=None if residual is None else Tensor(np.ones(residual)))
