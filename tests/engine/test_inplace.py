"""Changes in place: noticed where they would spoil a gradient, and right where they do not."""

import numpy as np
import pytest
from checks import check_close, leaf, raises

import minicnn
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


OPERATORS = {
    "add": lambda a, b: a.__iadd__(b),
    "sub": lambda a, b: a.__isub__(b),
    "mul": lambda a, b: a.__imul__(b),
    "div": lambda a, b: a.__itruediv__(b),
}
OUT_OF_PLACE = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
}


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize(
    "other", [3.0, np.array([2.0, 4.0]), Tensor(np.array([[2.0, 4.0]]))], ids=["number", "array", "tensor"]
)
def test_outside_the_graph_the_memory_itself_changes(place, name, other):
    other = place.tensor(other.numpy() if isinstance(other, Tensor) else other) if not np.isscalar(other) else other
    a = place.tensor(np.array([[1.0, 2.0], [3.0, 4.0]]), requires_grad=True)
    memory, view = a.data, a.detach()[1]
    expected = OUT_OF_PLACE[name](a.detach(), other).numpy().copy()
    with no_grad():
        assert OPERATORS[name](a, other) is a
    assert a.data is memory and a.requires_grad and a.node is None
    check_close(a.numpy(), expected, 0)
    check_close(view.numpy(), expected[1], 0)


def test_gradient_descent_by_hand(place):
    """The loop that every course begins with, and the same by the optimiser."""
    x, target = np.random.default_rng(0).standard_normal((2, 20, 3))
    byhand, optimised = (place.tensor(np.ones((3, 3)), requires_grad=True) for _ in range(2))
    optimizer = minicnn.optim.SGD([optimised], lr=0.05)
    for _ in range(5):
        for w in (byhand, optimised):
            ((place.tensor(x) @ w - place.tensor(target)) ** 2).mean().backward()
        with no_grad():
            byhand -= 0.05 * byhand.grad
        byhand.grad.zero_()
        optimizer.step()
        optimizer.zero_grad()
    check_close(byhand.numpy(), optimised.numpy(), 1e-12)
    assert not np.array_equal(byhand.numpy(), np.ones((3, 3)))


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("shape", [(2, 3), (3,), ()])
def test_in_the_graph_as_in_torch(torch, name, shape):
    rng = np.random.default_rng(3)
    values, other = rng.standard_normal((2, 3)), rng.uniform(1, 2, shape)
    ours = [Tensor(values.copy(), requires_grad=True), Tensor(other.copy())]
    theirs = [torch.from_numpy(values.copy()).requires_grad_(), torch.from_numpy(np.array(other))]
    results = []
    for x, b in (ours, theirs):
        y = x * 2
        alias = y
        y = OPERATORS[name](y, b)
        assert y is alias
        z = y * y
        z.sum().backward()
        results.append((z.detach().numpy(), x.grad.numpy()))
    for value, expected in zip(*results, strict=True):
        check_close(value, expected, 1e-12)


@pytest.mark.parametrize("name", ["add", "sub"])
def test_in_the_graph_both_sides_get_their_gradient(name):
    x, b = leaf(1.0, 2.0), leaf(3.0, 4.0)
    y = x * 2
    y = OPERATORS[name](y, b)
    y.backward(np.array([1.0, 10.0]))
    check_close(x.grad.numpy(), np.array([2.0, 20.0]), 0)
    check_close(b.grad.numpy(), np.array([1.0, 10.0]) * (1 if name == "add" else -1), 0)


def test_a_sum_that_begins_outside_the_graph():
    x, total = leaf(1.0, 2.0), Tensor(np.zeros(2))
    for factor in (1.0, 2.0, 3.0):
        total += x * factor
    total.sum().backward()
    check_close(x.grad.numpy(), np.full(2, 6.0), 0)


