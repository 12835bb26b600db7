"""examples/alexnet_imagenet.py from its command line: what it says to bad input. One line, and nothing is changed."""

import json
import re
import shutil
import sys

import numpy as np
import pytest
from PIL import Image
from programs import SMALL, example, fails, run

from minicnn.device import KernelError, OutOfMemoryError
from minicnn.train import exit_code, load_checkpoint, save_checkpoint


def test_another_run_is_not_overwritten(pictures, ours, capsys):
    before = {path: path.read_bytes() for path in ours.iterdir()}
    assert "is not empty; pass --resume" in fails(capsys, pictures, SMALL, "--output-dir", ours)
    assert {path: path.read_bytes() for path in ours.iterdir()} == before


def broken(tmp_path, pictures, what):
    """A copy of the pictures in which something is wrong."""
    folder = shutil.copytree(pictures, tmp_path / "broken")
    if what == "no val":
        shutil.rmtree(folder / "val")
    elif what == "empty class":
        (folder / "train" / "nothing").mkdir()
    elif what == "other classes":
        (folder / "val" / "dark").rename(folder / "val" / "black")
    elif what == "bad pictures":
        for path in (folder / "train" / "dark").iterdir():
            path.write_bytes(path.read_bytes()[:300])
    elif what == "black pictures":
        for path in folder.rglob("*.JPEG"):
            Image.new("RGB", (70, 70)).save(path)
    return folder


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("no val", "no val/"),
        ("empty class", "nothing"),
        ("other classes", "black"),
        ("bad pictures", "of 8 pictures are unreadable"),
        ("black pictures", "standard deviation 0"),
    ],
)
def test_bad_folders(pictures, tmp_path, capsys, what, message):
    folder = broken(tmp_path, pictures, what)
    assert message in fails(capsys, folder, SMALL, "--output-dir", tmp_path / "run")


def test_unreadable_pictures_are_counted(pictures, tmp_path, capsys):
    folder = shutil.copytree(pictures, tmp_path / "pictures")
    (folder / "train" / "dark" / "1.JPEG").write_bytes(b"no picture")
    assert run(folder, SMALL, "--output-dir", tmp_path / "run") == 0
    assert f"skipped an unreadable picture: {folder / 'train' / 'dark' / '1.JPEG'}: " in capsys.readouterr().out
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["unreadable_pictures"] == 1


def test_missing_folder(tmp_path, capsys):
    assert "there is no such folder" in fails(capsys, tmp_path / "nowhere", "--output-dir", tmp_path / "run")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--image-size 40", "larger than the padded input|kernel"),
        ("--image-size 99", "cannot be cut from"),
        ("--device cuda", "cuda"),
    ],
)
def test_bad_settings(pictures, tmp_path, capsys, flags, message):
    if "cuda" in flags and shutil.which("nvidia-smi"):
        pytest.skip("there is a GPU here")
    err = fails(capsys, pictures, SMALL, flags, "--output-dir", tmp_path / "run")
    assert any(part in err for part in message.split("|")), err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("damage", ["flip", "truncate", "foreign", "weights only", "missing"])
@pytest.mark.parametrize("flags", ["--resume", "-e --resume", "--ensemble"])
def test_bad_checkpoints(ours, capsys, damage, flags):
    path = ours / "checkpoint_last.npz"
    content = bytearray(path.read_bytes())
    if damage == "flip":
        content[len(content) // 2] ^= 1
    path.write_bytes(content[: len(content) // 3] if damage == "truncate" else content)
    if damage == "foreign":
        np.savez(path, weight=np.ones(3))
    if damage == "weights only":
        save_checkpoint(path, {"model": {"weight": np.ones(3)}})
    if damage == "missing":
        path.unlink()
    before = {path: path.read_bytes() for path in ours.iterdir()}
    assert str(path) in fails(capsys, flags, path)
    assert {path: path.read_bytes() for path in ours.iterdir()} == before


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("settings", {}),
        ("settings", {"image_size": None}),
        ("settings", {"image_size": "large"}),
        ("settings", {"dropout": [1]}),
        ("settings", {"classes": "dark"}),
        ("settings", {"classes": ["dark", 1]}),
        ("classes", [1, 2]),
        ("normalize", {}),
        ("normalize", {"kind": "MeanImage", "mean": np.zeros((3, 5, 5))}),
        ("normalize", {"kind": []}),
        ("schedule", {}),
        ("schedule", {"base_lrs": ["a", "b"], "count": 1, "best": None, "bad_periods": 0, "reductions": 0}),
        ("optimizer", {}),
        ("optimizer", {"groups": [{}, {}], "velocities": []}),
        ("random", {}),
        ("scores", {"loss": []}),
        ("position", {"epoch": "x", "batch": 0, "order": {}}),
    ],
)
def test_crafted_checkpoints(ours, capsys, part, value):
    path = ours / "checkpoint_last.npz"
    state = load_checkpoint(path)
    state[part] = state[part] | value if part == "settings" and value else value
    save_checkpoint(path, state)
    before = {path: path.read_bytes() for path in ours.iterdir()}
    err = fails(capsys, "--epochs 3 --resume", path)
    assert str(path) in err and part in err
    assert {path: path.read_bytes() for path in ours.iterdir()} == before


@pytest.mark.parametrize("part", ["settings", "normalize", "classes"])
def test_crafted_checkpoints_are_not_tested(trained, ours, capsys, part):
    path = ours / "checkpoint_last.npz"
    save_checkpoint(path, load_checkpoint(path) | {part: {}})
    for words in (("-e --resume", path), ("--ensemble", path), ("--ensemble", trained / path.name, path)):
        err = fails(capsys, *words)
        assert str(path) in err and part in err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--scales 70 60", "--image-size 64 cannot be cut from pictures of --scales 60"),
        ("--tta 10crop --scales 60", "--scales 60"),
        ("--tta dense", "trained on 64 pixels, it cannot do --tta dense: .* 1 x 1, smaller than the 6 x 6"),
    ],
)
def test_scales_and_views_that_do_not_fit(trained, capsys, flags, message):
    assert re.search(message, fails(capsys, "-e", flags, "--resume", trained / "checkpoint_last.npz"))


