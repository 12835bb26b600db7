"""Where minicnn keeps what it has drawn, downloaded or compiled."""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path


class CacheError(OSError):
    """The cache folder cannot be used; the text says why, and how to choose another."""


def cache_dir() -> Path:
    """The cache folder: MINICNN_CACHE, else minicnn in the system's place for caches: ~/.cache or XDG_CACHE_HOME,
    ~/Library/Caches on macOS, LOCALAPPDATA on Windows.

    CacheError where there is neither a variable nor a home folder.
    """
    try:
        chosen = os.environ.get("MINICNN_CACHE")
        return Path(chosen).expanduser() if chosen else _place_for_caches() / "minicnn"
    except (RuntimeError, LookupError) as error:  # a user whom the system does not know, without HOME
        advice = "set the variable MINICNN_CACHE to a folder for them"
        raise CacheError(f"there is no home folder to keep files in; {advice}") from error


def _place_for_caches():
    """The system's, where each program has a folder of its own."""
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    name, usual = ("LOCALAPPDATA", "AppData/Local") if sys.platform == "win32" else ("XDG_CACHE_HOME", ".cache")
    given = os.environ.get(name, "")
    return Path(given) if Path(given).is_absolute() else Path.home() / usual  # an empty or relative one does not count


@contextlib.contextmanager
def keeping_in(folder: Path | str) -> Iterator[None]:
    """Inside, files are written in `folder`: whatever the system objects to becomes a CacheError with the way out."""
    try:
        yield
    except CacheError:
        raise
    except OSError as error:
        advice = "the variable MINICNN_CACHE chooses another cache folder"
        raise CacheError(f"nothing can be kept in {folder}: {error.strerror or error}; {advice}") from error
