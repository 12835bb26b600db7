"""watch, output_of, input_of: what passes through a network, by the names of its layers."""

import gc
import threading
import weakref

import numpy as np
import pytest
from checks import check_close, raises

import minicnn.functional as F
from minicnn import Tensor, manual_seed, models, nn, no_grad
from minicnn.nn import input_of, output_of, watch
from minicnn.nn.watch import is_looked_at, tensors_in


def network():
    manual_seed(0)
    return models.cifar_resnet(8).eval()


def images():
    return Tensor(np.random.default_rng(0).standard_normal((2, 3, 8, 10), dtype=np.float32))


def test_every_layer_is_seen_in_order():
    model = network()
    seen = []
    with no_grad(), watch(model, lambda name, layer, x, y: seen.append((name, layer, y.numpy().copy()))):
        model(images())
    assert [name for name, *_ in seen[:6]] == [
        "conv1",
        "bn1",
        "relu",
        "layer1.0.conv1",
        "layer1.0.bn1",
        "layer1.0.relu",
    ]
    assert sum(name == "layer1.0.relu" for name, *_ in seen) == 2  # a block uses its ReLU twice
    assert {name for name, *_ in seen} == {name for name, m in model.named_modules() if not list(m.children())}


def test_afterwards_the_network_is_as_before():
    model = network()
    with pytest.raises(RuntimeError), watch(model, lambda *args: None):
        raise RuntimeError
    assert not any(is_looked_at(module) for module in model.modules())
    with no_grad():
        output_of(model, "layer2", images())
    assert not any(is_looked_at(module) for module in model.modules())


def test_only_some_modules():
    model = network()
    shapes = {}
    with no_grad(), watch(model, lambda name, layer, x, y: shapes.update({name: (x.shape, y.shape)}), ["layer2", "fc"]):
        model(images())
    assert shapes == {"layer2": ((2, 16, 8, 10), (2, 32, 4, 5)), "fc": ((2, 64), (2, 10))}


def test_the_output_of_any_layer():
    model = network()
    block = model.layer2[0]
    with no_grad():
        x = model.layer1(model.relu(model.bn1(model.conv1(images()))))
        check_close(model.features(images(), "layer1").numpy(), x.numpy(), 0)
        inner = block.bn1(block.conv1(x)).numpy()
        assert (inner < 0).any()
        check_close(model.features(images(), "layer2.0.bn1").numpy(), inner, 0)  # before the ReLU changes it in place
        check_close(input_of(model, "fc", images()).numpy(), model.features(images(), "avgpool").numpy()[:, :, 0, 0], 0)
        check_close(output_of(model, "", images()).numpy(), model(images()).numpy(), 0)


def test_nothing_behind_it_is_computed():
    model = network()
    ran = []
    with no_grad(), watch(model, lambda name, *rest: ran.append(name)):
        output_of(nn.Sequential(model), "0.layer1", images())
    assert ran and not any(name.startswith(("layer2", "fc")) for name in ran)


def test_what_has_passed_is_free_with_its_last_name():
    """Without a circle of references, which would keep a batch's arrays until Python looks for some."""
    model, x = network(), images()
    gc.collect()
    gc.disable()
    try:
        made = output_of(model, "layer1", x)
        freed = weakref.ref(made.data)
        del made
        assert freed() is None
    finally:
        gc.enable()


def test_gradients_pass_through_features():
    model = network()
    x = Tensor(images().numpy(), requires_grad=True)
    model.features(x, "layer1").sum().backward()
    assert np.abs(x.grad.numpy()).max() > 0


def test_what_cannot_be_watched(torch):
    for model, names, parts in (
        (torch.nn.ReLU(), None, ["Module", "torch.ReLU"]),
        (network(), 5, ["names", "int"]),
        (None, None, ["Module", "NoneType"]),
    ):
        with raises(TypeError, "watch", *parts), nn.watch(model, print, names):
            pass


