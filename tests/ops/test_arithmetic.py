"""Operators, with broadcasting; powers, exp and log; numbers and arrays beside a Tensor; the residual add."""

import operator

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
from strategies import ONE_SHAPE, TWO_BROADCAST_SHAPES, TWO_EQUAL_SHAPES, a_quarter, away_from_zero, cases, positive

import minicnn.functional as F
from minicnn import Tensor, autograd
from minicnn.device import current_tier
from minicnn.precision import BFLOAT16

BINARY = [operator.add, operator.sub, operator.mul, operator.truediv]
UNARY = {
    "neg": operator.neg,
    "exp": lambda x: x.exp(),
    "log": lambda x: x.log(),
    "number on the left": lambda x: 2 - 3 / x,
    "number on the right": lambda x: (x * 4 + 1) / 2 - 5,
    "array on the right": lambda x: x**2,
}
every_operator = pytest.mark.parametrize("function", BINARY)
every_unary = pytest.mark.parametrize("function", UNARY.values(), ids=UNARY.keys())
POWERS = st.sampled_from([-2, -0.5, 0, 1, 2, 3, 0.75])


@every_operator
@a_quarter
@given(case=cases(TWO_BROADCAST_SHAPES))
def test_gradients(place, function, case):
    check_gradients(place, function, case.arrays(away_from_zero))


@every_operator
@a_quarter
@given(case=cases(TWO_BROADCAST_SHAPES))
def test_equals_torch(place, torch, function, case):
    check_equals_torch(place, function, function, case.arrays(away_from_zero))


@every_operator
@a_quarter
@given(case=cases(TWO_BROADCAST_SHAPES))
def test_float32(place, function, case):
    check_float32(place, function, case.arrays(away_from_zero))


@every_unary
@a_quarter
@given(case=cases(ONE_SHAPE))
def test_gradients_of_one_argument(place, function, case):
    check_gradients(place, function, case.arrays(positive))


@every_unary
@a_quarter
@given(case=cases(ONE_SHAPE))
def test_one_argument_equals_torch(place, torch, function, case):
    check_equals_torch(place, function, function, case.arrays(positive))
    check_float32(place, function, case.arrays(positive))


@a_quarter
@given(case=cases(ONE_SHAPE), exponent=POWERS)
def test_powers(place, torch, case, exponent):
    check_gradients(place, lambda x: x**exponent, case.arrays(positive))
    check_equals_torch(place, lambda x: x**exponent, lambda x: x**exponent, case.arrays(positive))


def test_powers_at_zero(place):
    x = np.array([0.0, -2.0])
    check_close(gradient(place, lambda t: t**0, x), np.array([0.0, 0.0]), 0)
    check_close(gradient(place, lambda t: t**1, x), np.array([1.0, 1.0]), 0)
    check_close(gradient(place, lambda t: t**2, x), np.array([0.0, -4.0]), 0)


def test_one_tensor_on_both_sides(place):
    check_close(gradient(place, lambda x: x * x - x / x, np.array([3.0, -2.0])), np.array([6.0, -4.0]), 1e-15)


@a_quarter
@given(case=cases(TWO_EQUAL_SHAPES))
def test_residual_add(place, case):
    arrays = case.arrays()
    check_close(forward(place, F.residual_add, *arrays), arrays[0] + arrays[1], 0)
    check_gradients(place, F.residual_add, arrays)
    check_float32(place, F.residual_add, arrays)


def test_sums_of_bfloat16_numbers_are_rounded_once(place):
    """Of one shape they are residual_add's; a gradient over stretched axes is summed in float32."""
    rng = np.random.default_rng(0)
    a, b, row, grad = (rng.standard_normal(shape).astype(BFLOAT16) for shape in ((40, 3), (40, 3), (1, 3), (40, 3)))
    for other in (b, row):
        leaves = [place.tensor(array, requires_grad=True) for array in (a, other)]
        sums = operator.add(*leaves)
        sums.backward(place.tensor(grad))
        results = sums, leaves[0].grad, leaves[1].grad
        assert {tensor.dtype for tensor in results} == {BFLOAT16}
        of_other = grad if other is b else grad.astype("d").sum(0, keepdims=True).astype(BFLOAT16)
        exact = (a.astype("d") + other.astype("d")).astype(BFLOAT16), grad, of_other
        for tensor, expected in zip(results, exact, strict=True):
            np.testing.assert_array_equal(tensor.numpy(), expected.astype("f"))


