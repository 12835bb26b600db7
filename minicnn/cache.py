"""Where minicnn keeps what it has drawn, downloaded or compiled."""

import contextlib
import os
import sys
from pathlib import Path


class CacheError(OSError):
    """The cache folder cannot be used; the text says why, and how to choose another."""


def cache_dir():
    """The cache folder: MINICNN_CACHE, else the system's place for caches (XDG_CACHE_HOME, LOCALAPPDATA) / minicnn.

    CacheError where there is neither a variable nor a home folder.
    """
    variable, fallback = ("LOCALAPPDATA", "AppData/Local") if sys.platform == "win32" else ("XDG_CACHE_HOME", ".cache")
    try:
        if chosen := os.environ.get("MINICNN_CACHE"):
            return Path(chosen).expanduser()
        return Path(os.environ.get(variable) or Path.home() / fallback) / "minicnn"
    except RuntimeError as error:  # a user without an entry in the system's list, and without HOME
        raise CacheError(
            "there is no home folder to keep files in; set the variable MINICNN_CACHE to a folder for them"
        ) from error


@contextlib.contextmanager
def keeping_in(folder):
    """Inside, files are written in `folder`: whatever the system objects to becomes a CacheError with the way out."""
    try:
        yield
    except CacheError:
        raise
    except OSError as error:
        raise CacheError(
            f"nothing can be kept in {folder}: {error.strerror or error}; the variable MINICNN_CACHE chooses another "
            "cache folder"
        ) from error
