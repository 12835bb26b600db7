"""Errors that a GPU finds while the processor has long gone on, a label out of range for one.

A kernel cannot raise an exception, and waiting for it after each launch would cost more than most kernels do. So it
leaves a mark in the GPU's memory, and the error is raised where the two meet: when a value is copied to the host.
"""

from collections.abc import Callable

_checks: list[Callable[[], None]] = []


def check_on_arrival(check: Callable[[], None]) -> None:
    """Call `check()`, which raises the error if there is one, whenever values come from the GPU from now on."""
    _checks.append(check)


def raise_found() -> None:
    """Raise the first error that was found since the last call."""
    for check in _checks:
        check()
