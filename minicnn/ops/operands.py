"""What stands on the two sides of an operator: numbers, arrays and masks beside a Tensor.

The rules for their dtypes are at the top of arithmetic.py.
"""

import numbers
from typing import Any

import numpy as np

from ..device import DeviceError, device_of, full, plain_array
from ..precision import BFLOAT16
from ..types import Array
from ..variable import V, Variable, is_float
from .arguments import check_tensors


def operands(op: str, a: Any, b: Any) -> tuple[Any, Any]:
    """Both as Variables: a number or an array beside a Variable becomes a constant; a number takes its dtype."""
    variable, other = (a, b) if isinstance(a, Variable) else (b, a)  # one of them surely is one
    if not isinstance(other, Variable):  # it becomes one; the order of a and b stays
        if isinstance(other, numbers.Real) and not isinstance(other, bool):
            variable = as_integers(variable)  # a mask beside a number is 0 and 1; beside True it is a mask
        constant = variable.like(as_constant(op, other, variable.data))
        a, b = (variable, constant) if isinstance(a, Variable) else (constant, variable)
    try:
        np.broadcast_shapes(a.data.shape, b.data.shape)  # only for its error
    except ValueError:
        rule = "counted from the last axis, lengths must be equal, or one of them 1"
        raise ValueError(f"{op}: shapes {a.data.shape} and {b.data.shape} do not broadcast; {rule}") from None
    return a, b


def as_constant(op: str, value: Any, array: Array) -> Array:
    """The array that a number or an array is beside a Tensor of this `array`; TypeError for what does not fit it."""
    if isinstance(value, BFLOAT16.type):  # a number, though none of numbers.Real
        value = float(value)
    if not isinstance(value, numbers.Real):
        constant = plain_array(value)
        if constant.dtype.kind not in "iub" and not is_float(constant.dtype):
            what = f"a {type(value).__name__}" if constant.ndim == 0 else f"an array of dtype {constant.dtype}"
            raise TypeError(f"{op}: beside a Tensor stands a number, an array of numbers or a Tensor, not {what}")
        return constant
    if is_float(array.dtype) or (array.dtype.kind == "b" and isinstance(value, bool)):  # fits, if rounded
        return full(array, (), value)  # an array without axes, of the tensor's dtype and device
    if not isinstance(value, numbers.Integral):
        raise TypeError(f"{op}: {value} beside a tensor of {array.dtype} would be rounded; convert by .astype(...)")
    limits = np.iinfo(array.dtype)  # uint8: 0 to 255
    if not limits.min <= int(value) <= limits.max:
        why = f"it holds {limits.min} to {limits.max}; convert it with .astype(...)"
        raise TypeError(f"{op}: {value} beside a tensor of dtype {array.dtype} would wrap round: {why}")
    return full(array, (), value)


def as_integers(a: V) -> V:
    """a itself; booleans as int64, 0 and 1."""
    return a.like(a.data.astype(np.int64)) if a.data.dtype.kind == "b" else a


def as_floats(a: Any) -> Any:
    """a itself (a number or an array, too); a Variable of booleans or integers as float32."""
    return a.like(a.data.astype(np.float32)) if isinstance(a, Variable) and not is_float(a.data.dtype) else a


def not_masks(op: str, *operands: Any) -> tuple[Any, ...]:
    """The operands themselves; TypeError if all are masks of booleans."""
    if all(operand.data.dtype.kind == "b" for operand in operands):  # a mask beside numbers has been converted
        advice = "to count with it, convert it with .astype(np.int64); a * b of two masks is true where both are"
        raise TypeError(f"{op}: a mask of booleans is no number; {advice}")
    return operands


def check_alike(op: str, a: Variable, b: Any) -> None:
    """TypeError or DeviceError unless `b` is a Variable of the dtype and on the device of `a`."""
    check_tensors(op, {"other": b})
    if a.data.dtype != b.data.dtype:
        raise TypeError(f"{op}: {a.data.dtype} and {b.data.dtype} differ; convert one with .to(...)")
    if device_of(a.data) != device_of(b.data):
        raise DeviceError(f"{op}: one is on {device_of(a.data)!r}, one on {device_of(b.data)!r}; use .to(...)")
