"""What a layer, an optimiser or a schedule is set to, looked at the moment it is given.

Each function returns the setting as Python's own number; TypeError or ValueError names the setting, what it may be, and
its owner: a name, or the layer itself.
"""

import math
import numbers

import numpy as np

ANY = -math.inf


def whole(owner, name, value, at_least=1):
    """A whole number; at_least=ANY: also a negative one."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{_name(owner)}: {name} must be a whole number, got {_shown(value)}")
    if value < at_least:
        raise ValueError(f"{_name(owner)}: {name} must be at least {at_least}, got {value}")
    return int(value)


def whole_or_pair(owner, name, value, at_least=1):
    """A whole number, or two of them, (height, width): a tuple, a list or an array."""
    values = value.tolist() if isinstance(value, np.ndarray) else value
    if not isinstance(values, (tuple, list)):
        return whole(owner, name, values, at_least)
    if len(values) != 2:
        raise TypeError(f"{_name(owner)}: {name} must be a whole number or a pair of them, got {_shown(value)}")
    return tuple(whole(owner, name, each, at_least) for each in values)


def real(owner, name, value, *, at_least=-math.inf, above=-math.inf, at_most=math.inf, below=math.inf):
    """A finite number within these bounds."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Real):
        raise TypeError(f"{_name(owner)}: {name} must be a number, got {_shown(value)}")
    value = value if type(value) in (int, float) else float(value)
    if not (math.isfinite(value) and at_least <= value <= at_most and above < value < below):
        bounds = {"at least": at_least, "above": above, "at most": at_most, "below": below}
        wanted = " and ".join(f"{word} {bound:g}" for word, bound in bounds.items() if math.isfinite(bound))
        raise ValueError(f"{_name(owner)}: {name} must be {wanted or 'finite'}, got {value}")
    return value


def flag(owner, name, value):
    """True or False."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{_name(owner)}: {name} must be True or False, got {_shown(value)}")
    return bool(value)


def one_of(owner, name, value, choices):
    """One of these words."""
    if value not in choices:
        raise ValueError(f"{_name(owner)}: {name} must be {' or '.join(map(repr, choices))}, got {_shown(value)}")
    return value


def _name(owner):
    return owner if isinstance(owner, str) else type(owner).__name__


def _shown(value):
    """The value if it is short, else its type: a message has no room for an array."""
    is_short = value is None or isinstance(value, (str, bool, numbers.Number, tuple, list))
    return repr(value) if is_short else f"a {type(value).__name__}"
