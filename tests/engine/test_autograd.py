"""The backward walk: sums over every use, order, memory, and what it refuses."""

import gc
import weakref

import numpy as np
import pytest
from checks import check_close, leaf, raises
from hypothesis import given
from strategies import SEEDS

import minicnn.functional as F
from minicnn import Function, Tensor, gradcheck, no_grad, tier
from minicnn.autograd import backward
from minicnn.device import DeviceError
from minicnn.ops import arithmetic, conv
from minicnn.variable import Variable


class Double(Function):
    """2 x, saving x, with a gradient that a test can replace."""

    gradient = staticmethod(lambda grad_out: 2 * grad_out)

    def forward(self, x):
        self.save_for_backward(x)
        return 2 * x

    def backward(self, grad_out):
        assert self.saved
        return self.gradient(grad_out)


# Sums over every use


def test_a_diamond():
    x = leaf(3.0)
    a = x * x
    (a * 2 + a * a).backward()  # 2 x^2 + x^4
    assert x.grad.item() == 4 * 3 + 4 * 27


def test_a_diamond_goes_backward_once():
    calls = []

    class Counting(Double):
        def backward(self, grad_out):
            calls.append(grad_out.copy())
            return 2 * grad_out

    x = leaf(1.0)
    a = Counting.apply(x)
    ((a + a) * a).backward()
    assert len(calls) == 1 and calls[0] == 8 and x.grad.item() == 16


@given(seed=SEEDS)
def test_random_graphs(seed):
    """Sums and products of results drawn at random, each used any number of times."""

    def function(*leaves):
        rng, pool = np.random.default_rng(seed), list(leaves)
        for _ in range(8):
            a, b = (pool[i] for i in rng.integers(0, len(pool), 2))
            pool.append((a * b if rng.random() < 0.5 else a - b) * 0.7)
        return pool[-1] + pool[0] * 0 + pool[1] * 0

    assert gradcheck(function, list(np.random.default_rng(seed).uniform(0.5, 1, (2, 2))))


def test_a_leaf_used_in_two_ways():
    x = leaf(2.0, 3.0)
    (x * x + x).sum().backward()
    check_close(x.grad.numpy(), np.array([5.0, 7.0]), 0)


def test_gradients_accumulate_over_two_backward_calls():
    x = leaf(2.0)
    (x * x).backward()
    (x * 5).backward()
    assert x.grad.item() == 4 + 5


def test_gradients_are_left_on_leaves_only():
    x, constant = leaf(2.0), Tensor(np.array([3.0]))
    y = x * constant
    z = y * y
    z.backward()
    assert y.grad is None and z.grad is None and constant.grad is None and x.grad is not None


def test_backward_of_a_leaf_itself():
    x, upstream = leaf(1.0, 2.0), np.array([3.0, 4.0])
    x.backward(upstream)
    x.backward(upstream)
    check_close(x.grad.numpy(), 2 * upstream, 0)
    check_close(upstream, np.array([3.0, 4.0]), 0)


def test_leaves_do_not_share_one_gradient_array():
    class Twins(Function):
        def forward(self, a, b):
            return a + b

        def backward(self, grad_out):
            grad = 2 * grad_out
            return grad, grad

    a, b, upstream = leaf(1.0), leaf(1.0), np.array([1.0])
    for _ in range(2):
        Twins.apply(a, b).backward(upstream)
        (a + b).backward(upstream)
    assert (a.grad.item(), b.grad.item(), upstream[0]) == (6, 6, 1)


def test_a_gradient_that_is_a_saved_array_is_copied():
    class Root(Function):
        def forward(self, x):
            self.save_for_backward(np.full_like(x, 0.5))
            return x / 2

        def backward(self, grad_out):
            return self.saved[0]

    x = leaf(1.0)
    y = Root.apply(x)
    for _ in range(3):
        y.backward(retain_graph=True)
    assert x.grad.item() == 1.5


# A second time


def test_a_second_backward_is_an_error():
    x = leaf(2.0)
    y = x * x
    y.backward()
    with raises(RuntimeError, "Mul", "freed", "retain_graph"):
        y.backward()
    with raises(RuntimeError, "Mul", "retain_graph"):
        (y * 3).backward()


def test_retain_graph():
    x = leaf(2.0)
    y = x * x
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.item() == 8


# Memory


def test_saved_arrays_are_freed_as_the_walk_passes():
    alive_at_first_op = []

    class First(Double):
        def backward(self, grad_out):
            alive_at_first_op.append(late() is not None)
            return 2 * grad_out

    x = leaf(1.0)
    y = Double.apply(First.apply(x))
    late = weakref.ref(y.node._saved[0].array)
    assert late() is not None
    y.backward()
    assert alive_at_first_op == [False]


def test_an_intermediate_array_that_nobody_saved_is_not_kept():
    x = leaf(1.0)
    a = x + 1
    array = weakref.ref(a.data)
    y = a + 1
    del a
    assert array() is None
    y.backward()


