"""What a run has left in its folder that was stopped before its first checkpoint: nothing that anybody would miss.

Whoever starts the same run once more need not clean up: the folder is cleared, if every single thing in it is such a
leftover, and the run begins anew. Anything else is somebody's, and then nothing is touched.
"""

import json
import stat
from pathlib import Path

from ..runlog import COLUMNS, LogError, parse_log, read_bytes
from ..storage.files import SUFFIX
from ..storage.lock import LOCK

ARGUMENTS, LOG = "args.json", "log.csv"
EVENTS = "events.out.tfevents."  # TensorBoard's files
LARGEST = 1 << 20  # bytes of an args.json; there are a few thousand


def foreign(folder: Path) -> Path | None:
    """The first thing in `folder` that is no leftover, as a path; None if there is none."""
    return next((path for path in sorted(folder.iterdir()) if not _is_leftover(path)), None)


def clear(folder: Path) -> None:
    """Remove everything from a folder in which nothing is foreign."""
    for path in folder.iterdir():
        if path.is_dir():
            clear(path)
            path.rmdir()
        elif path.name != LOCK:  # which is in use
            path.unlink()


def _is_leftover(path):
    mode = path.lstat().st_mode
    if stat.S_ISDIR(mode):  # of a program that runs several trainings
        entries = list(path.iterdir())
        return bool(entries) and all(map(_is_leftover, entries))
    return stat.S_ISREG(mode) and (
        path.name == LOCK
        or (path.name.startswith(".") and path.name.endswith(SUFFIX))
        or path.name.startswith(EVENTS)
        or (path.name == ARGUMENTS and _are_arguments(path))
        or (path.name == LOG and _is_new(path))
    )


def _are_arguments(path):
    """Whether it is the record of a call of one of these programs."""
    try:
        found = json.loads(path.read_bytes()) if path.stat().st_size < LARGEST else None
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(found, dict) and {"arch", "output_dir", "resume", "environment"} <= found.keys()


def _is_new(path):
    """Whether it is a log of one epoch at most: its row is written before the epoch's checkpoint is."""
    try:
        rows, problem = parse_log(read_bytes(path), COLUMNS)
    except LogError:
        return False
    return not problem and [row["epoch"] for row in rows] in ([], ["1"])
