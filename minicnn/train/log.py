"""What a run tells: log.csv (a row an epoch), progress on the screen, and TensorBoard for those who want it."""

import csv
import io
import os
from pathlib import Path

from tqdm import tqdm

from .. import console
from .files import atomic_write
from .setting import SettingError

COLUMNS = (
    "epoch",
    "lr",
    "train_loss",
    "train_top1",
    "train_top5",
    "val_loss",
    "val_top1",
    "val_top5",
    "seconds",
    "data_seconds",
    "images_per_second",
)
TIME_COLUMNS = ("seconds", "data_seconds", "images_per_second")  # the others are the same whenever a run is repeated


class Log:
    """log.csv in `folder`, and a TensorBoard event file beside it on request.

    epochs_done: rows of later epochs are dropped, for a run that was killed may have gone past its checkpoint.
    """

    def __init__(self, folder, epochs_done=0, tensorboard=False):
        self.path = Path(folder) / "log.csv"
        rows = [row for row in read_log(self.path) if int(row["epoch"]) <= epochs_done]
        with atomic_write(self.path) as file:
            file.write("".join(map(_line, [dict(zip(COLUMNS, COLUMNS, strict=True)), *rows])).encode())
        self.board = summary_writer()(str(folder)) if tensorboard else None

    def add(self, row):
        """Append a row, {column: value}, so that it stands on the disk before this returns."""
        texts = {name: f"{value:.6g}" if isinstance(value, float) else value for name, value in row.items()}
        with open(self.path, "a", newline="") as file:
            file.write(_line(texts))
            file.flush()
            os.fsync(file.fileno())
        if self.board:
            for name, value in row.items():
                self.board.add_scalar(name.replace("_", "/", 1), value, row["epoch"])
            self.board.flush()


def read_log(path):
    """The rows of a log.csv as dicts of text; none if there is no file. A row that a kill cut short is left out."""
    path = Path(path)
    if not path.exists():
        return []
    whole_lines = [line for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]
    return list(csv.DictReader(whole_lines))


def _line(row):
    text = io.StringIO()
    csv.DictWriter(text, COLUMNS, lineterminator="\n").writerow(row)
    return text.getvalue()


def summary_writer():
    """tensorboardX's class, from a package that need not be there; SettingError without it."""
    try:
        from tensorboardX import SummaryWriter
    except ImportError:
        raise SettingError(
            "--tensorboard needs the package tensorboardX; pip install 'minicnn[tensorboard]', or leave the flag out"
        ) from None
    return SummaryWriter


class Progress:
    """How far a pass over a loader is: a bar on a terminal, a plain line every `every` batches elsewhere."""

    def __init__(self, title, total, done=0, every=10):
        self.title, self.total, self.every = title, total, every
        self.bar = None
        if console.interactive():
            self.bar = tqdm(total=total, initial=done, desc=title, leave=False, unit="batch", file=console.stderr)

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        if self.bar is not None:
            self.bar.close()

    def update(self, done, text):
        """`done` batches of all are through."""
        if self.bar is not None:
            self.bar.set_postfix_str(text, refresh=False)
            self.bar.update(done - self.bar.n)
        elif done % self.every == 0:
            console.say(f"{self.title}  {done}/{self.total}  {text}")
