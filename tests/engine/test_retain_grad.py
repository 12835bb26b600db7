"""retain_grad: the gradients of results that are no leaves, as PyTorch keeps them."""

import copy
import gc
import weakref

import numpy as np
import pytest
from checks import check_close, raises

from minicnn import Tensor
from minicnn import functional as ours

X = np.random.default_rng(0).standard_normal((2, 3))


def kept(t):
    t.retain_grad()
    return t


def used_twice(x, F):
    y = kept(x * 3)
    (y * y + y).sum().backward()
    return y


def changed_in_place_afterwards(x, F):
    y = kept(x * 3)
    y += 1
    (y * y).sum().backward()
    return y


def changed_in_place_before(x, F):
    y = x * 3
    y -= 1
    kept(y)
    y *= 2
    (y * y).sum().backward()
    return y


def an_op_in_place(x, F):
    y = kept(x * 3)
    z = F.relu(y, inplace=True)
    (z * z).sum().backward()
    return z


def with_a_view(x, F):
    y = kept(x * 3)
    z = kept(y[0])
    (z * z).sum().backward()
    check_close(np.asarray(z.grad.tolist()), 2 * 3 * X[0], 1e-12)
    return y


def of_the_loss(x, F):
    loss = kept((x * x).sum())
    loss.backward()
    return loss


def of_a_leaf(x, F):
    kept(x)
    (x * x).sum().backward()
    return x


CASES = [used_twice, changed_in_place_afterwards, changed_in_place_before, an_op_in_place, with_a_view, of_the_loss]


@pytest.mark.parametrize("case", [*CASES, of_a_leaf])
def test_as_in_pytorch(torch, case):
    mine = case(Tensor(X.copy(), requires_grad=True), ours)
    theirs = case(torch.from_numpy(X.copy()).requires_grad_(), torch.nn.functional)
    check_close(mine.grad.numpy(), theirs.grad.numpy(), 1e-12)


def test_further_backward_passes_add():
    x = Tensor(X, requires_grad=True)
    y = kept(x * 3)
    loss = (y * y).sum()
    loss.backward(retain_graph=True)
    first = y.grad.numpy().copy()
    loss.backward()
    check_close(y.grad.numpy(), 2 * first, 1e-12)


def test_what_is_kept_is_a_copy():
    x, other = Tensor(X, requires_grad=True), Tensor(X, requires_grad=True)
    y = kept(x + other)  # hands its own gradient on to both
    grad = Tensor(np.ones_like(X))
    y.backward(grad)
    y.grad[...] = 7
    assert (grad.numpy() == 1).all() and (x.grad.numpy() == 1).all() and (other.grad.numpy() == 1).all()


def test_others_keep_nothing():
    x = Tensor(X, requires_grad=True)
    y = x * 3
    z = kept(y * y)
    z.sum().backward()
    assert y.grad is None and z.grad is not None


def test_without_a_gradient_there_is_nothing_to_keep():
    with raises(RuntimeError, "retain_grad()", "requires_grad=True"):
        Tensor(X).retain_grad()


def test_a_graph_with_kept_gradients_is_freed():
    gc.disable()
    try:
        x = Tensor(X, requires_grad=True)
        y = kept(x * 3)
        gone = weakref.ref(y), weakref.ref(y.node)
        loss = (y * y).sum()
        del y  # nobody can look at its gradient any more
        loss.backward()
        assert gone[0]() is None and gone[1]() is None
    finally:
        gc.enable()


def test_a_copy_is_a_leaf_that_keeps_nothing():
    y = kept(Tensor(X, requires_grad=True) * 3)
    other = copy.deepcopy(y)
    other += Tensor(X, requires_grad=True)  # now the result of an op
    other.sum().backward()
    assert other.grad is None
