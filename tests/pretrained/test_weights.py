"""Weights into networks: torchvision's list, all or nothing, and errors that say what to do."""

import hashlib
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from parity import without_initial_weights
from pickles import save
from PIL import Image
from test_download import serving

from minicnn import Tensor, models, no_grad, pretrained
from minicnn.data import to_array
from minicnn.pretrained import WeightsError, read_weights, weights
from minicnn.train import save_checkpoint


@pytest.fixture(scope="module")
def resnet18(torch, torchvision, tmp_path_factory):
    """(torchvision's network, the path of its weights, which are random)."""
    torch.manual_seed(0)
    network = torchvision.models.resnet18().eval()
    path = tmp_path_factory.mktemp("weights") / "resnet18.pth"
    torch.save(network.state_dict(), path)
    return network, path


def test_checkpoints_say_what_lrn_saw(tmp_path):
    """The shapes do not; a program without the choice has normalised across halves."""
    weights = models.alexnet_2012(3, width=8).state_dict()
    for settings, across in (({}, True), ({"norm_across_halves": True}, True), ({"norm_across_halves": False}, False)):
        settings = {"arch": "alexnet_2012", **settings}
        save_checkpoint(tmp_path / "c.npz", {"model": weights, "settings": settings})
        pretrained.load_file(models.alexnet_2012(3, width=8, norm_across_halves=across), tmp_path / "c.npz")
        for other in ({"norm_across_halves": not across}, {"norm_across_halves": across, "pool_before_norm": True}):
            with pytest.raises(WeightsError, match=f"pool_before_norm=False, norm_across_halves={across}"):
                pretrained.load_file(models.alexnet_2012(3, width=8, **other), tmp_path / "c.npz")


@pytest.mark.parametrize(("arch", "other"), [("plain18", "resnet18"), ("resnet18", "plain18")])
def test_checkpoints_say_whether_there_were_shortcuts(tmp_path, arch, other):
    """The shapes do not, with shortcuts A."""
    with without_initial_weights():
        nets = {name: models.create(name, 3, {"shortcut": "A"}) for name in (arch, other)}
    weights = {key: np.ones_like(value.numpy()) for key, value in nets[arch].state_dict().items()}
    save_checkpoint(tmp_path / "c.npz", {"model": weights, "settings": {"arch": arch, "shortcut": "A"}})
    pretrained.load_file(nets[arch], tmp_path / "c.npz")
    with pytest.raises(WeightsError, match=f"shortcuts.*residual={arch == 'resnet18'}"):
        pretrained.load_file(nets[other], tmp_path / "c.npz")


def test_the_list_is_torchvisions(torchvision):
    for ours in weights.WEIGHTS:
        theirs = torchvision.models.get_model_weights(ours.arch)[ours.name]
        assert ours.url == theirs.url
        assert ours.parameters == theirs.meta["num_params"]
        assert [ours.top1, ours.top5] == list(theirs.meta["_metrics"]["ImageNet-1K"].values())
        transforms = theirs.transforms()
        assert ([ours.shorter_side], [ours.image_size]) == (transforms.resize_size, transforms.crop_size)
        assert list(ours.classes) == theirs.meta["categories"]
    for arch in weights.ARCHS:
        theirs = torchvision.models.get_model_weights(arch)
        classify = [name for name, one in theirs.__members__.items() if name != "DEFAULT" and one.meta["categories"]]
        assert [w.name for w in weights.WEIGHTS if w.arch == arch] == classify  # VGG-16 has some without a classifier
        assert pretrained.get(arch).url == theirs.DEFAULT.url


@pytest.mark.parametrize("arch", weights.ARCHS)
def test_the_number_of_parameters(arch):
    ours = pretrained.get(arch)
    not_built = 3_326_696 if arch == "inception_v3" else 0  # its auxiliary head, which torchvision counts
    with without_initial_weights():
        assert sum(p.size for p in ours.build().parameters()) == ours.parameters - not_built


