"""register_post_accumulate_grad_hook: called when a leaf's gradient is complete, and while the walk goes on."""

import copy
import pickle

import numpy as np
import pytest
from checks import check_close, raises

from minicnn import Tensor, nn, no_grad
from minicnn import functional as ours
from minicnn.autograd import Function
from minicnn.gradmode import is_grad_enabled

RNG = np.random.default_rng(0)
X, W = RNG.standard_normal((3, 3)), RNG.standard_normal((3, 3))


# As in PyTorch: each case logs what hooks see. `leaf` makes a leaf of an array, `see` a hook that logs


def used_once(F, leaf, see):
    w = leaf(W)
    w.register_post_accumulate_grad_hook(see("w"))
    (w * 3).sum().backward()


def used_twice(F, leaf, see):
    w = leaf(W)
    w.register_post_accumulate_grad_hook(see("w"))
    (w * w).sum().backward()  # by one op


def used_three_times(F, leaf, see):
    w, x = leaf(W), leaf(X)
    w.register_post_accumulate_grad_hook(see("w"))
    for _ in range(3):
        x = F.linear(x, w)
    (x * x).sum().backward()


def used_twice_with_a_layer_in_between(F, leaf, see):
    w, v = leaf(W), leaf(X)
    w.register_post_accumulate_grad_hook(see("w"))
    v.register_post_accumulate_grad_hook(see("v"))  # complete when w has half of its gradient
    F.linear(F.linear(w * 2, v), w).sum().backward()


def under_an_op_in_place(F, leaf, see):
    w = leaf(W)
    w.register_post_accumulate_grad_hook(see("w"))
    y = w * 2
    y += w
    y *= 3
    y.sum().backward()


def backward_of_a_leaf(F, leaf, see):
    w = leaf(W)
    w.register_post_accumulate_grad_hook(see("w"))
    w.backward(leaf(X).detach())


def several_in_order(F, leaf, see):
    w = leaf(W)
    for name in ("first", "second", "third"):
        w.register_post_accumulate_grad_hook(see(name))
    (w * w).sum().backward()


def the_same_one_twice(F, leaf, see):
    w, hook = leaf(W), see("hook")
    first, _ = w.register_post_accumulate_grad_hook(hook), w.register_post_accumulate_grad_hook(hook)
    w.sum().backward()
    first.remove()
    first.remove()  # nothing, and above all not the other one
    w.sum().backward()


def removed(F, leaf, see):
    w = leaf(W)
    handle = w.register_post_accumulate_grad_hook(see("gone"))
    w.register_post_accumulate_grad_hook(see("there"))
    handle.remove()
    w.sum().backward()


def one_that_removes_itself_and_another(F, leaf, see):
    w, handles, look = leaf(W), [], see("first")

    def first(w):
        look(w)
        handles[0].remove()
        handles[1].remove()

    handles += [w.register_post_accumulate_grad_hook(hook) for hook in (first, see("second"), see("third"))]
    w.sum().backward()
    w.sum().backward()


def added_in_a_hook(F, leaf, see):
    w, look = leaf(W), see("first")

    def first(w):
        look(w)
        w.register_post_accumulate_grad_hook(see("added"))

    w.register_post_accumulate_grad_hook(first)
    w.sum().backward()
    w.register_post_accumulate_grad_hook(see("last"))


def one_that_replaces_the_gradient(F, leaf, see):
    w = leaf(W)

    def double(w):
        w.grad = w.grad * 2

    w.register_post_accumulate_grad_hook(double)
    w.register_post_accumulate_grad_hook(see("w"))
    (w * w).sum().backward()
    (w * w).sum().backward()  # adds to what was put there, and doubles it again


def one_that_forgets_the_gradient(F, leaf, see):
    w = leaf(W)

    def forget(w):
        w.grad = None

    w.register_post_accumulate_grad_hook(see("w"))
    w.register_post_accumulate_grad_hook(forget)
    for _ in range(2):
        (w * w).sum().backward()


