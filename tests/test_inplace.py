"""Changes in place: noticed where they would spoil a gradient, and right where they do not."""

import numpy as np
import pytest
from checks import check_close, leaf, raises

import minicnn.functional as F
from minicnn import Tensor, no_grad


@pytest.mark.parametrize(
    "change",
    [
        lambda a: a.detach().__setitem__(0, 5.0),
        lambda a: a.reshape(2, 1).detach().__setitem__((0, 0), 5.0),
        lambda a: setattr(a, "data", a.data + 1),
    ],
    ids=["itself", "through a view", "another array"],
)
def test_a_saved_array_must_not_change(change):
    x = leaf(1.0, 2.0)
    a = x + 0
    y = a * a
    change(a)
    with raises(RuntimeError, "Mul", "(2,)", "in place"):
        y.sum().backward()


def test_a_saved_array_must_not_change_by_inplace_relu():
    x = leaf(-1.0, 2.0)
    a = x + 0
    y = a * a
    F.relu(a, inplace=True)
    with raises(RuntimeError, "Mul", "(2,)", "in place"):
        y.sum().backward()


def test_weights_must_not_change_between_forward_and_backward():
    w = leaf(1.0, 2.0)
    y = (w * w).sum()
    w.detach()[...] = 0
    with raises(RuntimeError, "Mul", "in place"):
        y.backward()


@pytest.mark.parametrize("p", [None, 0.5])
def test_inplace_on_a_result_gives_the_right_gradient(p):
    def function(x):
        y = x * 3
        y = F.relu(y, inplace=True) if p is None else F.dropout(y, p, inplace=True)
        return y + y

    x = leaf(-1.0, 2.0, -3.0, 4.0)
    y = function(x)
    y.backward(np.ones(4))
    check_close(x.grad.numpy(), 6 * (y.numpy() != 0) * (1 if p is None else 1 / (1 - p)), 0)


def test_inplace_after_another_use_leaves_that_uses_gradient_alone():
    x = leaf(-1.0, 2.0)
    a = x * 2
    before = a + 1
    F.relu(a, inplace=True)
    before.backward(np.ones(2))
    check_close(x.grad.numpy(), np.array([2.0, 2.0]), 0)


@pytest.mark.parametrize("op, name", [(F.relu, "ReLU"), (F.dropout, "Dropout")])
def test_inplace_on_a_leaf_that_needs_a_gradient_is_an_error(op, name):
    x = leaf(-1.0, 2.0, 3.0)
    with raises(RuntimeError, name, "leaf", "(3,)", "inplace=False"):
        op(x, inplace=True)
    check_close(x.numpy(), np.array([-1.0, 2.0, 3.0]), 0)
    with no_grad():
        op(x, inplace=True)
    assert F.relu(Tensor(np.array([-1.0])), inplace=True).item() == 0


@pytest.mark.parametrize("which", ["the view", "what is viewed", "a leaf that is viewed"])
def test_inplace_on_memory_that_a_view_shares_is_an_error(which):
    x = leaf(-1.0, 2.0)
    a = x if which == "a leaf that is viewed" else x * 2
    view = a.reshape(2, 1)
    with raises(RuntimeError, "ReLU", "view", "inplace=False"):
        F.relu(a if which == "what is viewed" else view, inplace=True)
    assert x.numpy()[0] == -1
