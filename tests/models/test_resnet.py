"""ResNet (its numbers: test_parity.py): parameters, shortcuts, stages, plain nets, and depth without recursion."""

import tracemalloc

import cifar_torch
import numpy as np
import pytest
from checks import check_close, raises

import minicnn.functional as F
from minicnn import Tensor, manual_seed, models, nn, no_grad
from minicnn.models.resnet import ZeroPad, zero_pads

PARAMETERS = {
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnet101": 44_549_160,
    "resnet152": 60_192_808,
}
CIFAR_PARAMETERS = {20: 269_722, 32: 464_154, 44: 658_586, 56: 853_018, 110: 1_727_962, 1202: 19_421_274}


def count(model):
    return sum(p.size for p in model.parameters())


def images(size=64, count=2):
    return np.random.default_rng(0).standard_normal((count, 3, size, size + 9))


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters(name):
    assert count(getattr(models, name)()) == PARAMETERS[name]


@pytest.mark.parametrize("depth", CIFAR_PARAMETERS)
def test_parameters_of_the_cifar_nets(depth):
    assert count(models.cifar_resnet(depth)) == CIFAR_PARAMETERS[depth]


def test_the_papers_stride_stands_in_the_1x1():
    ours, paper = models.resnet50(), models.resnet50(paper_stride=True)
    assert (ours.layer2[0].conv1.stride, ours.layer2[0].conv2.stride) == ((1, 1), (2, 2))
    assert (paper.layer2[0].conv1.stride, paper.layer2[0].conv2.stride) == ((2, 2), (1, 1))
    assert count(ours) == count(paper)


def test_shortcuts():
    counts = {option: count(models.cifar_resnet(20, shortcut=option)) for option in "ABC"}
    projections = {"B": 16 * 32 + 2 * 32 + 32 * 64 + 2 * 64}
    projections["C"] = projections["B"] + sum(blocks * (c * c + 2 * c) for blocks, c in ((3, 16), (2, 32), (2, 64)))
    assert counts["A"] == count(models.cifar_resnet(20, residual=False)) == CIFAR_PARAMETERS[20]
    assert {option: counts[option] - counts["A"] for option in "BC"} == projections
    with raises(ValueError, "shortcut", "'D'"):
        models.cifar_resnet(20, shortcut="D")


def test_zero_padding_takes_every_second_pixel():
    x = np.arange(2.0 * 3 * 5 * 4).reshape(2, 3, 5, 4)
    y = ZeroPad(5, stride=2)(Tensor(x)).numpy()
    check_close(y[:, :3], x[:, :, ::2, ::2], 0)
    assert y.shape == (2, 5, 3, 2) and not y[:, 3:].any()


def test_zeros_around_stand_before_and_behind():
    x = np.arange(2.0 * 4 * 5 * 3).reshape(2, 4, 5, 3)
    layer = ZeroPad(8, stride=2)
    layer.zero_padding = "around"
    y = layer(Tensor(x)).numpy()
    check_close(y[:, 2:6], x[:, :, ::2, ::2], 0)
    assert y.shape == (2, 8, 3, 2) and not y[:, :2].any() and not y[:, 6:].any()
    assert "zero_padding='around'" in repr(layer)


def test_where_the_zeros_go_is_a_setting():
    default, around = models.create("resnet20", 10), models.create("resnet20", 10, {"zero_padding": "around"})
    assert [layer.zero_padding for layer in zero_pads(default)] == ["behind", "behind"]
    assert [layer.zero_padding for layer in zero_pads(around)] == ["around", "around"]
    kept = models.create("resnet20", 10, {"network": {"zero_padding": "around"}})  # as transfer keeps it
    assert [layer.zero_padding for layer in zero_pads(kept)] == ["around", "around"]
    assert zero_pads(models.cifar_resnet(20, shortcut="B")) == []
    with raises(ValueError, "zero_padding", '"behind" or "around"', "'front'"):
        models.cifar_resnet(20, zero_padding="front")


