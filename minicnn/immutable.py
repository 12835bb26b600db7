"""Arrays that nobody can change: what has been made of one, a packed weight say, is right for as long as it exists.

A weight's count of changes (``versions.py``) does not tell that: ``weight.data[0] = 5`` writes into the array itself,
as does whoever has a view of it, and no count moves. Nor does NumPy's flag of a read-only array, which the owner may
lift, and which does not hold for views taken before. But Python's ``bytes`` never change: NumPy refuses to write into
an array in their memory, and to lift its flag. So whether an array is immutable can be seen from itself.
"""

from typing import Any

import numpy as np

from .device import device_of
from .types import Array


class Fixed(bytes):
    """The memory of an immutable array. (Of bytes as such NumPy makes arrays, too, and writes into those that it has
    unpickled.)"""


def immutable(array: Array) -> Array:
    """A copy in memory that cannot be written to; itself where it is one, or lies on a GPU (there are none there)."""
    if device_of(array) == "cuda" or is_immutable(array):
        return array
    return np.ndarray(array.shape, array.dtype, Fixed(array.tobytes()))  # in C order


def is_writeable(array: Array) -> bool:
    """Whether an array can be written into."""
    return getattr(array.flags, "writeable", True)  # those of a GPU all are, and CuPy's have no such flag


def is_immutable(array: Any) -> bool:
    """Whether `array` is one that ``immutable`` has made: a view of one is not."""
    return type(array) is np.ndarray and type(array.base) is Fixed
