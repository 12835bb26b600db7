"""Forward hooks, as PyTorch has them: when they are called, what they may change, how they end."""

import copy
import pickle
import threading

import numpy as np
import pytest
from checks import check_close, raises

from minicnn import Tensor, nn, no_grad
from minicnn.nn import output_of, watch
from minicnn.nn.fused import chain
from minicnn.nn.watch import is_looked_at

X = Tensor(np.array([-1.0, 0.5, 2.0], np.float32))


class Scaled(nn.Module):
    """A layer with keywords."""

    def forward(self, x, *, by=1):
        return x * by


def in_both(torch, program):
    """program(nn, tensor) with PyTorch's layers and with ours: what it returns, which must be equal."""
    ours, theirs = program(nn, Tensor), program(torch.nn, torch.tensor)
    assert ours == theirs
    return ours


def test_hooks_run_in_order_and_may_replace_what_passes(torch):
    def program(nn, tensor):
        model, seen = nn.Sequential(nn.ReLU(), nn.Tanh()), []

        def told(name, change=None):
            def hook(module, inputs, output=None):
                seen.append((name, type(module).__name__, [i.tolist() for i in inputs], output and output.tolist()))
                return change

            return hook

        model[0].register_forward_pre_hook(told("before", tensor([3.0])))
        model[0].register_forward_pre_hook(told("before that", (tensor([-5.0]),)), prepend=True)
        model[0].register_forward_hook(told("behind"))
        model[0].register_forward_hook(told("exchanged", tensor([0.0])))
        model[0].register_forward_hook(told("last"))
        model[0].register_forward_hook(told("first"), prepend=True)
        model.register_forward_hook(told("whole"))
        return model(tensor([1.0])).tolist(), seen

    output, seen = in_both(torch, program)
    assert output == [0.0] and [name for name, *_ in seen] == [
        "before that", "before", "first", "behind", "exchanged", "last", "whole"
    ]  # fmt: skip


def test_keywords_are_for_hooks_that_ask(torch):
    def program(nn, tensor):
        class Net(nn.Module):
            def forward(self, x, *, by=1):
                return x * by

        net, seen = Net(), []
        net.register_forward_hook(lambda module, inputs, output: seen.append((len(inputs), output.tolist())))
        net.register_forward_hook(
            lambda module, inputs, keywords, output: seen.append((len(inputs), keywords["by"], output.tolist())),
            with_kwargs=True,
        )
        net.register_forward_pre_hook(
            lambda module, inputs, keywords: (inputs, {**keywords, "by": 5}), with_kwargs=True
        )
        return net(tensor([2.0]), by=3).tolist(), net(x=tensor([2.0])).tolist(), seen

    assert in_both(torch, program)[0] == [10.0]
    layer = Scaled()
    layer.register_forward_pre_hook(lambda *given: 3, with_kwargs=True)
    with raises(TypeError, "Scaled", "(inputs, keywords)", "int"):
        layer(X)
    layer = Scaled()
    layer.register_forward_pre_hook(lambda module, inputs, keywords: (inputs, None), with_kwargs=True)
    with raises(TypeError, "Scaled", "(inputs, keywords)", "tuple and NoneType"):
        layer(X)


def test_a_handle_ends_its_hook_alone(torch):
    def program(nn, tensor):
        layer, seen = nn.ReLU(), []
        first = layer.register_forward_hook(lambda *given: seen.append(1))
        second = layer.register_forward_hook(lambda *given: seen.append(2))
        first.remove()
        first.remove()
        layer(tensor([1.0]))
        with layer.register_forward_hook(lambda *given: seen.append(3)):
            layer(tensor([1.0]))
        layer(tensor([1.0]))
        second.remove()
        layer(tensor([1.0]))
        return seen

    assert in_both(torch, program) == [2, 2, 3, 2]


def test_hooks_may_remove_themselves_and_others(torch):
    def program(nn, tensor):
        layer, seen, handles = nn.ReLU(), [], []

        def once(module, inputs, output):
            seen.append("once")
            handles[0].remove()
            handles[1].remove()  # which is called nevertheless, this time

        handles.append(layer.register_forward_hook(once))
        for name in ("other", "last"):
            handles.append(layer.register_forward_hook(lambda *given, name=name: seen.append(name)))
        layer(tensor([1.0]))
        layer(tensor([1.0]))
        return seen

    assert in_both(torch, program) == ["once", "other", "last", "last"]