def test_networks_of_one_ensemble_take_one_size(trained, ours, capsys):
    path = ours / "checkpoint_last.npz"
    state = load_checkpoint(path)
    save_checkpoint(path, state | {"settings": state["settings"] | {"image_size": 66}})
    err = fails(capsys, "--ensemble", trained / "checkpoint_last.npz", path)
    assert f"{path} takes pictures of 66 pixels, the first one of 64" in err


def test_a_mean_picture_has_one_size(ours, capsys):
    path = ours / "checkpoint_last.npz"
    save_checkpoint(path, load_checkpoint(path) | {"normalize": {"kind": "MeanImage", "mean": np.zeros((3, 64, 64))}})
    err = fails(capsys, "-e --tta dense --resume", path)
    assert str(path) in err and "64 pixels" in err and "--preprocess channel_mean or mean_std" in err


def test_a_run_on_pictures_is_not_resumed_on_random_ones(ours, capsys):
    assert fails(capsys, "--dummy", "--resume", ours / "checkpoint_last.npz").endswith("; leave --dummy out\n")


def test_no_readable_validation_picture(pictures, tmp_path, capsys):
    folder = shutil.copytree(pictures, tmp_path / "pictures")
    for path in (folder / "val").rglob("*.JPEG"):
        path.write_bytes(b"no picture")
    err = fails(capsys, folder, SMALL, "--max-bad-fraction 1 --output-dir", tmp_path / "run")
    assert "no validation picture could be read" in err and "0.JPEG" in err


@pytest.mark.parametrize(("missing", "message"), [("val", "no val/"), ("dark", "lacks dark")])
def test_folders_that_cannot_be_tested_on(pictures, trained, tmp_path, capsys, missing, message):
    folder = shutil.copytree(pictures, tmp_path / "pictures")
    shutil.rmtree(folder / "val" / missing if missing == "dark" else folder / missing)
    assert message in fails(capsys, folder, "-e --resume", trained / "checkpoint_last.npz")


def test_tensorboard_missing(pictures, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    assert "tensorboardX" in fails(capsys, pictures, SMALL, "--tensorboard --output-dir", tmp_path / "run")
    assert not list(tmp_path.iterdir())


def test_output_that_cannot_be_written(pictures, tmp_path, capsys):
    (tmp_path / "file").write_text("here")
    assert "cannot be made" in fails(capsys, pictures, SMALL, "--output-dir", tmp_path / "file" / "run")
    assert (tmp_path / "file").read_text() == "here"


def test_training_that_breaks_down(pictures, tmp_path, capsys):
    words = (pictures, SMALL, "--lr 1e30 --momentum 0 --epochs 3 --output-dir", tmp_path / "run")
    with np.errstate(all="ignore"):
        err = fails(capsys, *words, code=1)
    assert "is not finite" in err and "smaller --lr" in err
    assert ("checkpoints" in err) == (tmp_path / "run" / "checkpoint_last.npz").exists()


@pytest.mark.parametrize(
    "flags",
    [
        "--epochs 0",
        "--lr -1",
        "--lr nan",
        "--dropout 2",
        "--width 0",
        "-e",
        "--tta 10crop",
        "--scales 256",
        "--arch vgg",
        "--dummy D",
    ],
)
def test_bad_arguments(flags, capsys):
    with pytest.raises(SystemExit) as stop:
        run(flags)
    assert stop.value.code == 2
    assert "error: " in capsys.readouterr().err


@pytest.mark.parametrize("words", [["", "--epochs", "1"], [".", "--output-dir", ""]])
def test_the_name_of_a_folder_is_not_empty(words, capsys):
    """As that of a shell's variable that is not set: it is none of the cases in which the name is left out."""
    with pytest.raises(SystemExit) as stop:
        example.main(words)
    assert stop.value.code == 2 and "the name of a folder is empty" in capsys.readouterr().err


def test_a_network_that_memory_has_no_room_for(ours, capsys):
    """Its settings may have been written by hand."""
    path = ours / "checkpoint_last.npz"
    state = load_checkpoint(path)
    save_checkpoint(path, state | {"settings": state["settings"] | {"width": 10**12}})
    assert "allocate" in fails(capsys, "--epochs 3 --resume", path, code=1)


@pytest.mark.parametrize("error", [OutOfMemoryError("Conv2d: 8 bytes"), KernelError("relu_forward: race")])
def test_a_device_that_gives_up_is_one_line(capsys, error):
    def program():
        raise error

    assert exit_code(program) == 1
    assert capsys.readouterr().err == f"error: {error}\n"
