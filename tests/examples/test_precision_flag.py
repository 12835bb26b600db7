"""--precision: what a run computes in, what its checkpoint says of it, and what is refused."""

import re
import sys

import pytest
from paths import EXAMPLES
from programs import load_example, run

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


def test_what_only_a_gpu_has_is_refused_before_the_run(folder, tmp_path, capsys):
    out = tmp_path / "run"
    assert run(folder, SMALL, "--precision tf32 --output-dir", out, program=example) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and all(part in err for part in ("--precision tf32", "'cpu'", "bfloat16"))
    assert not out.exists()
