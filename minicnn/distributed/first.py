"""One rank after another, where the first makes something that the others find: a file that is downloaded once."""

from collections.abc import Callable
from typing import Any, TypeVar

from .current import world

T = TypeVar("T")


def rank_0_first(function: Callable[..., T], *args: Any) -> T:
    """What function(*args) returns on this rank; rank 0 calls it before the others do.

    So rank 0 downloads what is not there yet, and the others find it; where they do not, on another machine, they see
    to it themselves. What it raises on rank 0, all raise. Every rank must call this.
    """
    made: list[T] = []
    world().on_rank_0(lambda: made.append(function(*args)))
    return made[0] if made else function(*args)
