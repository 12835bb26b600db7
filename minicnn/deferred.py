"""Errors that a GPU finds while the processor has long gone on, a label out of range for one.

A kernel cannot raise an exception, and waiting for it after each launch would cost more than most kernels do. So it
leaves a mark in the GPU's memory, and the error is raised where the two meet: when values are copied to the host, the
marks come with them (``device.to_host``).
"""

from collections.abc import Callable
from typing import NamedTuple

from .types import Array


class Mark(NamedTuple):
    """An array on the GPU that a kernel may write into, and what looks at its values on the host: ``check(values)``
    raises the error if there is one, and makes the mark good again."""

    array: Array
    check: Callable[[Array], None]


marks: list[Mark] = []  # all that kernels of this process have
