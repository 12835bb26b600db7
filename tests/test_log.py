"""log.csv through kills and resumes; progress as plain lines; TensorBoard only if it is there."""

import sys

import pytest

from minicnn.train.log import COLUMNS, Log, Progress, read_log

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


def test_plain_lines_where_there_is_no_terminal(capsys):
    with Progress("epoch 1/2", total=7, done=2, every=3) as progress:
        for done in range(3, 8):
            progress.update(done, f"loss {done}")
    assert capsys.readouterr().out == "epoch 1/2  3/7  loss 3\nepoch 1/2  6/7  loss 6\n"


def test_a_bar_on_a_terminal(capsys, monkeypatch):
    for stream in (sys.stdout, sys.stderr):
        monkeypatch.setattr(stream, "isatty", lambda: True)
    with Progress("epoch 1/2", total=7, done=2) as progress:
        progress.update(3, "loss 3")
        assert (progress.bar.n, progress.bar.total) == (3, 7)
    captured = capsys.readouterr()
    assert captured.out == "" and "epoch 1/2" in captured.err


def test_tensorboard_missing(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(ValueError, match=r"needs the package tensorboardX; pip install"):
        Log(tmp_path, tensorboard=True)


def test_tensorboard(tmp_path, monkeypatch):
    scalars = []

    class Board:
        def __init__(self, folder):
            assert folder == str(tmp_path)

        def add_scalar(self, *args):
            scalars.append(args)

        def flush(self):
            pass

    monkeypatch.setitem(sys.modules, "tensorboardX", type(sys)("tensorboardX"))
    monkeypatch.setattr(sys.modules["tensorboardX"], "SummaryWriter", Board, raising=False)
    Log(tmp_path, tensorboard=True).add({"epoch": 4, **ROW})
    assert ("val/top1", 40.0, 4) in scalars
    assert ("lr", 0.01, 4) in scalars
