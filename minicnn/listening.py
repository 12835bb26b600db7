"""Whoever wants to hear of every op that runs: ``with listening(hear): model(x)`` (``export/trace.py`` does)."""

from collections.abc import Callable
from typing import Any

from .switch import Block, PerThread

_listener = PerThread(None)


def listener() -> Callable[[Any, Any, dict[str, Any], Any], object] | None:
    """Who is told now, in this thread; None: nobody."""
    return _listener.value


class listening(Block):
    """``with listening(hear): ...`` calls hear(node, inputs, options, result) after each ``Function.apply`` of this
    thread inside, where the result stands in the graph already; inputs are Variables or None."""

    def __init__(self, hear: Callable[[Any, Any, dict[str, Any], Any], object]) -> None:
        super().__init__(_listener, hear)
