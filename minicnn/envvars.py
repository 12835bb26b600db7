"""The variables of the environment that minicnn looks at: MINICNN_THREADS, MINICNN_AWAKE, MINICNN_CPU,
MINICNN_EMULATE_GPU, MINICNN_SYNC, MINICNN_HOPPER.

An empty one counts as not set. (MINICNN_CACHE, a folder, is cache.py's.)
"""

import os

ON, OFF = ("1", "true", "yes", "on"), ("0", "false", "no", "off")


class EnvVarError(ValueError):
    """A variable is set to what it cannot be; the text names it, the value, and what it can be."""


def switch(name: str, default: bool) -> bool:
    """Whether the variable is on: 1, true, yes, on; or off: 0, false, no, off. EnvVarError for anything else."""
    value = os.environ.get(name, "").strip().lower()
    if value in ON or value in OFF:
        return value in ON
    if value:
        raise EnvVarError(f"{name} must be 1 or 0 (on or off), got {os.environ[name]!r}")
    return default


def whole(name: str, most: int) -> int | None:
    """The whole number from 1 to `most` that the variable is; None if it is not set. EnvVarError."""
    value = os.environ.get(name, "").strip()
    if not value:
        return None
    if not value.isdecimal() or not 1 <= int(value[:20]) <= most:
        raise EnvVarError(f"{name} must be a whole number from 1 to {most}, got {os.environ[name]!r}")
    return int(value)


def one_of(name: str, choices: tuple[str, ...]) -> str | None:
    """The one of `choices` that the variable is, in upper or lower case; None if it is not set. EnvVarError."""
    value = os.environ.get(name, "").strip().lower()
    if value and value not in choices:
        raise EnvVarError(f"{name} must be one of {', '.join(choices)}, got {os.environ[name]!r}")
    return value or None
