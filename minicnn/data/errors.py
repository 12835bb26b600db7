"""The errors of data sets, and how their messages write the name of a file."""

from typing import Any


class DataError(ValueError):
    """The data set cannot be used as it is; the message is one sentence that says what to change."""


class BadImage(DataError):
    """One file that cannot be decoded. The loader skips it and lists it."""

    def __init__(self, path: Any, reason: str) -> None:
        super().__init__(str(path), reason)  # both, so that it can be pickled: processes hand errors on that way
        self.path = str(path)
        self.reason = reason

    def __str__(self):
        return f"{shown(self.path)}: {self.reason}"


def shown(name: Any) -> str:
    """A file's name as text for one line: what is no text, or would break the line, as Python escapes it."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(name))
