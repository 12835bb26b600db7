"""Weights of PyTorch's ResNets for CIFAR in evaluate, classify and transfer, offline."""

import argparse

import cifar_torch
import numpy as np
import pytest
from paths import EXAMPLES
from PIL import Image
from programs import load_example
from test_cifar import packed

from minicnn import models, pretrained
from minicnn.commands import classify, evaluate
from minicnn.data.cifar import CLASSES
from minicnn.models.resnet import zero_pads
from minicnn.train import exit_code, load_checkpoint, save_checkpoint

transfer = load_example(EXAMPLES / "transfer_flowers102.py")
COUNT, RIGHT = 40, 30


def prepared(torch, pixels):
    """As that network's training program does it."""
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    return (torch.tensor(pixels) / 255 - mean[:, None, None]) / std[:, None, None]


@pytest.fixture(scope="module")
def cifar(torch, tmp_path_factory):
    """A folder of model.th and of CIFAR-10 as an archive, as binary rows and as pictures, 40 of them. PyTorch's
    network predicts the right label of 30."""
    folder = tmp_path_factory.mktemp("cifar")
    network = cifar_torch.network(torch, 20)
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (COUNT, 3, 8, 8), np.uint8) // rng.integers(1, 9, (COUNT, 3, 1, 1), np.uint8)
    pixels = pixels.repeat(4, axis=2).repeat(4, axis=3)
    with torch.no_grad():
        network.linear.bias -= network(prepared(torch, pixels)).mean(0)
        labels = network(prepared(torch, pixels)).argmax(1).numpy()
    torch.save(cifar_torch.published(network), folder / "model.th")
    assert len(set(labels)) > 3
    labels[RIGHT:] = (labels[RIGHT:] + 1) % 10
    rows = np.concatenate([labels[:, None].astype(np.uint8), pixels.reshape(COUNT, -1)], axis=1).tobytes()
    packed(folder / "cifar-10-binary.tar.gz", {"cifar-10-batches-bin/test_batch.bin": rows})
    (folder / "data" / "cifar-10-batches-bin").mkdir(parents=True)
    (folder / "data" / "cifar-10-batches-bin" / "test_batch.bin").write_bytes(rows)
    for i, label in enumerate([*labels, *range(10)]):  # each class has a picture
        place = folder / "pictures" / "val" / CLASSES[label]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels[i % COUNT].transpose(1, 2, 0)).save(place / f"{i}.png")
    return folder


def evaluated(capsys, *words):
    assert exit_code(evaluate.main, [str(word) for word in words]) == 0
    return capsys.readouterr().out.splitlines()[-1]


@pytest.mark.parametrize("source", ["cifar-10-binary.tar.gz", "data", "data/cifar-10-batches-bin"])
def test_evaluated_on_cifar_as_it_is_published(cifar, capsys, source):
    line = evaluated(capsys, cifar / source, f"resnet20:{cifar / 'model.th'}", "-j", "0")
    assert f"resnet20:{cifar / 'model.th'}, 40 pictures, 1 crop at 32 pixels: top-1 75.000 %" in line


def test_evaluated_on_a_folder_of_pictures(torch, cifar, capsys):
    line = evaluated(capsys, cifar / "pictures", f"resnet20:{cifar / 'model.th'}", "-j", "0")
    assert ", 50 pictures, 1 crop at 32 pixels: top-1 " in line
    assert RIGHT * 2 <= float(line.split("top-1 ")[1].split()[0]) <= (RIGHT + 10) * 2


def test_an_ensemble_and_other_views(cifar, capsys):
    one = f"resnet20:{cifar / 'model.th'}"
    alone = evaluated(capsys, cifar / "data", one, "-j", "0").split(": ")[-1]
    twice = evaluated(capsys, cifar / "data", one, one, "-j", "0").split(": ")[-1]
    assert alone == twice
    assert "dense at 32 pixels" in evaluated(capsys, cifar / "data", one, "--tta", "dense", "-j", "0")


