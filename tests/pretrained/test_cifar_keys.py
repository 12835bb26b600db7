"""Names of weights of ResNets for CIFAR, as users of PyTorch have trained them, and where option A puts its zeros."""

import cifar_torch
import numpy as np
import pytest
from weight_files import check_loaded, numbers, write

from minicnn import Tensor, models, nn, no_grad, pretrained
from minicnn.pretrained import WeightsError
from minicnn.train import save_checkpoint


@pytest.fixture(scope="module", params=[20, 8])
def cifar(request, torch, tmp_path_factory):
    """(depth, PyTorch's network, the file that its training program has saved)."""
    model = cifar_torch.network(torch, request.param)
    path = tmp_path_factory.mktemp("cifar") / "model.th"
    torch.save(cifar_torch.published(model), path)
    return request.param, model, path


def test_the_predictions_are_pytorchs(torch, cifar):
    """On 300 pictures, and in float64 to 1e-9."""
    depth, theirs, path = cifar
    x = np.random.default_rng(0).standard_normal((300, 3, 8, 8)).repeat(4, axis=2).repeat(4, axis=3)
    ours = pretrained.from_file(lambda classes: models.cifar_resnet(depth, num_classes=classes), path)
    with no_grad(), torch.no_grad():
        expected = theirs(torch.tensor(x.astype(np.float32))).numpy()
        found = ours(Tensor(x.astype(np.float32))).numpy()
        exact = theirs.double()(torch.tensor(x[:50])).numpy()
        theirs.float()
        np.testing.assert_allclose(ours.astype(np.float64)(Tensor(x[:50])).numpy(), exact, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    assert (found.argmax(1) == expected.argmax(1)).all() and len(set(expected.argmax(1))) > 2


def test_load_chooses_where_the_zeros_go(torch, tmp_path):
    theirs = cifar_torch.network(torch, 20)
    torch.save(cifar_torch.published(theirs), tmp_path / "a.th")
    model = pretrained.load("resnet20", file=tmp_path / "a.th")
    np.testing.assert_array_equal(model.fc.weight.numpy(), theirs.linear.weight.detach().numpy())
    expected = {"plain": False, "zero_padding": "around"}
    assert pretrained.network_settings("resnet20", tmp_path / "a.th") == expected
    assert pretrained.of_file("resnet20").classes[:3] == ("airplane", "automobile", "bird")
    with pytest.raises(WeightsError, match=r"no weights for 'resnet20'.*give a file"):
        pretrained.load("resnet20")


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "model.", "net.module."])
def test_zeros_in_the_wrong_place_are_refused(torch, cifar, tmp_path, prefix):
    depth, theirs, _ = cifar
    torch.save({prefix + key: tensor for key, tensor in theirs.state_dict().items()}, tmp_path / "w.pth")
    for options, reason in (
        ({}, "zero_padding='around', and this ResNet has zero_padding='behind'"),
        ({"residual": False}, "with shortcuts, which this ResNet lacks"),
        ({"shortcut": "B"}, "does not fit"),
    ):
        model = models.cifar_resnet(depth, **options)
        before = {key: tensor.numpy().copy() for key, tensor in model.state_dict().items()}
        with pytest.raises(WeightsError, match=reason):
            pretrained.load_file(model, tmp_path / "w.pth")
        assert all((tensor.numpy() == before[key]).all() for key, tensor in model.state_dict().items())
    pretrained.load_file(models.cifar_resnet(depth, zero_padding="around"), tmp_path / "w.pth")


def test_a_network_of_ones_own_that_has_a_layer_linear(torch, cifar, tmp_path):
    """Its names are its own business."""

    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(3, 2)

    state = numbers(Own())
    write(torch, tmp_path / "w", state, "pth")
    check_loaded(Own(), tmp_path / "w", state)


def test_projections_have_pytorchs_names_too(torch, tmp_path):
    ours = models.cifar_resnet(20, shortcut="B")
    state = numbers(ours)
    theirs = {key.replace("fc.", "linear.").replace("downsample", "shortcut"): array for key, array in state.items()}
    write(torch, tmp_path / "w", theirs, "pth")
    check_loaded(ours, tmp_path / "w", state)
    assert pretrained.network_settings("resnet20", tmp_path / "w") == {"plain": False, "shortcut": "B"}


def test_checkpoints_say_how_their_network_was_built(tmp_path):
    """The shapes do not: shortcuts, and where their zeros are."""
    weights = models.cifar_resnet(20).state_dict()

    def network(**options):
        return lambda classes: models.cifar_resnet(20, num_classes=classes, **options)

    cases = [
        ({"plain": True}, {"residual": False}, {}, "without shortcuts, which this ResNet has"),
        ({"plain": False, "shortcut": "A"}, {}, {"residual": False}, "with shortcuts, which this ResNet lacks"),
        ({"zero_padding": "around"}, {"zero_padding": "around"}, {}, "zero_padding='around'"),
        ({"network": {"zero_padding": "around"}}, {"zero_padding": "around"}, {}, "zero_padding='around'"),
        ({}, {}, {"zero_padding": "around"}, "zero_padding='behind'"),
    ]
    path = tmp_path / "c.npz"
    for settings, right, wrong, reason in cases:
        save_checkpoint(path, {"model": weights, "settings": {"arch": "resnet20", **settings}})
        pretrained.load_file(models.cifar_resnet(20, **right), path)
        with pytest.raises(WeightsError, match=reason):
            pretrained.load_file(models.cifar_resnet(20, **wrong), path)
        if "zero_padding" in reason:
            pretrained.from_file(network(**wrong), path)  # chooses
    save_checkpoint(path, {"model": weights})  # says nothing
    pretrained.load_file(models.cifar_resnet(20, zero_padding="around"), path)
