"""What programs say: lines on stdout or stderr, and no state of these streams turns one into an error.

A run of days must not end because nobody reads along any more. A stream may be absent (pythonw, a service, ``>&-``),
closed, a pipe whose reader has gone (``| head -1``), a terminal that has vanished, a file on a full disk: the program
goes on, what it says goes nowhere from then on, and Python has nothing to complain of when it ends. A stream may be
too narrow for a name (ASCII, cp1252), and a file's name need not be text at all: what cannot be shown is written as
Python would escape it, ``caf\\udce9.jpg``, and so is what would steer a terminal.
"""

import contextlib
import errno
import os
import sys
import textwrap
from typing import Any, TextIO

_STEERING = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if chr(code) not in "\t\n"}


live: list[Any] = []  # lines of progress on the terminal (progress.py): other lines go above them
silent = False  # of several processes that say the same, one says it; ``silence`` is for the others


def say(text: object = "") -> None:
    """A line on stdout, or several, at once."""
    if not silent:
        _write_line(stdout, text)


def tell(text: str, indent: str = "") -> None:
    """Prose on stdout: a line, which on a terminal is broken between words where it would not fit.

    indent: what the lines after the first begin with.
    """
    if interactive():
        wrapper = textwrap.TextWrapper(columns() - 1, subsequent_indent=indent, replace_whitespace=False)
        wrapper.break_long_words = wrapper.break_on_hyphens = False  # of paths
        text = wrapper.fill(text)
    say(text)


def complain(text: object) -> None:
    """A line on stderr."""
    if not silent:
        _write_line(stderr, text)


def report(text: object) -> None:
    """A line on stderr, from a silent process, too: what it alone knows."""
    _write_line(stderr, text)


def silence() -> None:
    """Let everything but ``report`` say nothing from now on."""
    global silent
    silent = True


def remark(text: str) -> None:
    """What is being done that takes its time, on the terminal's line of progress until that changes; else nowhere."""
    for line in live:
        line.remark(text)


def _write_line(output, text):
    for line in live:
        line.clear()
    output.write(str(text).translate(_STEERING) + "\n")
    output.flush()
    for line in live:
        line.refresh()


def say_in_handler(text: str) -> None:
    """A line on stderr from a signal handler, which may have interrupted a ``say``."""
    if silent:
        return
    with contextlib.suppress(OSError):
        os.write(stderr.fileno(), text.encode("ascii", "backslashreplace") + b"\n")


def interactive() -> bool:
    """Whether somebody sits before a terminal: then there are bars."""
    return stdout.isatty() and stderr.isatty() and not silent


def columns() -> int:
    """How wide the terminal is; 80 where nobody knows."""
    try:
        return os.get_terminal_size(stderr.fileno()).columns or 80
    except OSError:
        return 80


def open_descriptors() -> None:
    """Put the null device in the place of each standard stream that was closed when the program was started.

    For the beginning of a program: else the first files that it opens get these descriptors, and a library, or a
    crash, that writes to number 2 writes into one of them, perhaps a checkpoint.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)  # it gets the lowest number that is free: this one
            os.set_inheritable(opened, True)


class Output:
    """``sys.stdout`` or ``sys.stderr``, whatever that is at the moment. tqdm takes one as its ``file``."""

    def __init__(self, name: str) -> None:
        self.name = name

    @property
    def stream(self) -> TextIO | None:
        """None: there is none."""
        found = getattr(sys, self.name)
        return None if getattr(found, "closed", False) else found

    @property
    def encoding(self) -> str:
        """That of the stream; UTF-8 where there is none."""
        return getattr(self.stream, "encoding", None) or "utf-8"

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return self.stream is not None and self.stream.isatty()

    def fileno(self) -> int:
        """The descriptor; OSError if there is none."""
        if self.stream is None:
            raise OSError(errno.EBADF, f"there is no {self.name}")
        return self.stream.fileno()

    def write(self, text: str) -> None:
        """Write as much as the stream takes; no error if that is nothing."""
        stream = self.stream
        if stream is not None:
            try:
                stream.write(text)
            except UnicodeEncodeError:  # then nothing of it has been written
                self.write(text.encode(self.encoding, "backslashreplace").decode(self.encoding))
            except OSError as error:
                self._give_up(error)

    def flush(self) -> None:
        """Hand on what the stream still holds."""
        stream = self.stream
        if stream is not None:
            try:
                stream.flush()
            except OSError as error:
                self._give_up(error)

    def _give_up(self, error):
        """Have what the stream still holds, and all that comes, go nowhere."""
        with contextlib.suppress(OSError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
        if self is stdout and not isinstance(error, BrokenPipeError):  # whoever left the pipe knows
            complain(f"minicnn: what follows is not written to stdout: {error.strerror or error}")


stdout, stderr = Output("stdout"), Output("stderr")
