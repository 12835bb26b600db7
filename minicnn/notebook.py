"""What a notebook shows: pictures and tables, each once.

A function that prints a table and returns it would show it twice where its call is the last line of a cell: printed,
and as the cell's value. So it shows the table by ``show``; and IPython, which asks for the ``_ipython_display_`` of the
value, is answered by ``show_as_value``.
"""

import sys
from typing import Any, Protocol


class Shown(Protocol):
    """What can be shown."""

    def _repr_mimebundle_(self) -> dict[str, str]:
        """{kind of text or picture: itself}; a notebook takes the kind that it likes best, "text/plain" a terminal."""


_latest: tuple[Any, int] | None = None  # what was shown last, and the number of the cell that was running


def show(value: Shown) -> bool:
    """Show `value` if IPython is running, be it a notebook's or in a terminal. Returns whether it is."""
    global _latest
    shell = _shell()
    if shell is None:
        return False
    from IPython.display import display  # an optional package: where it runs, it is there

    display(value._repr_mimebundle_(), raw=True)
    _latest = value, shell.execution_count
    return True


def show_as_value(value: Shown) -> None:
    """Show `value`, a cell's, unless the cell has just done so."""
    if _latest is None or _latest[0] is not value or _latest[1] != _shell().execution_count:
        show(value)


def _shell():
    """The IPython that runs this; None in plain Python, where nobody has imported it."""
    ipython = sys.modules.get("IPython")
    return ipython and ipython.get_ipython()
