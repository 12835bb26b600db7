"""What a run ends with: each file whole or as it was; a figure that cannot be drawn takes nothing else with it."""

import errno
import os
import sys

import pytest
from programs import SMALL, fails, run

from minicnn import plot
from minicnn.cli.output import _save_pictures
from minicnn.cli.pictures import RandomPictures
from minicnn.data import CenterCrop, DataLoader
from minicnn.train import load_checkpoint, save_checkpoint

RESULTS = {"summary.json", "curves.png", "filters.png", "pictures.png"}


def broken(error):
    def draw(what, file, *args, **options):
        file.write(b"half")
        raise error

    return draw


@pytest.mark.parametrize(
    ("function", "name", "error"),
    [
        ("save_curves", "curves.png", RuntimeError("no font\nat all")),
        ("save_filters", "filters.png", OSError(errno.ENOSPC, "No space left")),
        ("save_curves", "curves.png", MemoryError()),
    ],
)
def test_a_figure_that_fails(ours, capsys, monkeypatch, function, name, error):
    """The old one stays, the others are drawn, and the same command draws it when the reason has gone."""
    before = {path.name: path.read_bytes() for path in ours.iterdir()}
    for other in RESULTS - {name}:
        (ours / other).unlink()
    words = ("--resume", ours / "checkpoint_last.npz")
    with monkeypatch.context() as patch:
        patch.setattr(plot, function, broken(error))
        err = fails(capsys, *words)
    reason = {RuntimeError: "no font", OSError: "No space left", MemoryError: "MemoryError"}[type(error)]
    assert "log.csv and checkpoints are whole" in err and f": {name} ({reason}); to try again: python" in err
    found = {path.name: path.read_bytes() for path in ours.iterdir() if path.name != "args.json"}
    assert found.keys() == before.keys() - {"args.json"}
    assert found[name] == before[name] and found["checkpoint_last.npz"] == before["checkpoint_last.npz"]
    (ours / name).unlink()
    assert run(*words) == 0
    assert (ours / name).read_bytes() == before[name]


def test_several_that_fail_are_one_line(ours, capsys, monkeypatch):
    for function in ("save_curves", "save_filters"):
        monkeypatch.setattr(plot, function, broken(ValueError("odd")))
    err = fails(capsys, "--resume", ours / "checkpoint_last.npz")
    assert "curves.png (odd), filters.png (odd)" in err


def test_a_run_that_needs_tensorboard_goes_on_without_it(ours, capsys, monkeypatch, pictures):
    """Its checkpoint remembers the flag; the package has gone since."""
    path = ours / "checkpoint_last.npz"
    state = load_checkpoint(path)
    state["settings"]["tensorboard"] = True
    save_checkpoint(path, state)
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    before = {path: path.read_bytes() for path in ours.iterdir()}
    assert "--no-tensorboard" in fails(capsys, "--epochs 3 --resume", path)
    assert {path: path.read_bytes() for path in ours.iterdir()} == before
    assert run("--epochs 3 --no-tensorboard --resume", path) == 0
    assert load_checkpoint(path)["settings"]["tensorboard"] is False


def test_a_run_without_a_report(pictures, tmp_path, capsys):
    """Nor what it is made of; and one that goes on may have it."""
    folder = tmp_path / "run"
    assert run(pictures, SMALL, "--no-report --output-dir", folder) == 0
    assert not any("report" in path.name for path in folder.iterdir())
    assert "report" not in capsys.readouterr().out.splitlines()[-1]
    path = folder / "checkpoint_last.npz"
    assert run("--epochs 2 --resume", path) == 0  # it remembers
    assert not any("report" in path.name for path in folder.iterdir())
    assert run("--epochs 3 --report --resume", path) == 0
    assert {"report.html", "report.npz"} <= {path.name for path in folder.iterdir()}
    assert capsys.readouterr().out.rstrip().endswith("report.html")
    page = (folder / "report.html").read_bytes()
    assert run("--epochs 4 --no-report --resume", path) == 0
    assert (folder / "report.html").read_bytes() == page and "report" not in capsys.readouterr().out.splitlines()[-1]


def test_a_checkpoint_of_before_there_was_the_choice(ours):
    path = ours / "checkpoint_last.npz"
    state = load_checkpoint(path)
    del state["settings"]["report"]
    save_checkpoint(path, state)
    (ours / "report.html").unlink()
    assert run("--epochs 3 --resume", path) == 0 and (ours / "report.html").exists()


def test_args_json_on_a_full_disk(pictures, tmp_path, capsys, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        err = fails(capsys, pictures, SMALL, "--output-dir", tmp_path / "run")
    assert "No space left" in err and str(tmp_path / "run" / "args.json") in err
    assert not list((tmp_path / "run").iterdir())


def test_a_rank_draws_the_whole_batch(tmp_path):
    for part in ((0, 1), (0, 2), (0, 9)):  # of nine, the first has none of four rows
        loader = DataLoader(RandomPictures(6, 0, 3, 20), 4, transform=CenterCrop(16), part=part)
        with open(tmp_path / f"{part[1]}.png", "wb") as file:
            _save_pictures(loader, file)
        assert loader.part == part
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1
