"""minicnn classify from its command line, with random weights from a file or a server in this process."""

import hashlib

import numpy as np
import pytest
from PIL import Image
from test_download import serving

from minicnn import Tensor, manual_seed, models, no_grad, pretrained
from minicnn import functional as F
from minicnn.commands import classify, networks
from minicnn.data import CenterCrop, ChannelMean
from minicnn.pretrained import weights
from minicnn.train import exit_code, load_checkpoint, save_checkpoint
from minicnn.train.restore import PARTS


def run(*words):
    return exit_code(classify.main, [str(word) for word in words])


@pytest.fixture(scope="module")
def folder(torch, tmp_path_factory):
    """Two pictures, resnet18.pth for 1,000 classes and flowers.npz, a checkpoint of ResNet-20, for 3."""
    folder = tmp_path_factory.mktemp("classify")
    for name, size in (("a.jpg", (90, 120)), ("b.png", (100, 80))):
        pixels = np.random.default_rng(len(name)).integers(0, 256, (*size, 3), np.uint8)
        Image.fromarray(pixels).save(folder / name)
    state = {key: torch.tensor(tensor.numpy()) for key, tensor in models.resnet18().state_dict().items()}
    torch.save(state, folder / "resnet18.pth")
    flowers = {part: {} for part in PARTS} | {
        "settings": {"arch": "resnet20", "image_size": 64, "shorter_side": 72},
        "classes": ["daisy", "rose", "tulip"],
        "normalize": ChannelMean().fit([np.full((1, 3, 2, 2), 120, np.uint8)]).state_dict(),
        "model": models.create("resnet20", 3).state_dict(),
    }
    save_checkpoint(folder / "flowers.npz", flowers)
    return folder


def expected(torch, torchvision, folder, name):
    """The five lines that torchvision would give."""
    network = torchvision.models.resnet18().eval()
    network.load_state_dict(torch.load(folder / "resnet18.pth"))
    meta = torchvision.models.ResNet18_Weights.IMAGENET1K_V1
    with torch.no_grad():
        picture = meta.transforms()(Image.open(folder / name).convert("RGB"))
        values, labels = network(picture[None]).softmax(1)[0].topk(5)
    return [f"  {100 * p:5.1f} %  {meta.meta['categories'][k]}" for p, k in zip(values, labels, strict=True)]


def test_the_first_five_are_torchvisions(torch, torchvision, folder, capsys):
    assert run(folder / "a.jpg", folder / "b.png", "--arch", "resnet18", "--weights", folder / "resnet18.pth") == 0
    lines = capsys.readouterr().out.splitlines()
    for name, found in (("a.jpg", lines[:6]), ("b.png", lines[6:])):
        assert found == [str(folder / name), *expected(torch, torchvision, folder, name)]


def test_downloaded_weights(folder, tmp_path, capsys, monkeypatch):
    content = (folder / "resnet18.pth").read_bytes()
    name = f"resnet18-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    monkeypatch.setenv("MINICNN_CACHE", str(tmp_path))
    with serving(content) as server:
        monkeypatch.setattr(weights, "WEIGHTS", (pretrained.get("resnet18")._replace(url=server.url + name),))
        assert run(folder / "a.jpg", "--arch", "resnet18", "--top", "2") == 0
        assert len(capsys.readouterr().out.splitlines()) == 3
        (tmp_path / "weights" / name).unlink()
        server.trouble = "missing"
        assert f"cannot fetch {server.url + name}" in fails(capsys, folder / "a.jpg", "--arch", "resnet18")


def test_a_checkpoint_brings_its_classes_and_its_normaliser(folder, capsys, monkeypatch):
    seen = []
    real = networks.log_probabilities
    monkeypatch.setattr(networks, "log_probabilities", lambda c, x: (seen.append((c.normalize, x)), real(c, x))[1])
    assert run(folder / "a.jpg", "--weights", folder / "flowers.npz") == 0
    lines = capsys.readouterr().out.splitlines()[1:]
    assert sorted(line.split()[-1] for line in lines) == ["daisy", "rose", "tulip"]
    assert sum(float(line.split()[0]) for line in lines) == pytest.approx(100, abs=0.2)
    normalize, picture = seen[-1]
    assert isinstance(normalize, ChannelMean) and picture.shape == (1, 3, 64, 64)