@pytest.mark.parametrize("name", OPERATORS)
def test_a_leaf_in_the_graph_is_not_changed(name):
    x = leaf(1.0, 2.0)
    with raises(RuntimeError, name, "leaf", "(2,)", "no_grad"):
        OPERATORS[name](x, 1.0)
    assert x.tolist() == [1, 2]


def test_what_a_view_shares_is_not_changed_in_the_graph():
    y = leaf(1.0, 2.0) * 2
    view = y.reshape(2, 1)
    for a in (y, view):
        with raises(RuntimeError, "add", "view", "a = a + b"):
            a += 1.0
    assert y.tolist() == [2, 4]


def test_a_change_of_what_was_saved_is_noticed():
    x = leaf(1.0, 2.0)
    y = x.exp()
    y += 1.0  # exp's gradient is its result
    with raises(RuntimeError, "Exp", "(2,)", "in place"):
        y.sum().backward()
    w = leaf(3.0, 4.0)
    loss = (w * w).sum()
    with no_grad():
        w -= 1.0
    with raises(RuntimeError, "Mul", "in place"):
        loss.backward()


def test_a_factor_that_was_not_needed_may_change():
    x, factor = leaf(1.0, 2.0), Tensor(np.array([3.0, 4.0]))
    frozen = Tensor(np.array([5.0, 6.0]))
    y = (x * factor).sum() + (frozen * x).sum()
    x.detach()[...] = 0  # neither gradient reads x
    y.backward()
    check_close(x.grad.numpy(), np.array([8.0, 10.0]), 0)


@pytest.mark.parametrize(
    "a, b, error, parts",
    [
        (np.ones(2), np.ones((3, 2)), ValueError, ["add", "(3, 2)", "(2,)"]),
        (np.ones(2), np.ones(3), ValueError, ["add", "(3,)", "(2,)"]),
        (np.ones(2), np.ones(2, np.float32), TypeError, ["add", "float64", "float32", "astype"]),
        (np.ones(2, np.float32), np.ones(2), TypeError, ["add", "float64", "float32", "astype"]),
        (np.ones(2, int), np.ones(2), TypeError, ["add", "int64", "float64"]),
        (np.ones(2, int), 0.5, TypeError, ["0.5", "int64"]),
    ],
)
def test_what_does_not_fit_changes_nothing(a, b, error, parts):
    x = Tensor(a.copy())
    with raises(error, *parts):
        x += b
    assert x.dtype == a.dtype and x.tolist() == a.tolist()


def test_integers_and_counts_in_place():
    count = Tensor(np.array([1, 2]))
    count += 1
    count *= Tensor([2, 3])
    assert count.tolist() == [4, 9]
    with raises(TypeError, "div", "int64"):
        count /= 2


def test_powers_and_masks_in_place():
    w, mask = leaf(2.0, 3.0), Tensor([True, False, True])
    same_w, same_mask, view = w, mask, mask.reshape(3, 1)
    with no_grad():
        w **= 2
    assert w is same_w and w.tolist() == [4, 9] and w.requires_grad
    mask &= Tensor([True, True, False])
    assert mask is same_mask and view.tolist() == [[True], [False], [False]]
    mask |= np.array([False, False, True])
    mask ^= True
    assert mask is same_mask and view.tolist() == [[False], [True], [False]]
    with raises(RuntimeError, "pow", "no_grad"):
        w **= 2
    with raises(TypeError, "pow", "float32", "int64"):
        count = Tensor([2, 4])
        count **= 0.5
    with raises(TypeError, "and", "(2, 3)"):
        mask &= np.ones((2, 3), bool)
    assert w.tolist() == [4, 9] and count.tolist() == [2, 4] and mask.tolist() == [False, True, False]


def test_a_power_in_the_graph_that_has_saved_its_base_is_noticed():
    x = leaf(1.0, 2.0)
    y = x * 3
    y **= 2
    with raises(RuntimeError, "Pow", "in place"):
        y.sum().backward()
