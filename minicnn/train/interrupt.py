"""Ctrl-C: the first one asks the run to stop at the next good place, the second stops it at once."""

import signal
import threading

from ..console import say_in_handler


class Interrupted(Exception):
    """The run has stopped because it was asked to, and everything is saved."""


class Interrupt:
    """``with Interrupt() as interrupt:`` makes ``interrupt.requested`` True at the first Ctrl-C."""

    def __init__(self):
        self.requested = False

    def __enter__(self):
        self.in_main_thread = threading.current_thread() is threading.main_thread()
        if self.in_main_thread:  # signals reach no other
            self.before = signal.signal(signal.SIGINT, self._request)
        return self

    def __exit__(self, *exc_info):
        if self.in_main_thread:
            signal.signal(signal.SIGINT, self.before)

    def _request(self, number, frame):
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
        say_in_handler("\nstopping after this batch; press Ctrl-C again to stop at once")
