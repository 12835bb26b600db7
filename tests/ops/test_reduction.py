"""Sum, mean and max over any axes."""

import numpy as np
import pytest
from checks import check_close, check_equals_torch, check_float32, check_gradients, forward, gradient, raises
from hypothesis import given
from strategies import distinct, reductions, with_axis

from minicnn import Tensor
from minicnn.ops import reduction

AVERAGES = [reduction.sum, reduction.mean]
# "broadcast" repeats values, and finite differences are wrong where the maximum is not alone
DISTINCT = with_axis(layouts=("C", "F", "negative stride", "sliced", "read-only"))


@pytest.mark.parametrize("function", AVERAGES)
@given(case=reductions())
def test_sum_and_mean(place, torch, function, case):
    check_gradients(place, function, case.arrays(), **case.options)
    check_equals_torch(place, function, getattr(torch, function.__name__), case.arrays(), **case.options)
    check_float32(place, function, case.arrays(), **case.options)


def largest(x, dim, keepdim=False):
    return reduction.max(x, dim, keepdim).values


def smallest(x, dim, keepdim=False):
    return reduction.min(x, dim, keepdim).values


@given(case=DISTINCT)
def test_min_over_one_axis(place, torch, case):
    check_gradients(place, smallest, case.arrays(distinct), **case.options)
    check_equals_torch(place, smallest, torch.amin, case.arrays(distinct), **case.options)


@given(case=DISTINCT)
def test_max_over_one_axis(place, torch, case):
    for keepdim in (False, True):
        options = case.options | {"keepdim": keepdim}
        check_gradients(place, largest, case.arrays(distinct), **options)
        check_equals_torch(place, largest, torch.amax, case.arrays(distinct), **options)
        check_float32(place, largest, case.arrays(distinct), **options)


@given(case=DISTINCT)
def test_max_over_everything(place, case):
    (x,) = case.arrays(distinct)
    assert forward(place, reduction.max, x) == x.max()
    check_gradients(place, reduction.max, [x])


def test_values_and_indices_as_in_torch(place, torch):
    x = np.random.default_rng(0).standard_normal((3, 4, 5))
    for name in ("max", "min"):
        for keepdim in (False, True):
            values, indices = getattr(place.tensor(x), name)(1, keepdim)
            expected = getattr(torch.from_numpy(x), name)(1, keepdim)
            assert values.device == indices.device == place.device
            check_close(values.numpy(), expected.values.numpy(), 0)
            assert np.array_equal(indices.numpy(), expected.indices.numpy())
    assert place.tensor(x).min().item() == x.min()


@pytest.mark.parametrize("name", ["sum", "mean", "max", "min", "argmax", "argmin", "any", "all"])
def test_a_tensors_methods_drop_the_axis_unless_it_is_to_be_kept(name):
    x = np.random.default_rng(0).standard_normal((3, 4))
    method, expected = getattr(Tensor(x), name), getattr(x, name)
    for options in ({}, {"dim": 0}, {"dim": 1}, {"dim": 1, "keepdim": True}):
        found = method(**options)
        found = getattr(found, "values", found).numpy()
        like = expected(axis=options.get("dim"), keepdims=options.get("keepdim", False))
        assert found.shape == like.shape
        np.testing.assert_allclose(found, like, rtol=1e-15)


def test_the_first_of_equals_gets_the_gradient(place):
    x = np.array([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]])
    check_close(gradient(place, largest, x, dim=1), np.array([[0.0, 1, 0], [1, 0, 0]]), 0)
    check_close(gradient(place, reduction.max, x), np.array([[0.0, 0.5, 0.5], [0, 0, 0]]), 0)  # of all: they share it
    check_close(gradient(place, reduction.min, np.array([1.0, np.nan])), np.array([0.0, 1.0]), 0)


def test_nan_is_the_maximum(place):
    assert np.isnan(forward(place, reduction.max, np.array([1.0, np.nan, 2.0])))


@pytest.mark.parametrize("function", AVERAGES)
def test_gradients_add_up_over_two_passes(function):
    x = Tensor(np.ones((2, 3), np.float32), requires_grad=True)
    for _ in range(2):
        function(x).backward()
    check_close(x.grad.numpy(), np.full((2, 3), 2 if function is reduction.sum else 2 / 6, np.float32), 1e-6)


def test_integers_and_lists_of_axes():
    x = Tensor(np.arange(6).reshape(2, 3))
    assert (
        x.sum().item() == 15 and x.max(1).values.numpy().tolist() == [2, 5] and x.argmax(1).numpy().tolist() == [2, 2]
    )
    assert x.sum([0, 1]).item() == 15


def test_sum_of_nothing_is_zero(place):
    assert forward(place, reduction.sum, np.empty((0, 3)), dim=0).tolist() == [0, 0, 0]
    assert gradient(place, reduction.sum, np.empty((0, 3)), dim=0).shape == (0, 3)


@pytest.mark.parametrize(
    "function, shape, dim, parts",
    [
        (reduction.sum, (2, 3), 2, ["sum", "dim 2", "(2, 3)"]),
        (reduction.mean, (2, 3), -3, ["mean", "dim -3", "(2, 3)"]),
        (reduction.mean, (2, 0), 1, ["mean", "dim 1", "(2, 0)"]),
        (reduction.max, (2, 0), 1, ["max", "dim 1", "(2, 0)"]),
        (reduction.max, (2, 3), (0, 1), ["max", "one axis", "(0, 1)"]),
    ],
)
def test_errors(function, shape, dim, parts):
    with raises(ValueError, *parts):
        function(Tensor(np.ones(shape)), dim)


@pytest.mark.parametrize("dtype", [np.bool_, np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32])
def test_integers_and_booleans_are_counted(dtype):
    x = Tensor(np.full((300, 2), 1 if dtype == np.bool_ else min(np.iinfo(dtype).max, 2**32), dtype))
    assert x.sum().dtype == x.sum(0).dtype == np.int64
    assert x.sum().item() == 600 * int(x.numpy().max()) and type(x.sum().item()) is int
    assert x.mean().dtype == np.float32
    np.testing.assert_allclose(x.mean(1).numpy(), x.numpy().mean(axis=1), rtol=1e-7)


def test_a_sum_of_uint64_keeps_its_dtype():
    assert Tensor(np.full(2, 2**63 - 1, np.uint64)).sum().item() == 2**64 - 2


@pytest.mark.parametrize("find", [Tensor.argmax, Tensor.argmin, Tensor.any, Tensor.all, Tensor.max, Tensor.sum])
def test_what_is_found_stays_on_the_device(place, find):
    x = place.tensor(np.arange(6.0).reshape(2, 3))
    assert find(x).device == find(x, keepdim=True).device == x.device and find(x).shape == ()