@pytest.mark.parametrize("depth", [8, 20, 32])
def test_zeros_around_as_pytorch_users_pad(torch, depth):
    """The logits within 1e-4 (float32) and 1e-9 (float64); with zeros behind, they are others."""
    theirs = cifar_torch.network(torch, depth)
    state = {key.replace("linear.", "fc."): tensor.numpy() for key, tensor in theirs.state_dict().items()}
    x = np.random.default_rng(0).standard_normal((16, 3, 32, 32))
    for dtype, tolerance in ((np.float32, 1e-4), (np.float64, 1e-9)):
        with no_grad(), torch.no_grad():
            expected = theirs.to(getattr(torch, np.dtype(dtype).name))(torch.tensor(x.astype(dtype))).numpy()
            outputs = []
            for zero_padding in ("around", "behind"):
                ours = models.cifar_resnet(depth, zero_padding=zero_padding).eval().astype(dtype)
                ours.load_state_dict(state)
                outputs.append(ours(Tensor(x.astype(dtype))).numpy())
        assert 1 < np.abs(expected).max() < 200
        check_close(outputs[0], expected, tolerance)
        assert np.abs(outputs[1] - expected).max() > 0.1


@pytest.mark.parametrize("residual", [True, False])
def test_a_block_whose_weights_are_zero(residual):
    """With the shortcut it passes on what comes in, without it nothing."""
    manual_seed(0)
    model = models.cifar_resnet(8, residual=residual).eval()
    block = model.layer1[0]
    block.bn2.weight.detach()[...] = 0.0
    x = np.abs(np.random.default_rng(0).standard_normal((1, 16, 4, 5), dtype=np.float32))
    check_close(block(Tensor(x)).numpy(), x if residual else 0 * x, 1e-6)


def test_stages_by_name():
    model, x = models.resnet18(num_classes=5).eval(), Tensor(images().astype(np.float32))
    with no_grad():
        assert model.features(x, "conv1").shape == (2, 64, 32, 37)
        assert model.features(x, "layer3").shape == (2, 256, 4, 5)
        check_close(model.fc(model.features(x, "avgpool").flatten(1)).numpy(), model(x).numpy(), 0)
    with raises(ValueError, "'layer9'", "layer1", "avgpool"):
        model.features(x, "layer9")


def test_1202_layers_train_without_recursion():
    manual_seed(0)
    model = models.cifar_resnet(1202)
    loss = F.cross_entropy(model(Tensor(images(8).astype(np.float32))), [3, 5])
    loss.backward()
    assert all(np.isfinite(p.grad.numpy()).all() for p in model.parameters())


def test_memory_grows_linearly_with_depth():
    """18 layers more cost the same wherever they are added; a graph that kept what it needs no more would not."""

    def peak(depth):
        manual_seed(0)
        model = models.cifar_resnet(depth)
        x = Tensor(images(16).astype(np.float32))
        tracemalloc.start()
        try:
            F.cross_entropy(model(x), [3, 5]).backward()
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peaks = [peak(depth) for depth in (20, 38, 56, 74)]
    steps = np.diff(peaks)
    assert (steps > 0).all() and steps.max() < 1.1 * steps.min()


@pytest.mark.parametrize("depth", [7, 21, 2])
def test_depths_that_do_not_exist(depth):
    with raises(ValueError, "depth", "6n + 2", depth):
        models.cifar_resnet(depth)


@pytest.mark.parametrize("name", ["dropout", "layer9", "aux"])
def test_a_layer_that_a_user_adds_does_not_run(name):
    model, x = models.cifar_resnet(8).eval(), Tensor(images(16).astype(np.float32))
    with no_grad():
        expected, stages = model(x).numpy(), list(model.stages)
        setattr(model, name, nn.Sequential(nn.Dropout(), nn.Linear(10, 3)).eval())
        check_close(model(x).numpy(), expected, 0)
        check_close(models.fully_convolutional(model)(x).mean(dim=(2, 3)).numpy(), expected, 1e-5)
    assert model.stages == stages == ["layer1", "layer2", "layer3"]


def test_a_layer_that_a_user_exchanges_runs():
    model, x = models.cifar_resnet(8).eval(), Tensor(images(16).astype(np.float32))
    model.layer3, model.fc = nn.Sequential(), nn.Linear(32, 7)
    with no_grad():
        assert model(x).shape == (2, 7)