def test_residual_add_never_broadcasts():
    with raises(ValueError, "residual_add", "(2, 3, 4, 4)", "(2, 3, 1, 1)", "operator +"):
        F.residual_add(Tensor(np.ones((2, 3, 4, 4))), Tensor(np.ones((2, 3, 1, 1))))


@pytest.mark.parametrize("make", [lambda x, a: x * a, lambda x, a: a * x], ids=["tensor * array", "array * tensor"])
def test_an_array_beside_a_tensor_is_a_constant(make):
    x, array = Tensor(np.ones(3), requires_grad=True), np.array([[1.0, 2, 3], [4, 5, 6]])
    y = make(x, array)
    assert isinstance(y, Tensor)
    y.backward(np.ones((2, 3)))
    check_close(x.grad.numpy(), np.array([5.0, 7, 9]), 0)


def test_numbers_take_the_tensors_dtype():
    x = Tensor(np.ones(2, np.float32))
    for y in (x + 1, 2.5 * x, x / 3, 1 - x, x**0.5, x * np.float64(2)):
        assert y.dtype == np.float32


@every_operator
def test_mixed_dtypes(place, function):
    check_refuses_mixed_dtypes(place, function, [np.ones((2, 3)), np.ones(3)])


def test_mixed_dtypes_name_the_op():
    with pytest.raises(TypeError, match=r"Mul: .*a: float32, b: float64"):
        Tensor(np.ones(2, np.float32)) * np.ones(2)


@every_operator
def test_shapes_that_do_not_broadcast(place, function):
    with raises(ValueError, function.__name__.removeprefix("true"), "(2, 3)", "(2,)", "do not broadcast"):
        function(place.tensor(np.ones((2, 3))), place.tensor(np.ones(2)))


def test_a_fraction_beside_integers_is_not_rounded():
    with raises(TypeError, "0.5", "int64", "astype"):
        Tensor(np.arange(3)) * 0.5
    assert (Tensor(np.arange(3)) * 2).dtype == np.int64


def test_an_exponent_is_a_number():
    with raises(TypeError, "pow", "exponent", "Tensor"):
        Tensor(np.ones(2)) ** Tensor(np.ones(2))


def test_astype_brings_the_gradient_back():
    x = Tensor(np.ones(3, np.float32), requires_grad=True)
    y = x.astype(np.float64) * 2
    y.backward(np.ones(3))
    assert y.dtype == np.float64 and x.grad.dtype == np.float32


def test_gradients_of_an_array_used_twice_are_added_by_the_op_of_the_tier(monkeypatch):
    called = []

    def recorder(reference, device, tier):
        called.append((reference.__name__, device, tier))
        return implementation(reference, device, tier)

    implementation = autograd.implementation
    monkeypatch.setattr(autograd, "implementation", recorder)
    x = Tensor(np.arange(6.0).reshape(2, 3), requires_grad=True)
    y = F.relu(x)
    (y + y).sum().backward()
    assert ("residual_add_forward", "cpu", current_tier()) in called
    np.testing.assert_array_equal(x.grad.numpy(), 2.0 * (x.numpy() > 0))