def one_that_takes_a_step(F, leaf, see):
    w, x = leaf(W), leaf(X)

    def step(w):
        w -= 0.1 * w.grad  # no graph is left behind, or this would be an error
        w.grad = None

    w.register_post_accumulate_grad_hook(step)
    F.linear(F.relu(x), w).sum().backward()
    see("w")(w * 1)
    see("x")(x)


def a_frozen_leaf(F, leaf, see):
    w, x = leaf(W), leaf(X)
    w.register_post_accumulate_grad_hook(see("w"))
    x.register_post_accumulate_grad_hook(see("x"))
    w.requires_grad_(False)
    F.linear(x, w).sum().backward()
    w.requires_grad_(True)  # it still has its hook
    F.linear(x, w).sum().backward()


def one_that_does_not_take_part(F, leaf, see):
    w, x = leaf(W), leaf(X)
    w.register_post_accumulate_grad_hook(see("w"))
    w.grad = x.detach()
    F.linear(x, w.detach()).sum().backward()


def no_graph(F, leaf, see):
    w = leaf(W)
    w.register_post_accumulate_grad_hook(see("w"))
    (w.detach() * leaf(X)).sum().backward()


def a_second_backward(F, leaf, see):
    w = leaf(W)
    w.register_post_accumulate_grad_hook(see("w"))
    loss = F.linear(w, w).sum()
    loss.backward(retain_graph=True)
    loss.backward()  # adds to .grad


def two_losses(F, leaf, see):
    w = leaf(W)
    w.register_post_accumulate_grad_hook(see("w"))
    y = w * w
    y.sum().backward(retain_graph=True)
    (y * y).sum().backward()


CASES = [
    used_once, used_twice, used_three_times, used_twice_with_a_layer_in_between, under_an_op_in_place,
    backward_of_a_leaf, several_in_order, the_same_one_twice, removed, one_that_removes_itself_and_another,
    added_in_a_hook, one_that_replaces_the_gradient, one_that_forgets_the_gradient, one_that_takes_a_step,
    a_frozen_leaf, one_that_does_not_take_part, no_graph, a_second_backward, two_losses,
]  # fmt: skip
SILENT = [one_that_does_not_take_part, no_graph]  # in which no hook is called


@pytest.mark.parametrize("case", CASES)
def test_as_in_pytorch(torch, case):
    mine = logged(case, ours, lambda array: Tensor(array.copy(), requires_grad=True))
    theirs = logged(case, torch.nn.functional, lambda array: torch.from_numpy(array.copy()).requires_grad_())
    assert [name for name, _ in mine] == [name for name, _ in theirs] and bool(mine) == (case not in SILENT)
    for (_, value), (_, expected) in zip(mine, theirs, strict=True):
        check_close(value, expected, 1e-12)


def logged(case, F, leaf):
    """[(name, .grad as the hook of this name found it; the values themselves, of what has none)]"""
    log = []

    def see(name):
        def hook(tensor):
            found = tensor if not tensor.is_leaf or tensor.grad is None else tensor.grad
            log.append((name, found.detach().numpy().copy()))

        return hook

    case(F, leaf, see)
    return log


class Logged(Function):
    """x, and a word in the log on the way back."""

    def forward(self, x, log, word):
        self.log, self.word = log, word
        return x.copy()

    def backward(self, grad_out):
        self.log.append(self.word)
        return grad_out


def test_is_called_before_the_layers_nearer_to_the_input_have_worked():
    log, model = [], nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 2)).to(X.dtype)
    x = Tensor(X)
    for number, layer in enumerate(model):
        for name, parameter in layer.named_parameters():
            parameter.register_post_accumulate_grad_hook(lambda _, name=name, number=number: log.append((number, name)))
        x = Logged.apply(layer(x), log=log, word=f"behind layer {number}")
    x.sum().backward()
    words = [f"behind layer {number}" for number in (2, 1, 0)]
    assert [word for word in log if isinstance(word, str)] == words
    for number, word in zip((2, 1, 0), words, strict=True):
        assert set(log[log.index(word) + 1 :][:2]) == {(number, "weight"), (number, "bias")}


