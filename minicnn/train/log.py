"""What a run writes down: log.csv, a row an epoch, and a line an epoch on the screen."""

import contextlib
import csv
import io
from itertools import count
from pathlib import Path

from .. import console
from ..clock import duration
from ..runlog import COLUMNS, TIME_COLUMNS, LogError, parse_log, read_bytes
from ..storage.files import atomic_write, sync
from .meters import Scores


class Log:
    """log.csv in `folder`.

    epochs_done: rows of later epochs are left out, for a run that was killed may have gone past its checkpoint. If
    anything else is left out, because the file is damaged or far ahead, it is kept beside the new one.
    LogError if the file cannot be read or written.
    """

    def __init__(self, folder: Path | str, epochs_done: int = 0) -> None:
        self.path = Path(folder) / "log.csv"
        content = read_bytes(self.path)
        rows, problem = parse_log(content, COLUMNS)
        epochs = [int(row["epoch"]) for row in rows]
        if not problem and epochs and epochs[-1] > epochs_done + 1:  # that one will be written again, the same
            problem = f"it has {epochs[-1]} epochs, and the run goes on after {epochs_done}"
        if not problem and rows and len(rows[0]) > len(COLUMNS):
            problem = f"it has more columns than {', '.join(COLUMNS)}"
        kept = [row for row in rows if int(row["epoch"]) <= epochs_done]
        with self._writing():
            if problem:
                self._keep(content, f"{problem}; {len(kept)} of its epochs are taken over")
            with atomic_write(self.path) as file:
                file.write("".join(map(_line, [dict(zip(COLUMNS, COLUMNS, strict=True)), *kept])).encode())

    def add(self, row: dict[str, float]) -> None:
        """Append a row, {column: value}, so that it stands on the disk before this returns."""
        texts = {name: f"{value:.6g}" if isinstance(value, float) else value for name, value in row.items()}
        with self._writing(), open(self.path, "ab") as file:
            file.write(_line(texts).encode())
            sync(file)

    def _keep(self, content, why):
        """Put aside what stood in the file."""
        numbered = (self.path.with_name(f"log-{number}.csv") for number in count(1))
        aside = next(path for path in numbered if not path.exists())
        with atomic_write(aside) as file:
            file.write(content)
        console.say(f"note: {self.path} is kept as {aside.name}: {why}")

    @contextlib.contextmanager
    def _writing(self):
        try:
            yield
        except OSError as error:
            advice = "make room or make it writable, and go on from the last checkpoint"
            raise LogError(f"cannot write {self.path}: {error.strerror or error}; {advice}") from error


def _line(row):
    text = io.StringIO()
    csv.DictWriter(text, COLUMNS, lineterminator="\n", extrasaction="ignore").writerow(row)
    return text.getvalue()


def log_row(
    epoch: int, lr: float, train: Scores, val: Scores | None, times: tuple[float, float, float]
) -> dict[str, float]:
    """The row of an epoch, {column: value}; without validation, without its columns. times: TIME_COLUMNS."""
    scores = {f"train_{name}": value for name, value in train.values().items()}
    if val is not None:
        scores |= {f"val_{name}": value for name, value in val.values().items()}
    return {"epoch": epoch, "lr": lr, **scores, **dict(zip(TIME_COLUMNS, times, strict=True))}


def epoch_line(title: str, train: Scores, val: Scores | None, lr: float, seconds: float) -> str:
    """What an epoch came to, in one line; where the terminal is too narrow for that, in two."""
    end = f"   lr {lr:.3g}  {duration(seconds)}"
    line = f"{title}  train: {train}" + (f"   val: {val}" if val else "") + end
    if val and console.interactive() and len(line) >= console.columns():
        return f"{title}  train: {train}{end}\n{' ' * len(title)}  val:   {val}"
    return line
