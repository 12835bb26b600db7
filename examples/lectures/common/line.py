"""The straight line between the weights of two networks, and the barrier on it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

State = Mapping[str, Any]  # what state_dict() gives


def between(first: State, second: State, t: float) -> dict[str, np.ndarray]:
    """(1 - t) * first + t * second, tensor by tensor: the first at t = 0, the second at t = 1, to the bit."""
    pairs = {name: (np.asarray(first[name]), np.asarray(second[name])) for name in first}
    return {name: a * a.dtype.type(1 - t) + b * b.dtype.type(t) for name, (a, b) in pairs.items()}


def barrier(values: Sequence[float]) -> float:
    """How far the values along a line, at even distances, rise above the straight line between their ends, at most;
    at the ends they rise by 0."""
    straight = np.linspace(values[0], values[-1], len(values))
    return float(np.max(np.asarray(values)[1:-1] - straight[1:-1], initial=0.0))
