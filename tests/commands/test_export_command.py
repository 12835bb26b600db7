"""minicnn export: each format, of a checkpoint and of a file of weights; what it refuses, with nothing written."""

import shutil
import sys

import numpy as np
import pytest

from minicnn import Tensor, export, models, no_grad
from minicnn.commands import main, networks
from minicnn.data import ChannelMeanStd
from minicnn.storage.checkpoint import load_checkpoint
from minicnn.train import save_checkpoint
from minicnn.train.restore import PARTS


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """run.npz, the checkpoint of a ResNet-20 for 3 classes, and weights.npz, of one for 10."""
    folder = tmp_path_factory.mktemp("export")
    pictures = np.random.default_rng(0).integers(0, 256, (4, 3, 24, 24), np.uint8)
    state = {part: {} for part in PARTS} | {
        "settings": {"arch": "resnet20", "image_size": 24, "shorter_side": 24},
        "classes": ["daisy", "rose", "tulip"],
        "normalize": ChannelMeanStd().fit([pictures]).state_dict(),
        "model": models.create("resnet20", 3).state_dict(),
    }
    save_checkpoint(folder / "run.npz", state)
    np.savez(folder / "weights.npz", **{k: v.numpy() for k, v in models.create("resnet20", 10).state_dict().items()})
    return folder


def written(capsys, *words):
    assert main(["export", *map(str, words)]) == 0
    return capsys.readouterr().out


def fails(capsys, out, *words):
    """The one line it ends with; nothing has been written into the folder `out`."""
    there = sorted(out.rglob("*"))
    assert main(["export", *map(str, words)]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ") and err.count("\n") == 1 and sorted(out.rglob("*")) == there, err
    return err


def test_a_checkpoint_as_onnx(folder, tmp_path, capsys):
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    pytest.importorskip("onnx", reason="onnx is not installed")
    out = tmp_path / "a.onnx"
    said = written(capsys, out, "--weights", folder / "run.npz")
    assert said.startswith(f"{out}: resnet20, 3 classes, {269_267:,} parameters, ")
    mean = load_checkpoint(folder / "run.npz")["normalize"]["mean"]
    assert "it takes (batch, 3, 24, 24): red, green and blue from 0 to 255, less " in said
    assert f"{mean[0]:.6g}, {mean[1]:.6g}, {mean[2]:.6g}, divided by " in said
    pictures = np.random.default_rng(1).random((2, 3, 24, 24), np.float32)
    (scores,) = runtime.InferenceSession(str(out)).run(None, {"input": pictures})
    with no_grad():
        expected = networks.choose("", str(folder / "run.npz")).model(Tensor(pictures)).numpy()
    np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-5)
    assert "(batch, 3, 40, 48)" in written(capsys, out, "--checkpoint", folder / "run.npz", "--input", 3, 40, 48)


def test_weights_of_a_file_as_safetensors(folder, tmp_path, capsys):
    numpy = pytest.importorskip("safetensors.numpy", reason="safetensors is not installed")
    out = tmp_path / "weights.SAFETENSORS"
    said = written(capsys, out, "--arch", "resnet20", "--weights", folder / "weights.npz")
    assert "resnet20, 10 classes" in said and "it takes" not in said
    with np.load(folder / "weights.npz") as weights:
        found = numpy.load_file(out)
        assert all(np.array_equal(found[name], weights[name]) for name in weights.files)


def test_the_format_goes_before_the_ending(torch, folder, tmp_path, capsys):
    out = tmp_path / "weights.onnx"
    written(capsys, out, "--format", "torch", "--arch", "resnet20", "--weights", folder / "weights.npz")
    with np.load(folder / "weights.npz") as weights:
        found = torch.load(out, weights_only=True)
        assert all(np.array_equal(found[name].numpy(), weights[name]) for name in weights.files)


def test_what_is_refused(folder, tmp_path, capsys):
    out, run, weights = tmp_path / "a.onnx", folder / "run.npz", folder / "weights.npz"
    for message, *words in (
        ("which network? Name it by --arch, or give the checkpoint", out),
        ("nothing.npz is no file; give one, or name", out, "--weights", "nothing.npz"),
        ("weights.npz is no checkpoint of minicnn; give one, or name", out, "--weights", weights),
        ("there is no network 'resnet21', but resnet", out, "--arch", "resnet21"),
        ("run.npz is of a resnet20; leave --arch resnet32 out", out, "--weights", run, "--arch", "resnet32"),
        ("does not fit", out, "--weights", weights, "--arch", "resnet32"),
        ("no weights 'V9'", out, "--weights", "V9", "--arch", "resnet18"),
        ("a.bin: the ending says no format; choose one of .onnx, ", tmp_path / "a.bin", "--weights", run),
        ("there is no folder", tmp_path / "none" / "a.onnx", "--weights", run),
        ("--input is of an ONNX file", tmp_path / "a.pth", "--weights", run, "--input", 3, 8, 8),
    ):
        assert message in fails(capsys, tmp_path, *words)


def test_a_package_that_is_missing_and_an_op_that_onnx_lacks(folder, tmp_path, capsys, monkeypatch):
    run, out = folder / "run.npz", tmp_path / "a.onnx"
    for module, file in (
        ("onnx", out),
        ("safetensors.numpy", tmp_path / "a.safetensors"),
        ("torch", tmp_path / "a.pt"),
    ):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, module, None)
            assert "which is not installed" in fails(capsys, tmp_path, file, "--weights", run)
    pytest.importorskip("onnx", reason="onnx is not installed")

    def refuse(*args):
        raise export.ExportError("onnx: there is no such op")

    monkeypatch.setattr(export, "onnx", refuse)
    assert "there is no such op" in fails(capsys, tmp_path, out, "--weights", run)


def test_a_damaged_checkpoint_leaves_what_stood_there(folder, tmp_path, capsys):
    bad, out = tmp_path / "bad.npz", tmp_path / "a.pth"
    shutil.copy(folder / "run.npz", bad)
    content = bytearray(bad.read_bytes())
    content[len(content) // 2] ^= 1
    bad.write_bytes(content)
    out.write_text("before")
    assert "bad.npz" in fails(capsys, tmp_path, out, "--weights", bad)
    assert out.read_text() == "before"
