"""Numbers from bytes, little-endian as all these files have them."""

import numpy as np

from ..types import Array, DTypeLike

BFLOAT16 = np.dtype([("bfloat16", "<u2")])  # NumPy has none; as a type of its own it is mixed up with no other


def from_bytes(data: bytes, dtype: DTypeLike, count: int = -1, offset: int = 0) -> Array:
    """`count` numbers (-1: all) of `data` from byte `offset` on, as a read-only array (count,); bfloat16 as float32.

    A bfloat16 is the upper half of a float32, so the conversion is exact. ValueError if there are fewer bytes.
    """
    array = np.frombuffer(data, dtype, count, offset)
    if dtype == BFLOAT16:
        array = (array["bfloat16"].astype("<u4") << 16).view("<f4")
    array.flags.writeable = False
    return array
