"""examples/alexnet_imagenet.py from its command line: what a run leaves, how it is tested, how it goes on."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from programs import PROGRAM, SMALL, draw, example, fails, run

from minicnn import models, nn
from minicnn.cli.arguments import parse
from minicnn.runlog import read_log
from minicnn.train import load_checkpoint, save_checkpoint

FILES = {
    "args.json",
    "checkpoint_best.npz",
    "checkpoint_last.npz",
    "curves.png",
    "filters.png",
    "pictures.png",
    "log.csv",
    "report.html",
    "summary.json",
}
RECORD = "report.npz"  # what report.html is made of: it is not told


# What a run leaves


def test_files(trained):
    assert {path.name for path in trained.iterdir()} == {*FILES, RECORD}
    summary = json.loads((trained / "summary.json").read_text())
    rows = read_log(trained / "log.csv")
    assert summary["val_top1"] == float(rows[-1]["val_top1"]) and len(rows) == summary["epochs"] == 2
    assert summary["val_top5"] == 100.0  # two classes
    assert summary["parameters"] == 2_469_696 + 9216 * 8 + 8 + 8 * 8 + 8 + 2 * 8 + 2
    assert summary["images_per_second"] > 0 and summary["seconds"] > 0
    assert json.loads((trained / "args.json").read_text())["width"] == 8
    with Image.open(trained / "filters.png") as filters, Image.open(trained / "curves.png") as curves:
        # 64 filters of 11x11 in 7 rows of 10; a line of 14 pixels below each row, and one for the title
        assert filters.size == (6 * 12 * 10 + 6, 6 * 12 * 7 + 6 + 14 * 8)
        assert curves.size == (1200, 360)


def test_last_lines_say_where_they_are(pictures, tmp_path, capsys):
    assert run(pictures, SMALL, "--output-dir", tmp_path / "run") == 0
    *_, result, files = capsys.readouterr().out.splitlines()
    assert result.startswith("val_top1 ") and result.endswith(f"In {tmp_path / 'run'}:")
    assert set(files.split()) == FILES


def test_no_dir_is_the_synthetic_sample_in_a_new_folder(pictures, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("minicnn.data.draw_sample", lambda watch: pictures)
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        assert run("--epochs 1 --width 8 -j 1") == 0
    out = capsys.readouterr().out
    assert "synthetic" in out and "image_size 67" in out and "width 8" not in out  # the last is the user's
    assert [path.name for path in sorted(Path("runs").iterdir())] == ["alexnet-sample-1", "alexnet-sample-2"]


def test_random_pictures(tmp_path):
    assert run("--dummy", SMALL, "-b 2 --output-dir", tmp_path / "run") == 0
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["pictures"] == "dummy"


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


def test_what_lrn_sees_is_kept_and_goes_on(pictures, tmp_path, monkeypatch):
    """In the checkpoint, and from there in tests; checkpoints from before there was a choice have it across halves."""
    flags, seen = "--arch alexnet_2012 --image-size 67 --shorter-side 67", []
    assert run(pictures, SMALL, flags, "--output-dir", tmp_path / "run") == 0
    path = tmp_path / "run" / "checkpoint_last.npz"
    state = load_checkpoint(path)
    assert state["settings"]["norm_across_halves"] is False
    assert norm_groups(models.create("alexnet_2012", 2, state["settings"])) == [2, 2]
    real = example.build_model
    monkeypatch.setattr(example, "build_model", lambda *args: (seen.append(real(*args)), seen[-1])[1])
    assert run(pictures, "-e --resume", path) == 0
    assert norm_groups(seen[-1]) == [2, 2]
    del state["settings"]["norm_across_halves"]
    save_checkpoint(path, state)
    assert run(pictures, "-e --resume", path) == 0
    assert norm_groups(seen[-1]) == [1, 1] == norm_groups(models.create("alexnet_2012", 2, state["settings"]))


def norm_groups(model):
    return [layer.groups for layer in model.modules() if isinstance(layer, nn.LocalResponseNorm)]


def test_defaults_are_those_of_2012():
    for arch, size, preprocess in (("alexnet", 224, "mean_std"), ("alexnet_2012", 227, "mean_image")):
        args, _ = parse(example.arguments(), ["DIR", "-a", arch], example.defaults)
        assert (args.image_size, args.preprocess) == (size, preprocess)
        assert (args.batch_size, args.lr, args.momentum, args.wd) == (128, 0.01, 0.9, 5e-4)
        optimizer, schedule = example.build_optimizer(args, nn.Linear(2, 2))
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


def test_only_the_network_is_fixed_in_a_test(pictures, trained, tmp_path, capsys):
    shutil.copytree(pictures / "val", tmp_path / "pictures" / "val")  # and no train/
    last = trained / "checkpoint_last.npz"
    assert run(tmp_path / "pictures", "-e -b 5 --shorter-side 70 --resume", last) == 0
    assert "6 pictures, 1 network" in capsys.readouterr().out
    assert "width 8, not 9" in fails(capsys, "-e --width 9 --resume", last)


def test_ensemble(pictures, trained, tmp_path, capsys):
    both = trained / "checkpoint_best.npz", trained / "checkpoint_last.npz"
    assert run("--tta 10crop --output-dir", tmp_path / "test", "--ensemble", *both) == 0
    assert "the mean of 2 networks, 10crop" in capsys.readouterr().out
    summary = json.loads((tmp_path / "test" / "summary.json").read_text())
    assert summary["pictures"] == 6 and summary["checkpoints"] == [str(path) for path in both]


def test_several_scales(pictures, trained, tmp_path, capsys):
    last = trained / "checkpoint_last.npz"
    assert run("-e --scales 64 --resume", last) == run("-e --shorter-side 64 --resume", last) == 0
    one, same = (line for line in capsys.readouterr().out.splitlines() if "1 network" in line)
    assert "1 crop at 64 pixels: loss" in one and one.split("loss")[1] == same.split("loss")[1]
    assert run("-e --tta 10crop --scales 64 70 81 --output-dir", tmp_path / "test", "--resume", last) == 0
    assert "6 pictures, 1 network, 10crop at 64, 70, 81 pixels: loss" in capsys.readouterr().out
    assert json.loads((tmp_path / "test" / "summary.json").read_text())["views"] == "10crop at 64, 70, 81 pixels"


def test_dense(ours, capsys):
    path = ours / "checkpoint_last.npz"
    state = load_checkpoint(path)
    state["settings"] |= {"image_size": 224, "shorter_side": 224}
    save_checkpoint(path, state)
    assert run("-e --tta dense --scales 224 250 --resume", path) == 0
    assert "6 pictures, 1 network, dense at 224, 250 pixels: loss" in capsys.readouterr().out
    assert run("--tta dense --ensemble", path, path) == 0
    assert "6 pictures, the mean of 2 networks, dense: loss" in capsys.readouterr().out


def test_a_test_does_not_begin_if_its_result_cannot_be_written(ours, capsys, monkeypatch):
    monkeypatch.setattr("minicnn.cli.testing.evaluate", None)
    assert "is not empty" in fails(capsys, "-e --output-dir", ours, "--resume", ours / "checkpoint_last.npz")


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