@pytest.mark.parametrize("a", [0.0, 1e-30, 1e-20, 1.0, 1e20, 1e30])
@pytest.mark.parametrize("b", [1e-25, 1e-23, 1.0, 1e20, 1e25])
def test_gradients_of_very_small_and_very_large_numbers(torch, a, b):
    """b * b would be 0 or infinity in float32, where a / b / b is a number."""
    arrays = [np.array([value], np.float32) for value in (a, b)]
    tensors = [Tensor(array, requires_grad=True) for array in arrays]
    expected = [torch.from_numpy(array.copy()).requires_grad_() for array in arrays]
    with np.errstate(all="ignore"):
        (tensors[0] / tensors[1]).sum().backward()
    (expected[0] / expected[1]).sum().backward()
    for tensor, other in zip(tensors, expected, strict=True):
        np.testing.assert_allclose(tensor.grad.numpy(), other.grad.numpy(), rtol=1e-6)


@pytest.mark.parametrize("function", [operator.add, operator.sub, operator.mul])
def test_masks_beside_numbers_are_counted(function):
    mask = np.array([True, False])
    for y, expected in ((function(Tensor(mask), 2), function(mask, 2)), (function(2, Tensor(mask)), function(2, mask))):
        assert y.dtype == np.int64 and y.numpy().tolist() == expected.tolist()


def test_masks_are_no_numbers():
    mask = Tensor(np.array([True, False]))
    for wrong in (lambda: mask + mask, lambda: mask - mask, lambda: -mask):
        with raises(TypeError, "mask", "astype(np.int64)"):
            wrong()
    both = mask * Tensor(np.array([True, True]))
    assert both.dtype == np.bool_ and both.numpy().tolist() == [True, False]


@pytest.mark.parametrize("function", [operator.add, operator.sub, operator.mul])
@pytest.mark.parametrize("number", [300, -1])
def test_a_number_that_does_not_fit_is_an_error(function, number):
    for wrong in (lambda x: function(x, number), lambda x: function(number, x)):
        with raises(TypeError, number, "uint8", "0 to 255", "astype"):
            wrong(Tensor(np.array([1, 2], np.uint8)))


def test_fractions_of_integers_are_float32():
    x = Tensor(np.array([1, 2, 200], np.uint8))
    for y, expected in ((x / 255, [1 / 255, 2 / 255, 200 / 255]), (x / 2.5, [0.4, 0.8, 80]), (400 / x, [400, 200, 2])):
        assert y.dtype == np.float32
        np.testing.assert_allclose(y.numpy(), expected, rtol=1e-6)
    assert (x**-1).dtype == (x**0.5).dtype == x.log().dtype == np.float32 and (x**2).dtype == np.uint8
    assert ((x > 1) ** 2).dtype == np.int64


def test_powers_of_a_number_by_integers(torch):
    for dtype in (np.uint8, np.int64, bool):
        exponents = np.array([0, 1, 7]).astype(dtype)
        for base in (1.5, 2, np.float32(0.5)):
            y, expected = base ** Tensor(exponents), float(base) ** exponents.astype(float)
            assert y.numpy().tolist() == expected.tolist()
            assert y.dtype.kind == ("i" if base == 2 and dtype != np.uint8 else "u" if base == 2 else "f")
    for wrong in (lambda x: 300**x, lambda x: x**300):
        with raises(TypeError, "300", "uint8", "astype"):
            wrong(Tensor(np.array([1], np.uint8)))


@pytest.mark.parametrize("function", [operator.add, operator.sub, operator.mul, operator.truediv])
@pytest.mark.parametrize("other", [None, "2", 1j, {1}], ids=repr)
def test_what_is_no_number_beside_a_tensor(function, other):
    for wrong in (lambda x: function(x, other), lambda x: function(other, x)):
        with raises(TypeError, function.__name__.replace("true", ""), type(other).__name__, "number"):
            wrong(Tensor([1.0, 2.0]))


@pytest.mark.parametrize("bounds", [(300, None), (None, -1)])
def test_bounds_that_leave_nothing_of_a_dtype(bounds):
    with raises(TypeError, "clamp", "300" if bounds[0] else "-1", "uint8", "0 to 255", "astype"):
        Tensor(np.array([1, 2], np.uint8)).clamp(*bounds)
