"""Settings of transforms: what a random number is drawn from, what new pixels are filled with."""

from typing import Any

import numpy as np

from ..settings import real, whole


def pair(owner: Any, name: str, value: Any, **bounds: float) -> tuple[float, float]:
    """Two numbers, each within the bounds of ``settings.real``."""
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise TypeError(f"{type(owner).__name__}: {name} must be a pair of numbers, got {value!r:.60}")
    first, second = (real(owner, name, each, **bounds) for each in value)
    return first, second


def interval(owner: Any, name: str, value: Any, **bounds: float) -> tuple[float, float]:
    """(low, high), low <= high."""
    low, high = pair(owner, name, value, **bounds)
    if low > high:
        raise ValueError(f"{type(owner).__name__}: {name} must be (low, high), and {low:g} is above {high:g}")
    return low, high


def around(owner: Any, name: str, value: Any, middle: float = 0.0, **bounds: float) -> tuple[float, float]:
    """(low, high); of a number, not below 0: (middle - number, middle + number), cut at the bound `at_least`."""
    if isinstance(value, (tuple, list)):
        return interval(owner, name, value, **bounds)
    number = real(owner, name, value, at_least=0)
    low = max(middle - number, bounds.get("at_least", middle - number))
    return interval(owner, name, (low, middle + number), **bounds)


def color(owner: Any, name: str, value: Any) -> int | tuple[int, ...]:
    """0..255, or one such number for each channel."""
    if isinstance(value, (tuple, list)):
        return tuple(whole(owner, name, each, 0, 255) for each in value)
    return whole(owner, name, value, 0, 255)


def pixel_class(owner: Any, value: Any) -> int:
    """`mask_fill`: a class, or a number that is none, of 32 bits."""
    limits = np.iinfo(np.int32)
    return whole(owner, "mask_fill", value, limits.min, limits.max)
