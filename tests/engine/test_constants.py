"""What backward reads and is no input (labels, weights of classes, indices) must not change unseen."""

import numpy as np
import pytest
from checks import check_close, leaf, raises

import minicnn.functional as F
from minicnn import Tensor, no_grad


def cross_entropy(target, weight=None):
    x = Tensor(np.zeros((2, 3), np.float32), requires_grad=True)
    return x, F.cross_entropy(x, target, weight)


@pytest.mark.parametrize("new", [10**10, -1, 4, 2], ids=["far away", "negative", "no class", "another class"])
@pytest.mark.parametrize(
    "wrap", [np.asarray, Tensor, lambda a: Tensor(a).detach()], ids=["array", "tensor", "detached"]
)
@pytest.mark.parametrize("change", ["array", "tensor"])
def test_labels_changed_before_backward_are_noticed(place, wrap, change, new):
    array = np.array([0, 1])
    labels = wrap(array)
    x = place.tensor(np.zeros((2, 3), np.float32), requires_grad=True)
    loss = F.cross_entropy(x, labels)
    if change == "array":
        array[:] = new
    else:
        Tensor(array)[...] = new  # another Tensor of the same memory, with a count of its own
    with raises(RuntimeError, "CrossEntropy", "(2,)", "changed in place"):
        loss.backward()
    assert x.grad is None


def test_labels_on_the_device_changed_before_backward_are_noticed(place):
    x, labels = place.tensor(np.zeros((2, 3), np.float32), requires_grad=True), place.tensor(np.array([0, 1]))
    loss = F.cross_entropy(x, labels)
    labels[0] = 2
    with raises(RuntimeError, "CrossEntropy", "changed in place"):
        loss.backward()


def test_class_weights_changed_before_backward_are_noticed():
    for weight in (np.ones(3, np.float32), Tensor(np.ones(3, np.float32))):
        _, loss = cross_entropy(np.array([0, 1]), weight)
        weight[...] = 5.0
        with raises(RuntimeError, "CrossEntropy", "(3,)", "changed in place"):
            loss.backward()


@pytest.mark.parametrize("make", [lambda a: a, Tensor, list], ids=["array", "tensor", "list"])
def test_an_index_changed_before_backward(make):
    x, index = leaf(1.0, 2.0, 3.0), make(np.array([0, 2]))
    y = x[index] * 2
    index[0] = 1 if isinstance(index, list) else 10**9
    if isinstance(index, list):  # a list was read once, into an array of the op's own
        y.sum().backward()
        check_close(x.grad.numpy(), np.array([2.0, 0, 2]), 0)
    else:
        with raises(RuntimeError, "GetItem", "(2,)", "changed in place"):
            y.sum().backward()


def test_a_mask_changed_before_backward_is_noticed():
    x, mask = leaf(1.0, 2.0, 3.0), np.array([True, False, True])
    y = x[mask]
    mask[:] = True
    with raises(RuntimeError, "GetItem", "changed in place"):
        y.sum().backward()


def test_labels_and_indices_may_change_after_backward_and_without_a_graph():
    labels, index = np.array([0, 1]), np.array([0, 1])
    for _ in range(2):
        x, loss = cross_entropy(labels)
        y = x[index].sum() + loss
        y.backward()
        labels += 1
        index -= 1
    with no_grad():
        _, loss = cross_entropy(labels - 2)
    assert not loss.requires_grad


def test_unchanged_with_nan_among_the_weights():
    x, loss = cross_entropy(np.array([0, 1]), np.array([1, 1, np.nan], np.float32))
    loss.backward()
    assert x.grad is not None


def test_running_statistics_that_a_graph_has_read_are_seen_to_change(place):
    mean, var = place.tensor(np.zeros(2)), place.tensor(np.ones(2))
    w = place.tensor(np.ones(2), requires_grad=True)
    y = (w * mean).sum()
    x = place.tensor(np.random.default_rng(0).standard_normal((4, 2)))
    F.batch_norm(x, mean, var, training=True)
    with raises(RuntimeError, "Mul", "in place"):
        y.backward()
