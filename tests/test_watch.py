"""watch, output_of, input_of: what passes through a network, by the names of its layers."""

import numpy as np
import pytest
from checks import check_close, raises

from minicnn import Tensor, manual_seed, models, nn, no_grad
from minicnn.nn import input_of, output_of, watch


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
    assert not any("forward" in module.__dict__ for module in model.modules())
    with no_grad():
        output_of(model, "layer2", images())
    assert not any("forward" in module.__dict__ for module in model.modules())


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


def test_gradients_pass_through_features():
    model = network()
    x = Tensor(images().numpy(), requires_grad=True)
    model.features(x, "layer1").sum().backward()
    assert np.abs(x.grad.numpy()).max() > 0


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
