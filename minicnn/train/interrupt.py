"""Signals that ask a program to stop: Ctrl-C, SIGTERM (of a scheduler or a shutdown), SIGHUP (its terminal has gone).

While a network trains, the first one asks it to stop at the next good place, and the second stops it at once. A signal
that was ignored when the program was started, as SIGINT is in a shell's background jobs, stays ignored.
"""

import signal
from pathlib import Path
from types import FrameType
from typing import Any

from ..console import say_in_handler
from ..signals import handling


class Interrupted(Exception):
    """The run has stopped because it was asked to, by the signal of this number, and everything is saved at `path`."""

    def __init__(self, path: Path, signal: int = signal.SIGINT) -> None:
        super().__init__(path)
        self.path, self.signal = path, signal


class Ended(KeyboardInterrupt):
    """The program has been ended where it was, by the signal of this number."""

    def __init__(self, signal: int) -> None:
        super().__init__(signal)
        self.signal = signal


def end(number: int, frame: FrameType | None) -> None:
    """A signal's handler: end the program."""
    raise Ended(number)


class Interrupt:
    """``with Interrupt() as interrupt:`` makes ``interrupt.requested`` True at the first of the signals."""

    def __init__(self) -> None:
        self.requested, self.signal = False, signal.SIGINT
        self._handling = handling(self._request)

    def __enter__(self) -> "Interrupt":
        self._handling.__enter__()
        return self

    def __exit__(self, *exc_info: Any) -> None:
        self._handling.__exit__(*exc_info)

    def _request(self, number, frame):
        if self.requested:
            end(number, frame)
        self.requested, self.signal = True, number
        again = "press Ctrl-C again" if number == signal.SIGINT else f"send {signal.Signals(number).name} again"
        say_in_handler(f"\nstopping after this batch; {again} to stop at once")