@pytest.mark.parametrize("name", ["IMAGENET1K_V1", "IMAGENET1K_V2"])
@pytest.mark.parametrize("size", [(300, 400), (500, 233), (224, 224)])
def test_pictures_are_prepared_as_torchvision_does(torch, torchvision, name, size):
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8))
    ours = pretrained.get("resnet50", name)
    theirs = torchvision.models.get_weight(f"ResNet50_Weights.{name}").transforms()(picture)
    prepared = ours.normalize()(to_array(ours.transform()(picture, None))[None])[0]
    np.testing.assert_allclose(prepared, theirs.numpy(), atol=1e-5)


def test_unknown_names():
    with pytest.raises(WeightsError, match=r"no weights for 'vgg9', only for alexnet, resnet18"):
        pretrained.get("vgg9")
    with pytest.raises(
        WeightsError, match=r"resnet18 has no weights 'IMAGENET1K_V2'; it has IMAGENET1K_V1 and DEFAULT"
    ):
        pretrained.get("resnet18", "IMAGENET1K_V2")


@no_grad()
def outputs(model, pixels):
    return model(Tensor(pixels)).numpy()


def test_a_file_gives_torchvisions_outputs(torch, resnet18):
    network, path = resnet18
    pixels = np.random.default_rng(0).standard_normal((2, 3, 64, 64)).astype(np.float32)
    model = pretrained.load("resnet18", file=path)
    assert not model.training
    with torch.no_grad():
        np.testing.assert_allclose(outputs(model, pixels), network(torch.tensor(pixels)).numpy(), atol=1e-4)


def test_downloaded_and_checked(torch, resnet18, tmp_path, monkeypatch):
    network, path = resnet18
    content = path.read_bytes()
    name = f"resnet18-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    monkeypatch.setenv("MINICNN_CACHE", str(tmp_path))
    with serving(content) as server:
        ours = pretrained.get("resnet18")._replace(url=server.url + name)
        monkeypatch.setattr(weights, "WEIGHTS", (ours,))
        model = pretrained.load("resnet18")
        assert server.requests == 1
    again = pretrained.load(ours)  # without the server
    for one in (model, again):
        for key, tensor in one.state_dict().items():
            np.testing.assert_array_equal(tensor.numpy(), network.state_dict()[key].numpy())


@pytest.mark.parametrize("kind", ["pth", "safetensors", "checkpoint"])
def test_every_kind_of_file_with_its_number_of_classes(torch, tmp_path, kind):
    model = models.resnet18(num_classes=7)
    state = {key: tensor.numpy() for key, tensor in model.state_dict().items()}
    path = tmp_path / "weights"
    if kind == "checkpoint":
        save_checkpoint(path, {"model": state})
    elif kind == "safetensors":
        pytest.importorskip("safetensors.numpy", reason="the package safetensors is not installed").save_file(
            state, path
        )
    else:
        tensors = {key: torch.tensor(array) for key, array in state.items()}
        torch.save(tensors, path)
    loaded = pretrained.load("resnet18", file=path)
    other = pretrained.load_file(models.resnet18(num_classes=7), path)
    for one in (loaded, other):
        for key, tensor in one.state_dict().items():
            np.testing.assert_array_equal(tensor.numpy(), state[key])


def refuses(model, path, *parts):
    before = {key: tensor.numpy().copy() for key, tensor in model.state_dict().items()}
    with pytest.raises(WeightsError) as caught:
        pretrained.load_file(model, path)
    for part in (str(path), *parts):
        assert part in str(caught.value)
    for key, tensor in model.state_dict().items():
        np.testing.assert_array_equal(tensor.numpy(), before[key])


def test_another_number_of_classes():
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "three.npz"
        save_checkpoint(path, {"model": models.resnet18(3).state_dict()})
        refuses(models.resnet18(10), path, "3 classes", "for 10", "num_classes=3", "replace_head(model, 10)")


