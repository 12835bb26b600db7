"""sort, topk, cumsum, and the norm: values, places and gradients as PyTorch has them."""

import numpy as np
import pytest
from checks import check_close, check_equals_torch, check_gradients, forward, raises

from minicnn import Tensor
from minicnn.ops import order

X = np.random.default_rng(0).permutation(24.0 * np.arange(24)).reshape(2, 3, 4)


@pytest.mark.parametrize("dim", [0, 1, -1])
@pytest.mark.parametrize("descending", [False, True])
def test_sort_and_the_largest(place, torch, dim, descending):
    def ours(x):
        return order.sort(x, dim, descending).values

    check_equals_torch(place, ours, lambda x: torch.sort(x, dim, descending)[0], [X])
    check_gradients(place, ours, [X])
    check_equals_torch(
        place,
        lambda x: order.topk(x, 2, dim, largest=descending).values,
        lambda x: torch.topk(x, 2, dim, largest=descending)[0],
        [X],
    )
    for (_, found), (_, expected) in (
        (place.tensor(X).sort(dim, descending), torch.from_numpy(X).sort(dim, descending)),
        (place.tensor(X).topk(2, dim, descending), torch.from_numpy(X).topk(2, dim, descending)),
    ):
        assert found.dtype == np.int64 and found.tolist() == expected.tolist()


def test_equal_ones_stay_as_they_were(place):
    x = place.tensor(np.array([2, 1, 2, 1, 3], np.uint8))
    assert x.argsort().tolist() == [1, 3, 0, 2, 4] and x.argsort(descending=True).tolist() == [4, 0, 2, 1, 3]
    nan = place.tensor(np.array([1.0, np.nan, 0.0]))
    assert nan.argsort().tolist() == [2, 0, 1] and nan.argsort(descending=True).tolist() == [1, 0, 2]


def test_running_sums(place, torch):
    for dim in (0, -1):
        check_equals_torch(place, lambda x, dim=dim: order.cumsum(x, dim), lambda x, dim=dim: x.cumsum(dim), [X])
    check_gradients(place, lambda x: order.cumsum(x, 1), [X / 100])
    assert forward(place, lambda x: order.cumsum(x, 0), np.full(3, 100, np.uint8)).tolist() == [100, 200, 300]


@pytest.mark.parametrize("dim", [None, 0, (0, 2), -1])
@pytest.mark.parametrize("keepdim", [False, True])
def test_norm(place, torch, dim, keepdim):
    check_equals_torch(place, lambda x: x.norm(2, dim, keepdim), lambda x: x.norm(2, dim, keepdim), [X / 7])
    check_gradients(place, lambda x: x.norm(2, dim, keepdim), [X / 100 + 1])
    check_equals_torch(place, lambda x: x.norm(1, dim, keepdim), lambda x: x.norm(1, dim, keepdim), [X / 7])


def test_norms_at_the_borders(place):
    zero = place.tensor(np.zeros((2, 2)), requires_grad=True)
    zero.norm().backward()
    assert not zero.grad.numpy().any()
    constant = place.tensor(np.full(3, 0.5), requires_grad=True)
    constant.std().backward()
    assert not constant.grad.numpy().any()
    for scale in (1e30, 1e-30):
        x = np.array([3.0, 4.0], np.float32) * np.float32(scale)
        check_close(forward(place, lambda x: x.norm(), x) / np.float32(scale), np.float32(5), 1e-5)
    assert np.isinf(forward(place, lambda x: x.norm(), np.array([np.inf, 1.0])))
    assert np.isnan(forward(place, lambda x: x.norm(), np.array([np.nan, 1.0])))
    assert forward(place, lambda x: x.norm(), np.zeros(0)) == 0


def test_errors():
    x = Tensor(X)
    with raises(ValueError, "sort", "dim 3"):
        x.sort(3)
    with raises(ValueError, "topk", "k", "4", "5"):
        x.topk(5)
    with raises(ValueError, "norm", "p must be 2 or 1"):
        x.norm(3)
    with raises(TypeError, "norm", "int64"):
        Tensor([1, 2]).norm()


@pytest.mark.parametrize("find", [lambda x: x.sort(1), lambda x: x.topk(2, 1), lambda x: x.max(1), lambda x: x.min(1)])
def test_indices_that_the_caller_changes_are_not_those_of_backward(place, find):
    x = place.tensor(X, requires_grad=True)
    values, indices = find(x)
    indices += 1  # counted from 1
    values.sum().backward()
    expected = place.tensor(X, requires_grad=True)
    find(expected)[0].sum().backward()
    assert np.array_equal(x.grad.cpu().numpy(), expected.grad.cpu().numpy())
