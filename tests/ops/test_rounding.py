"""Steps, // and %: values and gradients as PyTorch has them, and what has none."""

import numpy as np
import pytest
from checks import check_equals_torch, check_gradients, check_refuses_mixed_dtypes, forward, leaf, raises

from minicnn import Tensor, no_grad
from minicnn.ops import rounding

A = np.array([[-2.5, -1.5, -0.4], [0.5, 1.5, 7.3]])
B = np.array([[2.0, -0.7, 1.3]])


@pytest.mark.parametrize("name", rounding.STEPS)
def test_steps(place, torch, name):
    check_equals_torch(place, lambda x: rounding.step(name, x), getattr(torch, name), [A])
    whole = np.array([-3, 0, 4], np.int8)
    values = rounding.step(name, place.tensor(whole)).numpy()
    assert values.dtype == np.int8 and values.tolist() == (whole if name != "sign" else np.sign(whole)).tolist()
    with raises(TypeError, name, "mask"):
        rounding.step(name, place.tensor(whole > 0))


def test_remainder(place, torch):
    check_equals_torch(place, rounding.remainder, torch.remainder, [A, B])
    check_gradients(place, rounding.remainder, [A, B])  # no a / b is near a whole number
    check_refuses_mixed_dtypes(place, rounding.remainder, [A, B])


def test_integers_and_numbers(place, torch):
    a, b = np.array([-7, 7, 7]), np.array([2, -2, 3])
    for ask in (lambda x, y: x // y, lambda x, y: x % y, lambda x, y: -9 // y, lambda x, y: x % 4):
        values = forward(place, ask, a, b)
        expected = ask(torch.from_numpy(a), torch.from_numpy(b)).numpy()
        assert values.dtype == expected.dtype and values.tolist() == expected.tolist()
    x = np.array([1.0, 0.0, -1.0], np.float32)
    for ask in (lambda x: x // 0.0, lambda x: x % 0.0, lambda x: 2.5 // (x + 3), lambda x: 2.5 % (x + 3)):
        np.testing.assert_array_equal(forward(place, ask, x), ask(torch.from_numpy(x)).numpy())


def test_no_integer_is_divided_by_0(place):
    for ask in (lambda x: x // 0, lambda x: x % 0):
        with raises(ZeroDivisionError, "0"):
            ask(place.tensor(np.array([1, 2])))


def test_a_whole_quotient_has_no_gradient():
    x = leaf(1.0, 2.0)
    with raises(RuntimeError, "floor_divide", "detach"):
        x // 2
    with no_grad():
        assert (x // 2).tolist() == [0, 1]


def test_in_place(torch):
    for change in ("__ifloordiv__", "__imod__"):
        ours, theirs = Tensor(A.copy()), torch.from_numpy(A.copy())
        row, expected = ours[0], theirs[0]
        assert getattr(ours, change)(1.5) is ours
        getattr(theirs, change)(1.5)
        assert row.tolist() == expected.tolist()  # its view sees it