def test_files_for_networks_of_any_kind(tmp_path):
    state = models.cifar_resnet(8, num_classes=6).state_dict()
    save_checkpoint(tmp_path / "cifar.npz", {"model": state})
    model = pretrained.from_file(lambda classes: models.cifar_resnet(8, num_classes=classes), tmp_path / "cifar.npz")
    assert pretrained.head(model).out_features == 6 and not model.training
    for key, tensor in model.state_dict().items():
        np.testing.assert_array_equal(tensor.numpy(), state[key].numpy())


def test_another_architecture(torch, resnet18, tmp_path):
    network, path = resnet18
    refuses(models.alexnet(width=16), path, "keys are missing", "conv1.weight", "same architecture")
    state = network.state_dict()
    torch.save({**state, "bn1.bias": torch.zeros(63)}, tmp_path / "shape.pth")
    refuses(models.resnet18(), tmp_path / "shape.pth", "bn1.bias: (63,), not (64,)")
    torch.save({**state, "fc.weight": torch.zeros(1000, 9)}, tmp_path / "head.pth")
    refuses(models.resnet18(), tmp_path / "head.pth", "fc.weight: (1000, 9), not (1000, 512)")
    refuses(models.resnet18(10), tmp_path / "head.pth", "fc.weight: (1000, 9), not (10, 512)", "same architecture")
    del state["bn1.bias"]
    torch.save(state, tmp_path / "less.pth")
    refuses(models.resnet18(), tmp_path / "less.pth", "1 keys are missing (bn1.bias)")
    with pytest.raises(WeightsError, match=r"resnet18\.pth does not fit"):
        pretrained.load("resnet34", file=path)


def test_the_class_names():
    names = pretrained.get("alexnet").classes
    assert len(names) == 1000 == len(set(names))
    assert (names[0], names[207], names[281], names[999]) == ("tench", "golden retriever", "tabby", "toilet tissue")


def test_a_wheel_has_the_class_names():
    """As setup.py says it, in a process of its own, since it is a program."""
    root = Path(weights.__file__).parents[2]
    code = (
        "import setuptools; setuptools.setup = lambda **o: print(o['package_data']['minicnn.pretrained']); import setup"
    )
    listed = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True).stdout
    assert listed.strip() == "['*.txt']"
    assert [path.name for path in Path(weights.__file__).parent.glob("*.txt")] == ["imagenet_classes.txt"]


def test_any_kind(torch, tmp_path):
    weights = {"a": np.arange(3, dtype=np.float32), "b": np.ones((2, 2))}
    save_checkpoint(tmp_path / "one", {"model": weights, "classes": ["x"]})
    for name, new in (("two", True), ("three", False)):
        (tmp_path / name).write_bytes(save(torch, {key: torch.tensor(array) for key, array in weights.items()}, new))
    for name in ("one", "two", "three"):
        found = read_weights(tmp_path / name)
        assert found.keys() == weights.keys()
        assert all(np.array_equal(found[key], weights[key]) for key in weights)


def test_bad_checkpoints(tmp_path):
    path = tmp_path / "checkpoint.npz"
    save_checkpoint(path, {"weights": {}})
    with pytest.raises(WeightsError, match=r"checkpoint\.npz is a checkpoint without a model"):
        read_weights(path)
    content = bytearray(path.read_bytes())
    content[60] ^= 1
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"checkpoint\.npz is damaged"):
        read_weights(path)


@pytest.mark.parametrize("key", ["conv1.weight", "layer1.0.bn1.running_var", "fc.bias"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_not_finite(tmp_path, key, value):
    """A training that broke down has left them: nothing is changed, and nobody is told "nan %"."""
    model = models.cifar_resnet(8)
    state = {name: tensor.numpy().copy() for name, tensor in model.state_dict().items()}
    state[key].reshape(-1)[-1] = value
    np.savez(tmp_path / "broken.npz", **state)
    with pytest.raises(WeightsError, match=f"broken.npz has numbers in {key} that are not finite"):
        pretrained.load_file(model, tmp_path / "broken.npz")
    assert all(np.isfinite(tensor.numpy()).all() for tensor in model.state_dict().values())
