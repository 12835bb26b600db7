"""A run that stopped before its first checkpoint is started again by the same command; nothing else is ever removed."""

import json
import re
import shutil
import signal

import pytest
from programs import SMALL, fails, run

from minicnn.cli.leftovers import clear, foreign
from minicnn.data import DataError
from minicnn.runlog import COLUMNS
from minicnn.storage.files import SUFFIX
from minicnn.storage.lock import LOCK
from minicnn.train.interrupt import Ended
from minicnn.train.trainer import BEST, LAST, Trainer

HEAD = ",".join(COLUMNS) + "\n"
ROWS = [f"{epoch},0.1,1,50,99,2,40,90,1.5,0.1,100\n" for epoch in (1, 2)]


@pytest.fixture
def left(trained, tmp_path):
    """All that such a run can leave."""
    folder = tmp_path / "left"
    folder.mkdir()
    shutil.copy(trained / "args.json", folder)
    (folder / "log.csv").write_text(HEAD + ROWS[0])
    for name in (LOCK, f".{LAST}.12345678{SUFFIX}", "events.out.tfevents.1700000000.host"):
        (folder / name).write_bytes(b"left")
    return folder


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def stop(*args):
    raise Ended(signal.SIGTERM)


@pytest.mark.parametrize("where", ["running", "train_batch", "save"])  # before training, in it, at the first checkpoint
def test_the_same_command_begins_anew(pictures, tmp_path, monkeypatch, where):
    words = (pictures, SMALL, "--output-dir", tmp_path / "run")
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, where, stop)
        assert run(*words) == 143
    assert (tmp_path / "run" / "args.json").exists() and not (tmp_path / "run" / LAST).exists()
    assert run(*words) == 0
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert {LAST, BEST, "summary.json"} <= names and not any(name.startswith(".") for name in names)


def test_what_is_left_is_cleared(left):
    assert foreign(left) is None
    clear(left)
    assert [path.name for path in left.iterdir()] == [LOCK]  # it is in use


def test_so_are_the_folders_of_several_runs(left, tmp_path):
    shutil.copytree(left, tmp_path / "outer" / "option1")
    assert foreign(tmp_path / "outer") is None
    (tmp_path / "outer" / "option1" / "notes").write_text("mine")
    assert foreign(tmp_path / "outer") == tmp_path / "outer" / "option1"
    shutil.rmtree(tmp_path / "outer" / "option1")
    (tmp_path / "outer" / "empty").mkdir()
    assert foreign(tmp_path / "outer") == tmp_path / "outer" / "empty"


def link_log(left):
    (left / "log.csv").rename(left.parent / "mine")
    (left / "log.csv").symlink_to(left.parent / "mine")


SOMEBODYS = {
    "a checkpoint": (lambda left: (left / LAST).write_bytes(b"x"), f"pass --resume .*{LAST} to go on"),
    "the best checkpoint": (lambda left: (left / BEST).write_bytes(b"x"), f"pass --resume .*{BEST} to go on"),
    "a log of two epochs": (
        lambda left: (left / "log.csv").write_text(HEAD + "".join(ROWS)),
        r"there is log\.csv; choose another",
    ),
    "another log": (lambda left: (left / "log.csv").write_text("my,log\n"), r"there is log\.csv; choose"),
    "a log behind a link": (link_log, r"there is log\.csv; choose"),
    "other arguments": (lambda left: (left / "args.json").write_text('{"arch": 1}'), r"there is args\.json; choose"),
    "no arguments": (lambda left: (left / "args.json").write_text("[" * 100_000), r"there is args\.json; choose"),
    "a summary": (lambda left: (left / "summary.json").write_text("{}"), r"there is summary\.json; choose"),
    "a picture": (lambda left: (left / "cat.jpg").write_bytes(b"x"), r"there is cat\.jpg; choose"),
    "a hidden file": (lambda left: (left / ".mine").write_bytes(b"x"), r"there is \.mine; choose"),
    "a folder": (lambda left: (left / "events.out.tfevents.1").mkdir(), r"there is events\.out\.tfevents\.1; choose"),
}


@pytest.mark.parametrize("what", SOMEBODYS)
def test_nothing_of_somebody_else_is_touched(pictures, left, capsys, what):
    add, message = SOMEBODYS[what]
    add(left)
    before = contents(left)
    err = fails(capsys, pictures, SMALL, "--output-dir", left)
    before.pop(left / LOCK)
    assert contents(left) == before
    assert re.search(f"{left} is not empty.*{message}", err), err


def test_a_resumed_run_is_not_begun_anew(trained, ours, capsys):
    """Not even if nothing else is left of it but the checkpoint that is gone on from."""
    for path in ours.iterdir():
        if path.name not in (LAST, "args.json"):
            path.unlink()
    assert run("--epochs 3 --resume", ours / LAST) == 0
    assert json.loads((ours / "summary.json").read_text())["epochs"] == 3


def test_a_run_that_found_no_pictures_can_be_started_again(pictures, tmp_path, capsys, monkeypatch):
    def unreadable(*args):
        raise DataError("gone")

    words = (pictures, SMALL, "--output-dir", tmp_path / "run")
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "train_epoch", unreadable)
        assert "gone" in fails(capsys, *words)
    assert run(*words) == 0