def test_layers_that_there_are_not():
    model = network()
    with raises(ValueError, "'layer9'", "layer1", "avgpool", "fc"):
        model.features(images(), "layer9")

    class Half(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.unused = nn.ReLU(), nn.ReLU()

        def forward(self, x):
            return self.used(x)

    with raises(ValueError, "'unused'", "Half"):
        output_of(Half(), "unused", images())


def seen_by(seen, letter):
    return lambda name, layer, x, y: seen.append(letter + name)


def test_watches_may_be_nested_and_cross_each_other():
    model, x, seen = nn.Sequential(nn.ReLU(), nn.Tanh()), Tensor([1.0]), []
    with watch(model, seen_by(seen, "a")):
        with watch(model, seen_by(seen, "b"), ["1"]), watch(model[1], seen_by(seen, "c")):
            model(x)
        model(x)
    model(x)
    assert seen == ["a0", "a1", "b1", "c", "a0", "a1"]
    first, second = watch(model, seen_by(seen, "d")), watch(model, seen_by(seen, "e"))
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    seen.clear()
    model(x)
    second.__exit__(None, None, None)
    model(x)
    assert seen == ["e0", "e1"]


def test_a_watch_in_a_generator_ends_with_it():
    model, x, seen = nn.Sequential(nn.ReLU()), Tensor([1.0]), []

    def outputs():
        with watch(model, seen_by(seen, "")):
            while True:
                yield model(x)

    passes = outputs()
    next(passes)
    next(passes)
    end = threading.Thread(target=passes.close)  # as when the collector runs in another thread
    end.start()
    end.join()
    model(x)
    assert seen == ["0", "0"] and not is_looked_at(model[0])


def test_each_thread_has_watches_of_its_own():
    model, x, seen = nn.Sequential(nn.ReLU()), Tensor([1.0]), {}
    inside, outside = threading.Barrier(3, timeout=10), threading.Barrier(3, timeout=10)

    def look(number):
        with watch(model, lambda *args: seen.setdefault(number, []).append(args[0])):
            inside.wait()
            for _ in range(number):
                model(x)
            outside.wait()
        model(x)

    lookers = [threading.Thread(target=look, args=(number,)) for number in (1, 2)]
    for thread in lookers:
        thread.start()
    inside.wait()
    assert not is_looked_at(model[0])
    model(x)
    outside.wait()
    for thread in lookers:
        thread.join()
    assert seen == {1: ["0"], 2: ["0", "0"]}


def test_what_a_callback_computes_is_not_watched():
    model, x, seen = nn.Sequential(nn.ReLU(), nn.Tanh()), Tensor([1.0]), []

    def again(name, layer, x, y):
        seen.append(name)
        model(x)
        check_close(output_of(model, name, x).numpy(), layer(model[: int(name)](x)).numpy(), 0)

    with watch(model, again):
        model(x)
    assert seen == ["0", "1"]


def test_ones_own_forward_stays_and_is_run():
    model, x = network(), images()
    model.bn1.forward = lambda x: x * 0
    model.layer1[0].relu.forward = own = lambda x: x * 2
    model.layer1[0].bn1.forward = lambda x: x * 0 + 1
    with no_grad():
        before = model(x).numpy()
        assert (output_of(model, "layer1.0.relu", x).numpy() == 2).all()
        with watch(model, lambda *args: None), watch(model, lambda *args: None):
            check_close(model(x).numpy(), before, 1e-6)
        check_close(model(x).numpy(), before, 0)
    assert model.layer1[0].relu.forward is own


def test_a_pass_within_a_pass_stops_at_its_own_layer():
    class Probe(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Sequential(nn.ReLU(), nn.Tanh(), nn.Sigmoid())

        def forward(self, x):
            try:
                return output_of(self.inner, "1", x) * 3
            except Exception:  # a network that hides errors does not hide that the layer was reached
                return x

    probe, x = Probe(), Tensor([0.5])
    check_close(output_of(probe, "inner.0", x).numpy(), x.numpy(), 0)
    check_close(output_of(probe, "", x).numpy(), 3 * np.tanh(x.numpy()), 1e-6)


class Several(nn.Module):
    """A layer with several inputs, and several outputs."""

    def forward(self, a, b=None, *, scale=1):
        return {"sum": [a if b is None else a + b, None], "scaled": (a * scale, 3)}


def test_layers_with_several_inputs_and_outputs():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.several = Several()

        def forward(self, x):
            return [
                self.several(x),
                self.several(x, x),
                self.several(x, scale=2),
                self.several(a=x),
                self.several(b=x, a=x),
            ]

    x, seen = Tensor([1.0]), []
    model = Net()
    with watch(model, lambda name, layer, x, y: seen.append((x, y))):
        outputs = model(x)
    assert [given for given, _ in seen] == [x, (x, x), (x, 2), x, (x, x)]
    assert [made for _, made in seen] == outputs
    assert [len(tensors_in(made)) for made in outputs] == [2] * 5 and tensors_in(x) == [x] and tensors_in(None) == []
    assert input_of(model, "several", x) is x and output_of(model, "several", x)["sum"][0] is x


def test_a_layer_under_two_names():
    model = nn.Sequential(nn.ReLU(), nn.Tanh())
    model.append(model[0])
    x, seen = Tensor([1.0]), []
    with watch(model, seen_by(seen, "")):
        model(x)
    assert seen == ["0", "1", "0"]
    with watch(model, seen_by(seen, "last "), "2"):
        model(x)
    assert seen[3:] == ["last 2", "last 2"]


def test_what_is_looked_at_and_called_is_looked_at_first():
    for model, callback, parts in ((F.relu, print, ["Module", "function"]), (nn.ReLU(), 3, ["callback", "int"])):
        with raises(TypeError, "watch", *parts), watch(model, callback):
            pass
