"""--precision: what a run computes in, what its checkpoint says of it, and what is refused."""

import importlib
import re
import sys

import numpy as np
import pytest
from paths import EXAMPLES
from PIL import Image
from programs import load_example, run

from minicnn import models
from minicnn.commands import classify, evaluate, train
from minicnn.precision import current_precision
from minicnn.runlog import read_log
from minicnn.train import load_checkpoint

example = load_example(EXAMPLES / "resnet_cifar10.py")
SMALL = "--image-size 8 --shorter-side 8 -b 4 -j 0 -p 100 --epochs 2 --lr 0.001"


@pytest.fixture(autouse=True)
def as_before(monkeypatch):
    """The precision of the process is float32 again when a test is over."""
    monkeypatch.setattr(sys.modules["minicnn.precision"]._precision, "_default", "float32")


def test_a_run_in_bfloat16_and_on_from_there_in_float32(folder, tmp_path, capsys):
    out = tmp_path / "run"
    assert run(folder, SMALL, "--precision bfloat16 --output-dir", out, program=example) == 0
    assert current_precision() == "bfloat16"
    state = load_checkpoint(out / "checkpoint_last.npz")
    assert state["settings"]["precision"] == state["environment"]["precision"] == "bfloat16"
    assert {str(array.dtype) for array in state["model"].values()} == {"float32"}
    assert "precision" not in capsys.readouterr().out.partition("note:")[2]
    assert run("--resume", out / "checkpoint_last.npz", "--precision float32 --epochs 3", program=example) == 0
    assert "precision bfloat16 then, float32 now" in capsys.readouterr().out
    losses = [float(row["train_loss"]) for row in read_log(out / "log.csv")]
    assert len(losses) == 3 and all(0 < loss < 5 for loss in losses)


def test_a_checkpoint_is_tested_in_any_precision(folder, tmp_path, capsys):
    out = tmp_path / "run"
    assert run(folder, SMALL, "--precision bfloat16 --output-dir", out, program=example) == 0
    path, losses = out / "checkpoint_last.npz", []
    for words in ("--precision bfloat16", "--precision float32"):
        for what in (["-e", "--resume", path], ["-e", "--ensemble", path, path]):
            capsys.readouterr()
            assert run(*what, words, program=example) == 0
            losses.append(float(re.search(r"crop: loss ([\d.]+)", capsys.readouterr().out)[1]))
    assert losses[0] == losses[1] and losses[2] == losses[3]  # twice the same network is that network
    assert losses[2] == pytest.approx(losses[0], rel=0.05)


def test_it_changes_the_numbers_but_little(folder, tmp_path):
    losses = []
    for name in ("float32", "bfloat16"):
        out = tmp_path / name
        assert run(folder, SMALL, f"--precision {name} --output-dir", out, program=example) == 0
        losses.append([float(row["train_loss"]) for row in read_log(out / "log.csv")])
    assert losses[0] != losses[1] and losses[1] == pytest.approx(losses[0], rel=0.05)


OWN = "alexnet_imagenet", "alexnet_two_ranks", "resnet_cifar10", "transfer_flowers102"
PROGRAMS = [load_example(EXAMPLES / f"{name}.py") for name in OWN] + [classify, evaluate, train]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_every_program_has_the_flag(program):
    flags = {action.dest: action for action in program.arguments()._actions}
    assert flags["precision"].default == "float32" and "bfloat16" in flags["precision"].choices
    assert ("tf32" in flags["precision"].choices) == ("device" in flags)


def test_a_picture_is_named_in_bfloat16(tmp_path, capsys):
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)).save(tmp_path / "a.png")
    np.savez(tmp_path / "resnet20.npz", **{k: v.numpy() for k, v in models.create("resnet20", 10).state_dict().items()})
    words = [str(tmp_path / "a.png"), "--arch", "resnet20", "--weights", str(tmp_path / "resnet20.npz"), "--top", "10"]
    found = []
    for precision in ("float32", "bfloat16"):
        assert classify.main([*words, "--precision", precision]) == 0 and current_precision() == precision
        lines = capsys.readouterr().out.splitlines()[1:]
        found.append(sorted((line.split("%")[1], float(line.split("%")[0])) for line in lines))
    (names, exact), (others, rounded) = (zip(*each, strict=True) for each in found)
    assert names == others and rounded == pytest.approx(exact, abs=2)


@pytest.mark.parametrize("words", ["", "--precision bfloat16"])
def test_a_unit_that_the_system_refuses_ends_the_run_before_it_begins(folder, tmp_path, capsys, monkeypatch, words):
    unit = importlib.import_module("minicnn.kernels.cpu.machine.unit")
    monkeypatch.setenv("MINICNN_CPU", "amx")
    monkeypatch.setattr(unit, "why_not", lambda name: "the system refuses its tiles" if name == "amx" else None)
    monkeypatch.setattr(unit, "unit", unit.unit.__wrapped__)  # what it has found before is no answer
    out = tmp_path / "run"
    assert run(folder, SMALL, words, "--output-dir", out, program=example) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and err.startswith("error: MINICNN_CPU=amx: the system refuses its tiles; take the")
    assert not out.exists()


def test_what_only_a_gpu_has_is_refused_before_the_run(folder, tmp_path, capsys):
    out = tmp_path / "run"
    assert run(folder, SMALL, "--precision tf32 --output-dir", out, program=example) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and all(part in err for part in ("--precision tf32", "'cpu'", "bfloat16"))
    assert not out.exists()
