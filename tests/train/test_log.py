"""log.csv through kills and resumes."""

import errno
import os

import numpy as np
import pytest

from minicnn import console
from minicnn.runlog import COLUMNS, LogError, read_log
from minicnn.train.log import Log, epoch_line
from minicnn.train.meters import Scores

ROW = {
    "lr": 0.01,
    "train_loss": 1 / 3,
    "train_top1": 50.0,
    "train_top5": 99.0,
    "val_loss": 2.0,
    "val_top1": 40.0,
    "val_top5": 90.0,
    "seconds": 12.345678,
    "data_seconds": 0.1,
    "images_per_second": 100.0,
}


def write(folder, epochs):
    log = Log(folder)
    for epoch in epochs:
        log.add({"epoch": epoch, **ROW})
    return folder / "log.csv"


def test_rows(tmp_path):
    path = write(tmp_path, [1, 2])
    assert path.read_text().splitlines()[0] == ",".join(COLUMNS)
    first, second = read_log(path)
    assert (first["epoch"], second["epoch"]) == ("1", "2")
    assert (first["train_loss"], first["seconds"]) == ("0.333333", "12.3457")


def test_without_validation_the_columns_are_empty(tmp_path):
    Log(tmp_path).add({"epoch": 1, "lr": 0.1, "train_loss": 1.0})
    (row,) = read_log(tmp_path / "log.csv")
    assert row["val_top1"] == "" and set(row) == set(COLUMNS)


def test_a_new_run_begins_a_new_log(tmp_path):
    path = write(tmp_path, [1, 2])
    Log(tmp_path)
    assert read_log(path) == []


def test_resuming_drops_rows_beyond_the_checkpoint(tmp_path):
    path = write(tmp_path, [1, 2, 3, 4])
    before = path.read_text().splitlines(keepends=True)
    log = Log(tmp_path, epochs_done=2)
    assert path.read_text() == "".join(before[:3])
    log.add({"epoch": 3, **ROW})
    assert path.read_text() == "".join(before[:4])


@pytest.mark.parametrize("cut", range(1, 40, 5))
def test_a_row_that_a_kill_cut_short_is_dropped(tmp_path, cut):
    path = write(tmp_path, [1, 2])
    whole = path.read_text()
    path.write_text(whole[:-cut])
    Log(tmp_path, epochs_done=1)
    assert path.read_text() == "".join(whole.splitlines(keepends=True)[:2])


def test_a_row_cut_within_its_number_is_not_another_row(tmp_path):
    path = write(tmp_path, range(1, 12))
    rows = path.read_text().splitlines(keepends=True)
    path.write_text("".join(rows[:-1]) + "1")  # of "11,..."
    Log(tmp_path, epochs_done=10)
    assert path.read_text() == "".join(rows[:-1])


# A log that something has happened to

ROWS = "".join(f"{epoch},0.1,1,50,99,2,40,90,1.5,0.1,100\n" for epoch in (1, 2, 3))
GOOD = ",".join(COLUMNS) + "\n" + ROWS


def edit(old, new, count=1):
    return GOOD.replace(old, new, count).encode()


