"""Weights for PyTorch: torchvision loads them strictly and says the same; a file of them comes back as it was."""

import functools
import sys

import numpy as np
import pytest
from checks import raises
from networks import with_statistics

import minicnn
from minicnn import Tensor, export, models, nn, no_grad, pretrained

NETWORKS = {
    "resnet18": (models.resnet18, (64, 64)),
    "resnet50": (models.resnet50, (64, 64)),
    "alexnet": (models.alexnet, (64, 80)),
    "vgg11_bn": (models.vgg11_bn, (32, 32)),
    "googlenet": (functools.partial(models.googlenet, aux_logits=True), (64, 64)),
    "inception_v3": (functools.partial(models.inception_v3, aux_logits=True), (96, 96)),
    "mobilenet_v2": (models.mobilenet_v2, (64, 64)),
    "shufflenet_v2_x1_0": (models.shufflenet_v2_x1_0, (64, 64)),
}
QUICK = "mobilenet_v2", "shufflenet_v2_x1_0"


def scores(torch, theirs, x):
    with torch.no_grad():
        return theirs.eval()(torch.from_numpy(x)).numpy()


@pytest.mark.parametrize("arch", [pytest.param(a, marks=() if a in QUICK else pytest.mark.slow) for a in NETWORKS])
def test_torchvision_loads_them_strictly(torch, torchvision, arch):
    make, size = NETWORKS[arch]
    minicnn.manual_seed(0)
    model = with_statistics(make(num_classes=10))
    theirs = getattr(torchvision.models, arch)(num_classes=10, **({"init_weights": False} if arch[-1] == "n" else {}))
    state = export.torch_state_dict(model)
    assert state.keys() == theirs.state_dict().keys()
    theirs.load_state_dict(state, strict=True)
    x = np.random.default_rng(0).standard_normal((2, 3, *size), np.float32)
    with no_grad():
        expected = model(Tensor(x)).numpy()
    np.testing.assert_allclose(scores(torch, theirs, x), expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_files_come_back(torch, tmp_path):
    torch_format = pytest.importorskip("safetensors.torch", reason="the package safetensors is not installed")
    model = with_statistics(models.cifar_resnet(8))
    export.safetensors(model, tmp_path / "w.safetensors")
    torch.save(export.torch_state_dict(model), tmp_path / "w.pth")
    for path in (tmp_path / "w.safetensors", tmp_path / "w.pth"):
        other = pretrained.load_file(models.cifar_resnet(8), path)
        assert all((a.numpy() == b.numpy()).all() for a, b in zip(model.buffers(), other.buffers(), strict=True))
        assert all((a.numpy() == b.numpy()).all() for a, b in zip(model.parameters(), other.parameters(), strict=True))
    found = torch_format.load_file(tmp_path / "w.safetensors")
    assert found.keys() == export.torch_state_dict(model).keys()
    assert found["bn1.num_batches_tracked"].dtype == torch.int64


def test_they_are_copies(torch):
    layer = nn.Linear(2, 2)
    export.torch_state_dict(layer)["weight"].zero_()
    assert layer.weight.numpy().any()
    assert export.torch_state_dict(nn.BatchNorm2d(3)).keys() == {
        "weight", "bias", "running_mean", "running_var", "num_batches_tracked",
    }  # fmt: skip
    view = nn.Linear(3, 2)
    view.weight.data = np.arange(6, dtype=np.float32).reshape(3, 2).T  # not in C order
    assert (export.torch_state_dict(view)["weight"].numpy() == view.weight.numpy()).all()


def test_what_is_wrong(tmp_path, monkeypatch):
    pytest.importorskip("safetensors", reason="the package safetensors is not installed")
    with raises(TypeError, "safetensors: takes a Module, not a dict"):
        export.safetensors({}, tmp_path / "w.safetensors")
    with pytest.raises(OSError):
        export.safetensors(nn.Linear(2, 2), tmp_path / "nowhere" / "w.safetensors")
    for module in ("torch", "safetensors.numpy"):
        monkeypatch.setitem(sys.modules, module, None)
    with raises(ImportError, "export.safetensors(model, path)"):
        export.torch_state_dict(nn.Linear(2, 2))
    with raises(ImportError, "pip install 'minicnn[safetensors]'"):
        export.safetensors(nn.Linear(2, 2), tmp_path / "w.safetensors")
    assert not any(tmp_path.iterdir())