def test_the_probabilities_of_a_checkpoint(folder, tmp_path, capsys):
    """Batch norm normalises by what it has kept, not by the one picture."""
    manual_seed(0)
    model = models.create("resnet20", 3).eval()
    width, height = Image.open(folder / "a.jpg").size
    image = CenterCrop(64)(Image.open(folder / "a.jpg").resize((72 * width // height, 72), Image.Resampling.BILINEAR))
    pixels = Tensor(np.asarray(image).transpose(2, 0, 1)[None].astype(np.float32) - 120)
    with no_grad():
        model.fc.weight.data /= np.abs(model(pixels).numpy()).max()  # lest one class have all of the probability
        probabilities = F.softmax(model(pixels), dim=1).numpy()[0]
    state = load_checkpoint(folder / "flowers.npz") | {"model": model.state_dict()}
    save_checkpoint(tmp_path / "flowers.npz", state)
    assert run(folder / "a.jpg", "--weights", tmp_path / "flowers.npz") == 0
    found = [line.split(" %  ") for line in capsys.readouterr().out.splitlines()[1:]]
    assert [name for _, name in found] == [state["classes"][label] for label in np.argsort(-probabilities)]
    expected = 100 * np.sort(probabilities)[::-1]
    assert expected[2] > 1 and [float(p) for p, _ in found] == pytest.approx(expected, abs=0.06)


def test_weights_for_other_classes(torch, folder, tmp_path, capsys):
    state = {key: torch.tensor(t.numpy()) for key, t in models.resnet18(num_classes=3).state_dict().items()}
    torch.save({"state_dict": state, "epoch": 1}, tmp_path / "mine.pth.tar")
    assert run(folder / "a.jpg", "--arch", "resnet18", "--weights", tmp_path / "mine.pth.tar") == 0
    lines = capsys.readouterr().out.splitlines()[1:]
    assert sorted(line.split("%")[1].strip() for line in lines) == ["class 0", "class 1", "class 2"]


def fails(capsys, *words):
    """The one line it ends with."""
    assert run(*words) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ") and err.count("\n") == 1, err
    return err


def test_a_bad_picture_does_not_stop_the_others(folder, tmp_path, capsys):
    bad = tmp_path / "bad.jpg"
    bad.write_text("no picture")
    options = ("--arch", "resnet18", "--weights", folder / "resnet18.pth")
    assert run(bad, folder / "a.jpg", tmp_path / "nowhere.jpg", *options) == 2
    captured = capsys.readouterr()
    assert captured.out.splitlines()[0] == str(folder / "a.jpg") and len(captured.out.splitlines()) == 6
    errors = captured.err.splitlines()
    assert errors[0] == f"error: {bad}: not a JPEG or PNG picture"
    assert errors[1].startswith("error: ") and "nowhere.jpg" in errors[1] and len(errors) == 2


def test_bad_weights(folder, tmp_path, capsys):
    picture = folder / "a.jpg"
    (tmp_path / "page.pth").write_text("<html>not found</html>")
    assert "page.pth holds no weights" in fails(capsys, picture, "--weights", tmp_path / "page.pth")
    assert "does not fit" in fails(capsys, picture, "--arch", "resnet34", "--weights", folder / "resnet18.pth")
    err = fails(capsys, picture, "--weights", tmp_path / "nowhere.pth")
    assert "nowhere.pth" in err and "no such file" in err and "IMAGENET1K_V2" in err
    assert "nowhere.npz" in fails(capsys, picture, "--weights", tmp_path / "nowhere.npz")
    assert "too long" in fails(capsys, picture, "--weights", "n" * 300)  # the system does not even look


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"settings": {}}, "settings"),
        ({"settings": {"arch": "vgg9", "image_size": 32, "shorter_side": 32}}, "vgg9"),
        ({"settings": {"arch": "resnet18", "image_size": 64, "shorter_side": 72}}, "another model"),
        ({"settings": {"arch": "resnet20", "image_size": 64, "shorter_side": 60}}, "settings"),
        ({"settings": {"arch": "resnet20", "image_size": "a", "shorter_side": []}}, "integer"),
        ({"settings": {"arch": "resnet20", "image_size": 64, "shorter_side": []}}, "settings"),
        ({"normalize": {}}, "normalize"),
        ({"model": {}}, "another model"),
        ({"classes": ["daisy"]}, "fc.weight: (3, 64), not (1, 64)"),
    ],
)
def test_crafted_checkpoints(folder, tmp_path, capsys, change, message):
    save_checkpoint(tmp_path / "c.npz", load_checkpoint(folder / "flowers.npz") | change)
    err = fails(capsys, folder / "a.jpg", "--weights", tmp_path / "c.npz")
    assert message in err and "c.npz" in err