DAMAGES = {  # what the file holds, and which of the epochs up to the second can be taken over
    "binary": (b"\x89PNG\r\n\x1a\n\0\xff\xfe", []),
    "no line end": (b"buy milk", []),
    "other text": (b"buy milk\nand bread\n", []),
    "no epochs named": (edit("epoch", "era"), []),
    "a column named twice": (edit("lr", "epoch"), []),
    "a column missing": (edit("data_seconds,", ""), []),
    "another column": (edit("lr,", "lr,note,").replace(b",0.1,1,", b",0.1,good,1,"), ["1", "2"]),
    "text for a number": (edit("1,0.1,1,", "1,0.1,much,"), ["2"]),
    "no finite number": (edit("1,0.1,1,", "1,0.1,nan,"), ["2"]),
    "text for an epoch": (edit("2,0.1,1,", "two,0.1,1,"), ["1"]),
    "an endless epoch": (edit("2,0.1,1,", "9" * 5000 + ",0.1,1,"), ["1"]),
    "too short": (edit("2,0.1,1,", "2,0.1"), ["1"]),
    "too long": (edit("2,0.1,1,", "2,0.1,1,1,1,1,"), ["1"]),
    "a quote": (edit("1,0.1", '1,"0.1'), ["2"]),
    "a NUL": (edit("1,0.1", "1,0\0.1"), ["2"]),
    "an epoch twice": ((GOOD + ROWS).encode(), ["1", "2"]),
    "epochs in disorder": ((GOOD.splitlines(keepends=True)[0] + "".join(reversed(ROWS.splitlines(True)))).encode(), []),
    "far ahead": ((GOOD + ROWS.replace("3,", "4,", 1)[-len(ROWS) // 3 :]).encode(), ["1", "2"]),
}


@pytest.mark.parametrize("what", DAMAGES)
def test_a_run_goes_on_with_a_damaged_log_and_keeps_it(tmp_path, capsys, what):
    content, epochs = DAMAGES[what]
    path = tmp_path / "log.csv"
    path.write_bytes(content)
    (tmp_path / "log-1.csv").write_text("mine")
    Log(tmp_path, epochs_done=2).add({"epoch": 3, **ROW})
    assert [row["epoch"] for row in read_log(path, COLUMNS)] == [*epochs, "3"]
    assert (tmp_path / "log-2.csv").read_bytes() == content
    assert (tmp_path / "log-1.csv").read_text() == "mine"
    said = capsys.readouterr().out
    assert said.startswith(f"note: {path} is kept as log-2.csv: ") and said.count("\n") == 1


@pytest.mark.parametrize("content", [edit("", ""), edit("", "")[:-5], edit("\n", "\r\n", 9), edit("", "\ufeff")])
def test_a_log_that_only_a_kill_or_an_editor_has_touched_is_not_kept(tmp_path, capsys, content):
    (tmp_path / "log.csv").write_bytes(content)
    Log(tmp_path, epochs_done=2)
    assert [path.name for path in tmp_path.iterdir()] == ["log.csv"] and not capsys.readouterr().out
    assert (tmp_path / "log.csv").read_text() == "".join(GOOD.splitlines(keepends=True)[:3])


@pytest.mark.parametrize("what", [what for what in DAMAGES if what not in ("another column", "far ahead")])
def test_reading_a_damaged_log_is_one_error(tmp_path, what):
    (tmp_path / "log.csv").write_bytes(DAMAGES[what][0])
    with pytest.raises(LogError, match=r"log\.csv is not the log of a run: ") as caught:
        read_log(tmp_path / "log.csv", COLUMNS)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500


def test_a_log_that_is_a_folder_or_a_pipe(tmp_path):
    (tmp_path / "log.csv").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for function, argument in ((Log, tmp_path), (read_log, tmp_path / "log.csv"), (read_log, tmp_path / "pipe")):
        with pytest.raises(LogError, match="is no file"):
            function(argument)


def test_a_log_that_cannot_be_read(tmp_path, monkeypatch):
    path = write(tmp_path, [1])

    def refuse(path):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr("pathlib.Path.read_bytes", refuse)
    for function in (lambda: Log(tmp_path, 1), lambda: read_log(path)):
        with pytest.raises(LogError, match=r"cannot read .*log\.csv: Permission denied"):
            function()


def test_a_disk_that_is_full_when_a_row_is_added(tmp_path, monkeypatch):
    path = write(tmp_path, [1])
    log, before = Log(tmp_path, 1), path.read_bytes()

    def full(file):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("minicnn.train.log.sync", full)
        with pytest.raises(LogError, match=r"cannot write .*log\.csv: No space left.* go on from the last checkpoint"):
            log.add({"epoch": 2, **ROW})
    assert path.read_bytes().startswith(before)
    with monkeypatch.context() as patch:
        patch.setattr("minicnn.storage.files.sync", full)
        with pytest.raises(LogError, match="No space left"):
            Log(tmp_path, 1)
    assert path.read_bytes().startswith(before)


def test_an_epochs_line_is_two_in_a_narrow_terminal(monkeypatch):
    scores = Scores()
    scores.update(0.25, np.eye(6), np.arange(6))
    one = "epoch 3/15  train: loss 0.250  top-1 100.0 %  top-5 100.0 %   val: loss 0.250  top-1 100.0 %  top-5 100.0 %"
    one += "   lr 0.005  1:03"
    assert epoch_line("epoch 3/15", scores, scores, 0.005, 63) == one
    monkeypatch.setattr(console, "interactive", lambda: True)
    for columns, lines in [(len(one) + 1, [one]), (len(one), None), (80, None)]:
        monkeypatch.setattr(console, "columns", lambda columns=columns: columns)
        lines = lines or [
            "epoch 3/15  train: loss 0.250  top-1 100.0 %  top-5 100.0 %   lr 0.005  1:03",
            "            val:   loss 0.250  top-1 100.0 %  top-5 100.0 %",
        ]
        assert epoch_line("epoch 3/15", scores, scores, 0.005, 63).splitlines() == lines
    assert "\n" not in epoch_line("epoch 3/15", scores, None, 0.005, 63)