def test_a_shared_layer_calls_its_hook_each_time(torch):
    def program(nn, tensor):
        layer, seen = nn.ReLU(), []
        layer.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0].tolist()))
        nn.Sequential(layer, nn.Tanh(), layer)(tensor([-1.0]))
        return seen

    assert in_both(torch, program) == [[-1.0], [0.0]]


def broken(module, inputs, output):
    raise KeyError("nothing of that name")


def test_the_error_of_a_hook_says_whose_it_is_and_changes_nothing():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU())
    x = Tensor(np.ones((1, 1, 4, 4), np.float32))
    before = model(x).numpy()
    handle = model[0].register_forward_hook(broken)
    with pytest.raises(KeyError, match="nothing of that name") as caught:
        model(x)
    assert caught.value.__notes__[0].startswith("raised by the forward hook broken of Conv2d(1, 2, kernel_size=(3, 3)")
    handle.remove()
    check_close(model(x).numpy(), before, 0)
    with pytest.raises(ZeroDivisionError) as caught, watch(model, lambda *given: 1 / 0):
        model(x)
    assert "<lambda>" in caught.value.__notes__[0] and "watch" in caught.value.__notes__[0]
    assert not any(map(is_looked_at, model.modules()))
    for register in (model.register_forward_hook, model.register_forward_pre_hook):
        with raises(TypeError, "hook", "function", "int"):
            register(3)


def doubled(module, inputs, output):
    return output * 2


def test_copies_have_the_hooks_but_are_not_watched():
    model = nn.Sequential(nn.Identity())
    handle = model[0].register_forward_hook(doubled)
    seen = []
    with watch(model, lambda *given: seen.append(given[0])):
        copies = [copy.deepcopy(model), pickle.loads(pickle.dumps(model)), nn.Sequential(copy.copy(model[0]))]
    handle.remove()
    for each in copies:
        with watch(model, lambda *given: seen.append(given[0])):
            check_close(each(X).numpy(), 2 * X.numpy(), 0)
    check_close(model(X).numpy(), X.numpy(), 0)
    assert seen == []
    model.own = model[0].register_forward_hook(doubled)  # a module that keeps its handle
    other = copy.deepcopy(model)
    other.own.remove()
    check_close(other(X).numpy(), X.numpy(), 0)
    check_close(model(X).numpy(), 2 * X.numpy(), 0)


def test_a_hook_of_a_fused_layer_is_called():
    norm, relu, seen = nn.BatchNorm2d(2), nn.ReLU(), []
    x = Tensor(np.random.default_rng(0).standard_normal((2, 2, 3, 3), dtype=np.float32))
    with no_grad():
        for layer in (norm, relu):
            with layer.register_forward_hook(lambda layer, inputs, output: seen.append(output.numpy().min())):
                chain(x, norm, relu)
        with relu.register_forward_pre_hook(lambda layer, inputs: inputs[0] * 0):
            assert (chain(x, norm, relu).numpy() == 0).all()
    assert seen[0] < 0 and seen[1] == 0


def test_hooks_are_called_in_every_thread_and_watches_in_their_own():
    model, seen = nn.Sequential(nn.ReLU()), []
    model[0].register_forward_hook(lambda *given: seen.append("hook"))
    with watch(model, lambda *given: seen.append("watch")):
        other = threading.Thread(target=model, args=(X,))
        other.start()
        other.join()
        model(X)
    assert seen == ["hook", "hook", "watch"]


def test_what_a_hook_puts_in_place_is_what_watch_sees_and_gradients_pass_through():
    model, x = nn.Sequential(nn.Identity(), nn.Tanh()), Tensor([1.0, 2.0], requires_grad=True)
    model[0].register_forward_hook(doubled)
    assert output_of(model, "0", x).tolist() == [2.0, 4.0]
    model[0](x).sum().backward()
    assert x.grad.tolist() == [2.0, 2.0]
