"""What an op, a layer, an optimiser or a loader is set to, looked at the moment it is given.

Each function returns the setting as Python's own number, which takes on the dtype of the array beside it (NumPy's
float64 would not); TypeError or ValueError names the setting, what it may be, and its owner: a name, or the layer
itself.
"""

import math
import numbers
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

ANY = -math.inf
OTHERS = {"torch", "jax", "jaxlib", "tensorflow", "cupy"}  # libraries whose Tensor is not ours


def whole(owner: Any, name: str, value: Any, at_least: float = 1, at_most: float = math.inf) -> int:
    """A whole number; at_least=ANY: also a negative one."""
    if type(value) is int and at_least <= value <= at_most:  # soon: each op has some
        return value
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{_name(owner)}: {name} must be a whole number, got {_shown(value)}")
    if not at_least <= number <= at_most:
        raise ValueError(f"{_name(owner)}: {name} must be {_bounds(at_least, at_most)}, got {number}")
    return number


def whole_or_pair(
    owner: Any, name: str, value: Any, at_least: float = 1, at_most: float = math.inf
) -> int | tuple[int, int]:
    """A whole number, or two of them, (height, width): a tuple, a list or an array."""
    values = value.tolist() if isinstance(value, np.ndarray) else value
    if not isinstance(values, (tuple, list)):
        return whole(owner, name, values, at_least, at_most)
    if len(values) != 2:
        raise TypeError(f"{_name(owner)}: {name} must be a whole number or a pair of them, got {_shown(value)}")
    height, width = values
    return whole(owner, name, height, at_least, at_most), whole(owner, name, width, at_least, at_most)


def both(value: int | tuple[int, int]) -> tuple[int, int]:
    """(height, width) of what ``whole_or_pair`` gives: 3 means (3, 3)."""
    return value if isinstance(value, tuple) else (value, value)


def real(
    owner: Any,
    name: str,
    value: Any,
    *,
    at_least: float = -math.inf,
    above: float = -math.inf,
    at_most: float = math.inf,
    below: float = math.inf,
) -> float:
    """A finite number within these bounds."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Real):
        raise TypeError(f"{_name(owner)}: {name} must be a number, got {_shown(value)}")
    try:
        number = float(value)
    except OverflowError:  # a whole number beyond all floats
        number = math.inf
    if not (math.isfinite(number) and at_least <= number <= at_most and above < number < below):
        raise ValueError(f"{_name(owner)}: {name} must be {_bounds(at_least, at_most, above, below)}, got {value}")
    return number


def flag(owner: Any, name: str, value: Any) -> bool:
    """True or False."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{_name(owner)}: {name} must be True or False, got {_shown(value)}")
    return bool(value)


def one_of(owner: Any, name: str, value: Any, choices: Sequence[str]) -> str:
    """One of these words."""
    if value not in choices:
        raise ValueError(f"{_name(owner)}: {name} must be {' or '.join(map(repr, choices))}, got {_shown(value)}")
    return value


def kind_of(value: object) -> str:
    """The name of its class, "list"; with its library where that has Tensors of its own, "torch.Tensor"."""
    library, name = type(value).__module__.partition(".")[0], type(value).__name__
    return f"{library}.{name}" if library in OTHERS else name


def _bounds(at_least=-math.inf, at_most=math.inf, above=-math.inf, below=math.inf):
    bounds = {"at least": at_least, "above": above, "at most": at_most, "below": below}
    return " and ".join(f"{word} {bound}" for word, bound in bounds.items() if math.isfinite(bound)) or "finite"


def _name(owner):
    return owner if isinstance(owner, str) else type(owner).__name__


def _shown(value):
    """The value if it is short, else its type: a message has no room for an array."""
    is_short = value is None or isinstance(value, (str, bool, numbers.Number, tuple, list))
    return repr(value) if is_short else f"a {kind_of(value)}"
