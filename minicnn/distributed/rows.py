"""Which rows of a batch are whose: contiguous parts, in the batch's order, of which none is longer than another by two.

    8 rows in 3 parts:   0 1 | 2 3 4 | 5 6 7          1 row in 3 parts:   | | 0

Ranks cut each global batch so, and what is worked on in parts, one after the other, is cut the same way.
"""

from typing import Any

from ..settings import whole


def rows(count: int, part: int, parts: int) -> range:
    """The rows of part number `part` (0, 1, ...) of `parts`, of a batch of `count`; there may be none."""
    return range(part * count // parts, (part + 1) * count // parts)


def checked_part(owner: Any, value: Any) -> tuple[int, int]:
    """`value` as (which part, of how many), if it is that; None: the whole, (0, 1). owner: for messages."""
    if value is None:
        return 0, 1
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        name = owner if isinstance(owner, str) else type(owner).__name__
        raise TypeError(
            f"{name}: part must be a pair, (which part, of how many), as world().part is; got {value!r:.60}"
        )
    parts = whole(owner, "part's second number, of how many,", value[1])
    return whole(owner, "part's first number, which one,", value[0], 0, parts - 1), parts