def fails(capsys, *words):
    assert exit_code(evaluate.main, [str(word) for word in words]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ") and err.count("\n") == 1, err
    return err


def test_what_does_not_go_together(torch, cifar, tmp_path, capsys):
    assert "no weights for 'resnet20'" in fails(capsys, cifar / "data", "resnet20")
    assert "no such file" in fails(capsys, cifar / "data", "resnet20:nowhere.th")
    assert "does not fit" in fails(capsys, cifar / "data", f"resnet32:{cifar / 'model.th'}")
    assert "damaged or not CIFAR-10's" in fails(capsys, cifar / "model.th", f"resnet20:{cifar / 'model.th'}")
    torch.save(cifar_torch.network(torch, 20, num_classes=7).state_dict(), tmp_path / "seven.th")
    err = fails(capsys, cifar / "data", f"resnet20:{tmp_path / 'seven.th'}")
    assert f"{cifar / 'data'} must have a folder for each of the 7 classes" in err


def test_classified(torch, cifar, capsys):
    """With the names of CIFAR-10's classes, and PyTorch's probabilities."""
    picture = next((cifar / "pictures").rglob("0.png"))
    assert classify.main([str(picture), "--arch", "resnet20", "--weights", str(cifar / "model.th"), "--top", "10"]) == 0
    found = [line.split(" %  ") for line in capsys.readouterr().out.splitlines()[1:]]
    with torch.no_grad():
        pixels = np.asarray(Image.open(picture)).transpose(2, 0, 1)[None]
        network, saved = cifar_torch.network(torch, 20), torch.load(cifar / "model.th")["state_dict"]
        network.load_state_dict({key.removeprefix("module."): tensor for key, tensor in saved.items()})
        probabilities = network(prepared(torch, pixels)).softmax(1)[0].numpy()
    assert {name: float(p) for p, name in found} == pytest.approx(
        dict(zip(CLASSES, 100 * probabilities, strict=True)), abs=0.06
    )


def test_ten_classes_of_other_things_have_no_such_names(torch, cifar, tmp_path, capsys):
    state = {key: torch.tensor(t.numpy()) for key, t in models.cifar_resnet(20).state_dict().items()}
    torch.save(state, tmp_path / "mine.pth")
    picture = next((cifar / "pictures").rglob("0.png"))
    assert classify.main([str(picture), "--arch", "resnet20", "--weights", str(tmp_path / "mine.pth")]) == 0
    out = capsys.readouterr().out
    assert "class " in out and not any(name in out for name in CLASSES if name not in str(picture))


def test_where_the_zeros_go_travels_with_transferred_networks(cifar, tmp_path, capsys):
    """Into the new run's checkpoint, and from there into whatever is built from it."""
    words = [cifar / "pictures" / "val", "--arch", "resnet20", "--weights", cifar / "model.th", "--option", "2"]
    words += ["--epochs", "1", "-j", "0", "--output-dir", tmp_path / "run"]
    assert exit_code(transfer.transfer, [str(word) for word in words]) == 0
    checkpoint = tmp_path / "run" / "checkpoint_last.npz"
    state = load_checkpoint(checkpoint)
    assert state["settings"]["network"]["zero_padding"] == "around" and state["settings"]["preprocess"] is None
    np.testing.assert_allclose(state["normalize"]["mean"].reshape(-1), 255 * np.array([0.485, 0.456, 0.406]), rtol=1e-6)
    made = models.create("resnet20", 10, state["settings"])
    assert {layer.zero_padding for layer in zero_pads(made)} == {"around"}
    seen = []
    real = models.create
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(models, "create", lambda *a: (seen.append(real(*a)), seen[-1])[1])
        picture = next((cifar / "pictures").rglob("0.png"))
        assert classify.main([str(picture), "--weights", str(checkpoint)]) == 0
    assert {layer.zero_padding for layer in zero_pads(seen[0])} == {"around"}
    model = pretrained.load("resnet20", file=checkpoint)
    assert {layer.zero_padding for layer in zero_pads(model)} == {"around"}
    again = ["--resume", checkpoint, "--evaluate"]
    assert exit_code(transfer.transfer, [str(word) for word in again]) == 0


def test_transfer_names_what_is_wrong_with_a_file(cifar, tmp_path, capsys):
    (tmp_path / "page.th").write_text("<html>")
    words = [cifar / "pictures", "--arch", "resnet20", "--weights", tmp_path / "page.th", "--option", "2"]
    assert exit_code(transfer.transfer, [str(word) for word in words]) == 2
    err = capsys.readouterr().err
    assert "page.th holds no weights" in err and err.count("\n") == 1


def test_own_checkpoints_keep_their_zeros_behind(tmp_path):
    args = argparse.Namespace(arch="resnet20", weights=str(tmp_path / "c.npz"))
    save_checkpoint(args.weights, {"model": models.cifar_resnet(20).state_dict(), "settings": {"arch": "resnet20"}})
    model = pretrained.load("resnet20", file=args.weights)
    assert {layer.zero_padding for layer in zero_pads(model)} == {"behind"}
