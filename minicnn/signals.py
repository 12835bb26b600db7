"""Who answers the signals that ask a program to stop: Ctrl-C, SIGTERM, SIGHUP."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


@contextlib.contextmanager
def handling(handler: Callable[[int, FrameType | None], None] | signal.Handlers) -> Iterator[None]:
    """``with handling(handler):`` it answers the SIGNALS that are not ignored; what answered before does so again
    afterwards. Python lets only the main thread do that; in another one, nothing is changed."""
    before = {}
    if threading.current_thread() is threading.main_thread():
        present = {number: signal.getsignal(number) for number in SIGNALS}
        before = {number: found for number, found in present.items() if found not in (signal.SIG_IGN, None)}
    try:
        for number in before:
            signal.signal(number, handler)
        yield
    finally:
        for number, found in before.items():
            signal.signal(number, found)
