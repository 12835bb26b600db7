"""The dtypes of Tensors by PyTorch's names, and what ``.to(...)`` is given: a device, a dtype, or both.

They are NumPy's dtypes: ``minicnn.float32`` is ``np.dtype("float32")``, and what takes the one takes the other.
"""

from typing import Any

import numpy as np

from .device import DEVICES, device_of
from .precision import BFLOAT16
from .types import DTypeLike
from .variable import FLOATS, Variable, is_float

float32, float64 = FLOATS
bfloat16 = BFLOAT16
int8, int16, int32, int64 = (np.dtype(name) for name in ("int8", "int16", "int32", "int64"))
uint8 = np.dtype("uint8")
bool = np.dtype("bool")  # from here on Python's own bool, float and int are not what these names mean in this file
float, double, short, int, long = float32, float64, int16, int32, int64


def checked_dtype(owner: str, dtype: DTypeLike) -> np.dtype:
    """`dtype` as NumPy's, if a Tensor can hold it; TypeError if not."""
    what = "one of minicnn's dtypes: float32, float64, bfloat16, int8 to int64, uint8 or bool"
    try:
        found = np.dtype(dtype)
    except TypeError:
        raise TypeError(f"{owner}: dtype must be {what}, not {dtype!r}") from None
    if found.kind not in "iub" and not is_float(found):
        raise TypeError(f"{owner}: dtype must be {what}, not {found}")
    return found


def device_and_dtype(owner: str, given: tuple[Any, ...], device: Any, dtype: Any) -> tuple[str | None, np.dtype | None]:
    """What ``owner.to(*given, device=device, dtype=dtype)`` asks for; None for what stays as it is.

    given: a device, a dtype, or both in this order; or a Tensor, whose device and dtype both are.
    """
    for value in given:
        new: tuple[Any, Any] = (value, None) if isinstance(value, str) else (None, value)
        if isinstance(value, Variable):
            new = device_of(value.data), value.data.dtype
        if any(one is not None and other is not None for one, other in zip(new, (device, dtype), strict=True)):
            raise TypeError(f"{owner}: takes a device, a dtype, or both, and got two of a kind")
        device, dtype = device if new[0] is None else new[0], dtype if new[1] is None else new[1]
    if device is None and dtype is None:
        raise TypeError(f"{owner}: give a device, {' or '.join(DEVICES)}, a dtype such as minicnn.float64, or both")
    if device is not None and device not in DEVICES:
        raise ValueError(f"{owner}: takes a device, {' or '.join(DEVICES)}, not {device!r}")
    return device, None if dtype is None else checked_dtype(owner, dtype)
