"""fuse: the copy, and that the model stays as it is; the chain of layers that it runs."""

import copy
import io
import pickle

import numpy as np
import pytest
from checks import raises
from fusion import PICTURE, check_same, noise, small
from networks import with_statistics

import minicnn
import minicnn.functional as F
from minicnn import nn, no_grad, optim
from minicnn.nn.fused import chain
from minicnn.precision import BFLOAT16


def test_the_same_on_every_device_and_tier(place):
    model = small().to(place.device)
    fused = minicnn.fuse(model, PICTURE)
    assert {tensor.device for tensor in fused.state_dict().values()} == {place.device}
    check_same(model, fused, place.tensor(noise(2, *PICTURE).numpy()))


def test_in_bfloat16_it_is_as_near_as_bfloat16_is():
    model = small()
    fused, images = minicnn.fuse(model, PICTURE), noise(4, *PICTURE)
    with no_grad():
        exact = model(images).numpy()
        with minicnn.precision("bfloat16"):
            found = minicnn.fuse(model, PICTURE)(images), fused(images)
    for y in found:
        assert y.dtype == BFLOAT16
        assert np.abs(y.numpy().astype("f") - exact).max() < 2.0**-6 * np.abs(exact).max()
    assert {p.dtype for p in fused.parameters()} == {np.dtype("f")}


def test_the_model_stays_as_it_is_to_the_bit_whatever_becomes_of_the_copy():
    model = small().train()
    model[0].eval()
    model[3].freeze()
    F.cross_entropy(model(noise(2, *PICTURE)), [0, 1]).backward()
    before, grad = pickle.dumps(model), model[0].weight.grad.numpy().copy()
    minicnn.manual_seed(3)
    drawn = minicnn.rand(4).numpy()
    minicnn.manual_seed(3)
    fused = minicnn.fuse(model, PICTURE)
    np.testing.assert_array_equal(minicnn.rand(4).numpy(), drawn)  # nor are random numbers used up
    assert all(parameter.grad is None for parameter in fused.parameters())
    with no_grad():
        for tensor in fused.state_dict().values():
            tensor[...] = 7
    fused[0] = nn.Identity()
    fused.double().train().freeze()
    assert pickle.dumps(model) == before
    np.testing.assert_array_equal(model[0].weight.grad.numpy(), grad)
    assert [layer.training for layer in model][:2] == [False, True]


def test_saved_and_loaded_it_is_the_same(tmp_path):
    fused, images = minicnn.fuse(small(), PICTURE), noise(2, *PICTURE)
    assert list(fused.state_dict()) == ["0.weight", "0.bias", "3.weight", "3.bias", "8.weight", "8.bias"]
    minicnn.save(fused.state_dict(), tmp_path / "fused.pt")
    other = minicnn.fuse(with_statistics(small(), seed=5), PICTURE)
    other.load_state_dict(minicnn.load(tmp_path / "fused.pt"))
    for each in (other, copy.deepcopy(fused), pickle.loads(pickle.dumps(fused)), minicnn.fuse(fused)):
        np.testing.assert_array_equal(each(images).numpy(), fused(images).numpy())
    assert copy.deepcopy(fused).fusion_report == fused.fusion_report
    with raises(KeyError, "another model", "0.bias"):
        fused.load_state_dict(small().state_dict())


def test_it_can_be_trained_without_statistics_of_the_batch():
    fused, images = minicnn.fuse(small(), PICTURE).train(), noise(4, *PICTURE)
    fused[6].p = 0.0
    together = fused(images).numpy()
    apart = np.concatenate([fused(images[i : i + 1]).numpy() for i in range(4)])
    np.testing.assert_allclose(together, apart, atol=1e-5)  # in training mode, too
    optimizer, losses = optim.SGD(fused.parameters(), lr=0.05), []
    for _ in range(5):
        losses.append(F.cross_entropy(fused(images), [0, 1, 2, 3]))
        optimizer.zero_grad()
        losses[-1].backward()
        assert fused[0].bias.grad is not None
        optimizer.step()
    assert losses[-1].item() < losses[0].item()


def test_of_a_sealed_network_and_sealed_itself():
    model = minicnn.seal(small())
    fused = minicnn.seal(minicnn.fuse(model, PICTURE))
    check_same(model, fused, noise(1, *PICTURE))
    assert fused.fusion_report.folded == {"1": "0", "4": "3"} and not any(p.requires_grad for p in fused.parameters())


def test_what_was_frozen_stays_so():
    model = small()
    model[:3].freeze()
    fused = minicnn.fuse(model, PICTURE)
    assert [parameter.requires_grad for parameter in fused.parameters()] == [False, False, True, True, True, True]
    assert fused[0].frozen and not fused[3].frozen


def test_it_prints_as_what_it_is():
    text = io.StringIO()
    print(minicnn.fuse(small(), PICTURE), file=text)
    assert "Chain(" in text.getvalue() and "(1): Identity(" in text.getvalue() and "bias=True" in text.getvalue()


# The chain


@pytest.mark.parametrize(
    "behind", [[], [nn.Identity()], [nn.BatchNorm2d(3).eval()], [nn.BatchNorm2d(3).eval(), nn.ReLU()]]
)
def test_a_residual_comes_before_the_last_layer_of_a_chain(behind):
    conv, x, residual = nn.Conv2d(3, 3, 1), noise(2, 3, 4, 4), noise(2, 3, 4, 4) * 3
    for layers in (
        [conv, *behind, nn.ReLU()],
        [conv, nn.Identity(), *behind, nn.ReLU()],
        [nn.ReLU(), conv, nn.Identity()],
    ):
        y = x
        for layer in layers[:-1]:
            y = layer(y)
        expected = layers[-1](F.residual_add(y, residual))
        np.testing.assert_allclose(chain(x, *layers, residual=residual).numpy(), expected.numpy(), atol=1e-6)


def test_a_hook_of_a_fused_copy_is_called():
    fused, seen = minicnn.fuse(small(), PICTURE), []
    fused[0].register_forward_hook(lambda layer, inputs, output: seen.append(output.numpy().min()))
    expected = minicnn.fuse(small(), PICTURE)(noise(1, *PICTURE)).numpy()
    np.testing.assert_allclose(fused(noise(1, *PICTURE)).numpy(), expected, atol=1e-6)
    assert seen and seen[0] < 0  # what is before the ReLU
