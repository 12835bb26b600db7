"""Writing files so that a crash, a full disk or a kill leaves the old one or the new one, and never half of it."""

import contextlib
import json
import os
import secrets
from pathlib import Path

SUFFIX = ".unfinished"


@contextlib.contextmanager
def atomic_write(path):
    """``with atomic_write(path) as file:`` write bytes; they stand under `path` at the end of the block, or not at all.

    The bytes go to a file beside it, reach the disk (fsync) and only then take the name, in one step (os.replace).
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}{SUFFIX}")  # no other process writes to it
    try:
        with open(temporary, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def write_json(path, value):
    """`value` as a JSON file, for people to read."""
    with atomic_write(path) as file:
        file.write((json.dumps(value, indent=2, default=str) + "\n").encode())


def sweep(folder):
    """Remove what a killed run was about to write in `folder`."""
    for leftover in Path(folder).glob(f".*{SUFFIX}"):
        leftover.unlink(missing_ok=True)


def _sync_folder(folder):
    """Make the new name itself last through a power cut."""
    if os.name == "nt":  # a folder cannot be opened there
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
