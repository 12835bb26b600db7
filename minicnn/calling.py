"""How the user has started this program, as its messages and its help repeat it."""

import contextlib
import sys
import textwrap
from collections.abc import Iterator

_command: list[str] = []  # of the command minicnn; empty: the program is a file


@contextlib.contextmanager
def called_as(*words: str) -> Iterator[None]:
    """``with called_as("minicnn", "train"):`` inside, that is what the user has typed, before any arguments."""
    global _command
    before, _command = _command, list(words)
    try:
        yield
    finally:
        _command = before


def words() -> list[str]:
    """What starts this program: ["minicnn", "train"], or ["python", "examples/train_imagenet.py"]."""
    return _command or ["python", sys.argv[0]]


def prog() -> str | None:
    """What argparse is to call the program: "minicnn train"; None: as it does by itself, the file's name."""
    return " ".join(_command) or None


def usage(doc: str, command: str, paragraphs: int = 1) -> str:
    """What stands in a docstring behind its first paragraph, for a parser's epilog: examples of what to type, which
    begin with `command` there, and here with what was typed for this program."""
    text = textwrap.dedent("\n\n".join(doc.split("\n\n")[1 : 1 + paragraphs])).replace(command, " ".join(words()))
    return f"for example:\n{textwrap.indent(text, '  ')}" if text else ""
