"""Where minicnn keeps what it has drawn or downloaded."""

import os
import sys
from pathlib import Path


def cache_dir():
    """The cache folder: MINICNN_CACHE, else the system's place for caches (XDG_CACHE_HOME, LOCALAPPDATA) / minicnn."""
    if chosen := os.environ.get("MINICNN_CACHE"):
        return Path(chosen)
    variable, fallback = ("LOCALAPPDATA", "AppData/Local") if sys.platform == "win32" else ("XDG_CACHE_HOME", ".cache")
    return Path(os.environ.get(variable) or Path.home() / fallback) / "minicnn"
