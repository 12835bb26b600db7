"""log.csv, a row an epoch: its columns, and how it is read, whatever may have happened to it.

Lines are looked at one by one: a quote or half a line that has got into one of them does not swallow the others.
"""

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path

TIME_COLUMNS = ("seconds", "data_seconds", "images_per_second")  # the others are the same whenever a run is repeated
COLUMNS = ("epoch", "lr", "train_loss", "train_top1", "train_top5", "val_loss", "val_top1", "val_top5", *TIME_COLUMNS)


class LogError(ValueError):
    """A log.csv that cannot be used or written; the message names the file and says what is wrong with it."""


def read_log(path: Path | str, columns: Sequence[str] = ("epoch",)) -> list[dict[str, str]]:
    """The rows of a log.csv, {column: text}; none if there is no file. A last line that was cut short is left out.

    LogError unless it has at least these columns, a number or nothing in each, and epochs one after another.
    """
    rows, problem = parse_log(read_bytes(path), columns)
    if problem:
        raise LogError(f"{path} is not the log of a run: {problem}")
    return rows


def read_bytes(path: Path | str) -> bytes:
    """What stands in the log at `path`; nothing if there is no file. LogError if it cannot be read."""
    path = Path(path)
    try:
        if path.exists() and not path.is_file():
            raise LogError(f"{path} is no file, and the log of a run would stand there; move it away")
        return path.read_bytes() if path.exists() else b""
    except OSError as error:
        raise LogError(f"cannot read {path}: {error.strerror or error}; move it away, or make it readable") from error


def parse_log(content: bytes, columns: Sequence[str]) -> tuple[list[dict[str, str]], str | None]:
    """(rows that are in order, what is wrong with the first of the others or with all of it; None if nothing is)."""
    try:
        lines = [line for line in io.StringIO(content.decode("utf-8-sig"), newline=None) if line.endswith("\n")]
    except UnicodeDecodeError:
        return [], "it is no text"
    if not lines:
        return [], "its first line is not whole" if content else None
    header = _fields(lines[0])
    if missing := [name for name in columns if header.count(name) != 1]:
        return [], f"its first line does not name {', '.join(missing)} once"
    rows, problems, latest = [], [], 0
    for number, line in enumerate(lines[1:], 2):
        fields = _fields(line)
        row = dict(zip(header, fields, strict=False))
        if len(fields) != len(header) or not all(_is_number(row[name]) for name in columns if name != "epoch"):
            problems.append(f"line {number} does not have a number, or nothing, in each column")
        elif not (_is_whole(row["epoch"]) and latest < int(row["epoch"])):
            problems.append(f"the epoch of line {number} is {row['epoch'][:20]!r}, after {latest}")
        else:
            latest = int(row["epoch"])
            rows.append(row)
    return rows, problems[0] if problems else None


def _fields(line):
    """The fields of one line; none if they cannot be told apart."""
    try:
        return next(csv.reader([line], strict=True), [])
    except csv.Error:
        return []


def _is_whole(text):
    return text.isascii() and text.isdigit() and len(text) < 19


def _is_number(text):
    try:
        return not text or math.isfinite(float(text))
    except ValueError:
        return False