def test_a_leaf_of_several_layers_waits_for_the_one_nearest_to_the_input():
    log, shared, own = [], nn.Linear(3, 3, bias=False).to(X.dtype), nn.Linear(3, 3, bias=False).to(X.dtype)
    shared.weight.register_post_accumulate_grad_hook(lambda _: log.append("shared"))
    own.weight.register_post_accumulate_grad_hook(lambda _: log.append("own"))
    shared(own(Logged.apply(shared(Tensor(X)), log=log, word="behind the first layer"))).sum().backward()
    assert log == ["own", "behind the first layer", "shared"]


def test_is_called_without_a_graph():
    log, w = [], Tensor(W, requires_grad=True)
    w.register_post_accumulate_grad_hook(lambda w: log.append((is_grad_enabled(), (w * 2).requires_grad)))
    w.sum().backward()
    w.backward(Tensor(X))
    assert log == [(False, False)] * 2 and is_grad_enabled()


def test_no_grad_around_backward_changes_nothing():
    log, w = [], Tensor(W, requires_grad=True)
    w.register_post_accumulate_grad_hook(lambda w: log.append(w.grad.numpy().copy()))
    loss = (w * w).sum()
    with no_grad():
        loss.backward()
    check_close(log[0], 2 * W, 1e-12)


def test_gradients_may_change_in_place():
    """A hook writes into .grad, as a sum over ranks does: it is nobody else's memory."""
    a, b = Tensor(X, requires_grad=True), Tensor(W, requires_grad=True)
    for leaf in (a, b):
        leaf.register_post_accumulate_grad_hook(lambda leaf: leaf.grad.data.fill(7))
    gradient = Tensor(np.ones_like(X))
    (a + b).backward(gradient)  # + hands its gradient on to both
    assert (a.grad.numpy() == 7).all() and (b.grad.numpy() == 7).all() and (gradient.numpy() == 1).all()
    a.grad = None
    a.backward(gradient)
    assert (gradient.numpy() == 1).all()


def test_a_with_block_ends_it():
    log, w = [], Tensor(W, requires_grad=True)
    with w.register_post_accumulate_grad_hook(log.append):
        w.sum().backward()
    w.sum().backward()
    assert log == [w]


def test_the_error_of_a_hook_ends_backward():
    def fail(w):
        raise ZeroDivisionError("of the hook")

    w, x = Tensor(W, requires_grad=True), Tensor(X, requires_grad=True)
    w.register_post_accumulate_grad_hook(fail)
    with raises(ZeroDivisionError, "of the hook"):
        ours.linear(x * 2, w).sum().backward()
    assert w.grad is not None and x.grad is None


def test_copies_have_no_hooks():
    log, layer = [], nn.Linear(3, 2).to(X.dtype)
    layer.weight.register_post_accumulate_grad_hook(log.append)  # a list's method would be copied with its list
    for other in (copy.deepcopy(layer), copy.copy(layer.weight), pickle.loads(pickle.dumps(layer.weight))):
        weight = getattr(other, "weight", other)
        weight.sum().backward()
        weight.register_post_accumulate_grad_hook(lambda _: log.append("the copy's"))
    layer.weight.sum().backward()
    assert log == [layer.weight]


def test_what_cannot_have_one():
    leaf = Tensor(W, requires_grad=True)
    with raises(RuntimeError, "register_post_accumulate_grad_hook", "is a result", "hooks are for leaves"):
        (leaf * 2).register_post_accumulate_grad_hook(print)
    with raises(RuntimeError, "register_post_accumulate_grad_hook", "gets no gradient", "requires_grad"):
        Tensor(W).register_post_accumulate_grad_hook(print)
    with raises(TypeError, "register_post_accumulate_grad_hook", "a function", "'no function'"):
        leaf.register_post_accumulate_grad_hook("no function")
    leaf.sum().backward()  # it has got none of them
