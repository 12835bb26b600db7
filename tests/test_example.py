"""examples/alexnet_imagenet.py from its command line: what a run leaves, how it goes on, what it says to bad input."""

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from minicnn import nn
from minicnn.train.arguments import parse
from minicnn.train.log import read_log

PROGRAM = Path(__file__).parent.parent / "examples" / "alexnet_imagenet.py"
FILES = {
    "args.json",
    "checkpoint_best.npz",
    "checkpoint_last.npz",
    "curves.png",
    "filters.png",
    "log.csv",
    "summary.json",
}
SMALL = "--image-size 64 --shorter-side 66 --width 8 -b 4 -j 1 -p 1 --epochs 1"


def load_example():
    spec = importlib.util.spec_from_file_location("alexnet_imagenet", PROGRAM)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


example = load_example()


def run(*words):
    """The program's exit code; the words may be texts of several arguments, or Paths."""
    argv = [arg for word in words for arg in (word.split() if isinstance(word, str) else [str(word)])]
    return example.main(example.arguments(), example.RECIPE, argv)


def draw(folder, classes, count):
    for label, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for i in range(count):
            rng = np.random.default_rng([label, i])
            pixels = rng.integers(100 * label, 100 * label + 99, (70, 66 + 8 * i, 3), np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{i}.JPEG")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    draw(folder / "train", ["dark", "light"], 4)
    draw(folder / "val", ["dark", "light"], 3)
    return folder


@pytest.fixture(scope="module")
def trained(pictures, tmp_path_factory):
    """The output folder of a run of two epochs."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    assert run(pictures, SMALL, "--epochs 2 --dropout 0 --output-dir", folder) == 0
    return folder


@pytest.fixture
def ours(trained, tmp_path):
    """A copy of it, to change."""
    return shutil.copytree(trained, tmp_path / "ours")


def fails(capsys, *words, code=2):
    """The one line that the program ends with."""
    assert run(*words) == code
    err = capsys.readouterr().err
    assert err.startswith("error: ") and err.count("\n") == 1, err
    return err


# What a run leaves


def test_files(trained):
    assert {path.name for path in trained.iterdir()} == FILES
    summary = json.loads((trained / "summary.json").read_text())
    rows = read_log(trained / "log.csv")
    assert summary["val_top1"] == float(rows[-1]["val_top1"]) and len(rows) == summary["epochs"] == 2
    assert summary["val_top5"] == 100.0  # two classes
    assert summary["parameters"] == 2_469_696 + 9216 * 8 + 8 + 8 * 8 + 8 + 2 * 8 + 2
    assert summary["images_per_second"] > 0 and summary["seconds"] > 0
    assert json.loads((trained / "args.json").read_text())["width"] == 8
    with Image.open(trained / "filters.png") as filters, Image.open(trained / "curves.png") as curves:
        assert filters.size == (6 * 12 * 10 + 6, 6 * 12 * 7 + 6)  # 64 filters of 11x11 in 7 rows of 10
        assert curves.size == (1200, 360)


def test_last_lines_say_where_they_are(pictures, tmp_path, capsys):
    assert run(pictures, SMALL, "--output-dir", tmp_path / "run") == 0
    *_, result, files = capsys.readouterr().out.splitlines()
    assert result.startswith("val_top1 ") and result.endswith(f"In {tmp_path / 'run'}:")
    assert set(files.split()) == FILES


def test_no_dir_is_the_synthetic_sample_in_a_new_folder(pictures, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("minicnn.train.pictures.draw_sample", lambda: pictures)
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        assert run("--epochs 1 --width 8 -j 1") == 0
    out = capsys.readouterr().out
    assert "synthetic" in out and "image_size 67" in out and "width 8" in out
    assert [path.name for path in sorted(Path("runs").iterdir())] == ["alexnet-sample-1", "alexnet-sample-2"]


def test_random_pictures(tmp_path):
    assert run("--dummy", SMALL, "-b 2 --output-dir", tmp_path / "run") == 0
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["pictures"] == "random"


def test_without_validation_pictures(tmp_path, capsys):
    draw(tmp_path / "flat", ["dark", "light"], 1)
    assert run(tmp_path / "flat", SMALL, "--output-dir", tmp_path / "run") == 0
    assert "no pictures to validate on" in capsys.readouterr().out
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["val_top1"] is None and summary["train_top1"] is not None


@pytest.mark.parametrize("preprocess", ["mean_image", "channel_mean", "mean_std"])
def test_alexnet_2012(pictures, tmp_path, preprocess):
    flags = (
        f"--arch alexnet_2012 --image-size 67 --shorter-side 67 --preprocess {preprocess} --pool-before-norm --groups 1"
    )
    assert run(pictures, SMALL, flags, "--output-dir", tmp_path / "run") == 0
    assert run(pictures, "-e --tta 10crop --resume", tmp_path / "run" / "checkpoint_last.npz") == 0


def test_defaults_are_those_of_2012():
    parser, recipe = example.arguments(), example.RECIPE
    for arch, size, preprocess in (("alexnet", 224, "mean_std"), ("alexnet_2012", 227, "mean_image")):
        args, _ = parse(parser, ["DIR", "-a", arch], recipe.defaults)
        assert (args.image_size, args.preprocess) == (size, preprocess)
        assert (args.batch_size, args.lr, args.momentum, args.wd) == (128, 0.01, 0.9, 5e-4)
        optimizer, schedule = recipe.optimizer(args, nn.Linear(2, 2))
        assert [(g["lr"], g["weight_decay"], g["momentum"]) for g in optimizer.param_groups] == [
            (0.01, 5e-4, 0.9),
            (0.02, 0.0, 0.9),
        ]
        assert (type(schedule).__name__, schedule.factor) == ("ReduceLROnPlateau", 0.1)


# Testing


def test_evaluate_repeats_the_validation(pictures, trained, capsys):
    before = {path: path.read_bytes() for path in trained.iterdir()}
    assert run("-e --resume", trained / "checkpoint_last.npz") == 0
    line = capsys.readouterr().out.splitlines()[-1]
    top1 = float(read_log(trained / "log.csv")[-1]["val_top1"])
    assert "6 pictures, 1 network, 1 crop: loss" in line and f"top-1 {top1:.1f} %" in line
    assert {path: path.read_bytes() for path in trained.iterdir()} == before


def test_ensemble(pictures, trained, tmp_path, capsys):
    both = trained / "checkpoint_best.npz", trained / "checkpoint_last.npz"
    assert run("--tta 10crop --output-dir", tmp_path / "test", "--ensemble", *both) == 0
    assert "the mean of 2 networks, 10crop" in capsys.readouterr().out
    summary = json.loads((tmp_path / "test" / "summary.json").read_text())
    assert summary["pictures"] == 6 and summary["checkpoints"] == [str(path) for path in both]


# Going on


def test_resume_takes_its_own_settings(ours, capsys):
    assert run("--epochs 3 --resume", ours / "checkpoint_last.npz") == 0
    assert [row["epoch"] for row in read_log(ours / "log.csv")] == ["1", "2", "3"]
    assert json.loads((ours / "args.json").read_text())["width"] == 8


def test_resume_of_a_run_that_is_over(ours):
    before = (ours / "log.csv").read_bytes()
    assert run("--resume", ours / "checkpoint_last.npz") == 0
    assert (ours / "log.csv").read_bytes() == before


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--lr 0.5", "lr 0.01, not 0.5"),
        ("-a alexnet_2012", "arch alexnet, not alexnet_2012"),
        ("--seed 3", "seed 0, not 3"),
    ],
)
def test_resume_with_other_settings_is_refused(ours, capsys, flags, message):
    before = {path: path.read_bytes() for path in ours.iterdir()}
    assert message in fails(capsys, flags, "--resume", ours / "checkpoint_last.npz")
    assert {path: path.read_bytes() for path in ours.iterdir()} == before


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT that one process can send to another")
def test_ctrl_c(pictures, tmp_path):
    words = [*SMALL.split(), "--epochs", "50", "--output-dir", tmp_path / "run"]
    command = [sys.executable, PROGRAM, pictures, *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert any(line.startswith("epoch 2/50  1/2") for line in process.stdout)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    last = tmp_path / "run" / "checkpoint_last.npz"
    assert f"--resume {last}" in out.splitlines()[-1]
    assert "Traceback" not in err
    assert run("--resume", last, "--epochs 3") == 0
    assert len(read_log(tmp_path / "run" / "log.csv")) >= 3


# Bad input


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
    return folder


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("no val", "no val/"),
        ("empty class", "nothing"),
        ("other classes", "black"),
        ("bad pictures", "of 8 pictures are unreadable"),
    ],
)
def test_bad_folders(pictures, tmp_path, capsys, what, message):
    folder = broken(tmp_path, pictures, what)
    assert message in fails(capsys, folder, SMALL, "--output-dir", tmp_path / "run")


def test_missing_folder(tmp_path, capsys):
    assert "there is no such folder" in fails(capsys, tmp_path / "nowhere", "--output-dir", tmp_path / "run")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--image-size 40", "larger than the padded input|kernel"),
        ("--image-size 99", "cannot be cut from"),
        ("--device cuda", "cuda"),
        ("--dropout 2", "dropout"),
    ],
)
def test_bad_settings(pictures, tmp_path, capsys, flags, message):
    if "cuda" in flags and shutil.which("nvidia-smi"):
        pytest.skip("there is a GPU here")
    err = fails(capsys, pictures, SMALL, flags, "--output-dir", tmp_path / "run")
    assert any(part in err for part in message.split("|")), err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("damage", ["flip", "truncate", "foreign", "missing"])
@pytest.mark.parametrize("flags", ["--resume", "-e --resume", "--ensemble"])
def test_bad_checkpoints(ours, capsys, damage, flags):
    path = ours / "checkpoint_last.npz"
    content = bytearray(path.read_bytes())
    if damage == "flip":
        content[len(content) // 2] ^= 1
    path.write_bytes(content[: len(content) // 3] if damage == "truncate" else content)
    if damage == "foreign":
        np.savez(path, weight=np.ones(3))
    if damage == "missing":
        path.unlink()
    before = {path: path.read_bytes() for path in ours.iterdir()}
    assert str(path) in fails(capsys, flags, path)
    assert {path: path.read_bytes() for path in ours.iterdir()} == before


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


@pytest.mark.parametrize(
    "flags", ["--epochs 0", "--lr -1", "--lr nan", "-e", "--tta 10crop", "--arch vgg", "--dummy DIR"]
)
def test_bad_arguments(flags, capsys):
    with pytest.raises(SystemExit) as stop:
        run(flags)
    assert stop.value.code == 2
    assert "error: " in capsys.readouterr().err