@pytest.mark.parametrize("walk", [True, False], ids=["after backward", "without backward"])
@pytest.mark.parametrize("inplace", [True, False])
def test_a_graph_is_freed_without_the_garbage_collector(walk, inplace):
    gc.collect()
    gc.disable()
    try:
        x = leaf(1.0, -1.0)
        y = F.relu(x * 2, inplace=inplace)
        loss = (y * y).sum()
        node, array = weakref.ref(y.node), weakref.ref(y.data)
        if walk:
            loss.backward()
        del y, loss
        assert node() is None and array() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("depth", [10_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_deep_graphs(depth):
    x = leaf(1.0)
    y = x
    for _ in range(depth):
        y = y + 1
    y.backward(retain_graph=True)
    assert x.grad.item() == 1
    del y  # frees all of it, one node at a time


# What costs nothing


def test_no_grad():
    x = leaf(2.0)
    with no_grad():
        y = x * x
    assert not y.requires_grad and y.node is None
    assert no_grad()(lambda: x * x)().node is None
    assert (x * x).requires_grad
    with pytest.raises(RuntimeError, match="depends on nothing"):
        y.backward()


def test_no_grad_ends_with_an_exception():
    with pytest.raises(KeyError), no_grad():
        raise KeyError
    assert (leaf(1.0) * 2).requires_grad


@pytest.mark.parametrize("wanted", ["x", "weight", "bias"])
def test_an_input_that_needs_no_gradient_costs_no_work(monkeypatch, wanted):
    names, calls = ("x", "weight", "bias"), []

    def noted(name, work):
        return lambda *args: (calls.append(name), work(*args))[1]

    for name in names:
        monkeypatch.setattr(conv, f"conv2d_grad_{name}", noted(name, getattr(conv, f"conv2d_grad_{name}")))
    shapes = (2, 3, 5, 5), (4, 3, 2, 2), (4,)
    tensors = [Tensor(np.ones(s), name == wanted) for name, s in zip(names, shapes, strict=True)]
    with tier("plain"):
        y = F.conv2d(*tensors)
    y.backward(np.ones(y.shape))
    assert calls == [wanted]
    assert [t.grad is not None for t in tensors] == [name == wanted for name in names]


# What is refused


@pytest.mark.parametrize(
    "gradient, parts",
    [
        (lambda g: g[:1], ["(1,)", "input 0", "(2,)"]),
        (lambda g: g.astype(np.float32), ["float32", "input 0", "float64"]),
        (lambda g: None, ["no gradient", "input 0"]),
        (lambda g: (g, g), ["2 gradients", "1 inputs"]),
    ],
    ids=["shape", "dtype", "none", "number"],
)
def test_a_wrong_gradient_names_the_op(gradient, parts):
    class Wrong(Double):
        pass

    Wrong.gradient = staticmethod(gradient)
    with raises(RuntimeError, "Wrong.backward", *parts):
        Wrong.apply(leaf(1.0, 2.0)).sum().backward()


def test_inputs_must_be_tensors_of_one_dtype():
    with raises(TypeError, "Double", "x is a list", "Tensor(...)"):
        Double.apply([1.0])
    with raises(TypeError, "Add", "float32", "float64", "astype"):
        leaf(1.0) + Tensor(np.ones(1, np.float32))


@pytest.mark.parametrize(
    "op, option", [(F.max_pool2d, 2), (F.adaptive_avg_pool2d, 1), (F.dropout, 0.5), (F.softmax, 1)]
)
def test_integers_are_refused(op, option):
    with raises(TypeError, f"{op.__name__}_forward", "int64", "float32", "astype"):
        op(Tensor(np.ones((1, 3, 2, 2), int)), option)


def test_inputs_must_be_on_one_device(monkeypatch):
    a, b = leaf(1.0), leaf(2.0)
    monkeypatch.setattr("minicnn.contract.device_of", lambda array: "cuda" if array is b.data else "cpu")
    with raises(DeviceError, "Mul", "a: cpu", "b: cuda", ".to(...)"):
        a * b


def test_the_upstream_gradient_must_fit():
    y = leaf(1.0, 2.0) * 3
    with raises(ValueError, "(2,)", "upstream"):
        y.backward()
    with raises(ValueError, "upstream", "(3,)", "(2,)"):
        y.backward(np.ones(3))
    with raises(ValueError, "upstream", "float32", "float64"):
        y.backward(Tensor(np.ones(2, np.float32)))
    y.backward([1.0, 2.0])


def test_a_variable_is_all_that_a_graph_needs():
    """Without Tensor's operators, and without a gradient unless it is asked for."""
    x, factor = Variable(np.array([1.0, 2.0]), requires_grad=True), Variable(np.array([3.0, 4.0]))
    y = arithmetic.mul(x, factor)
    assert y.requires_grad and not factor.requires_grad
    backward(y, np.array([1.0, 10.0]), retain_graph=False, add=None)  # no sum is needed
    assert np.array_equal(x.grad.data, [3.0, 40.0]) and factor.grad is None
