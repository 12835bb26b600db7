"""Changing a tensor in place: ``a += b``, ``a **= 2``, ``mask &= other`` and their kind, ``a[index] = values``.

    with no_grad():                              the update of gradient descent, by hand
        weight -= lr * weight.grad

Outside the graph (under ``no_grad``, or where neither side requires a gradient) the values change where they lie: every
view of the memory sees it, and so does a backward pass that has saved it (``minicnn/versions.py``).
In the graph ``a += b`` makes `a` stand for the sum: its gradient goes on to what `a` stood for before, and to b. As in
PyTorch, that is refused for a leaf, whose ``.grad`` would then belong to another value, and for memory that a view of
the graph shares. ``a[index] = values`` is not recorded, so it is refused in the graph.
Test      tests/engine/test_inplace.py
"""

import numbers
from collections.abc import Callable
from typing import Any

import numpy as np

from ..contract import check_writeable
from ..device import DeviceError, array_module, device_of, plain_array, to_device
from ..gradmode import is_grad_enabled
from ..variable import V, Variable, holds_gradients, is_float
from .operands import operands
from .shape import index_parts

UFUNCS = {"add": "add", "sub": "subtract", "mul": "multiply", "div": "true_divide"}


def inplace(name: str, op: Callable[[Any, Any], Any], a: V, b: Any) -> V:
    """a after ``a = op(a, b)`` in its own memory; name: "add", "sub", "mul" or "div"."""
    converted, b = operands(name, a, b)  # b as a Variable
    if converted is not a:  # a mask beside a number: it has become int64, which its memory cannot hold
        raise TypeError(f"{name} in place: the result would be {converted.data.dtype}, but a is {a.data.dtype}")
    if np.broadcast_shapes(a.data.shape, b.data.shape) != a.data.shape:  # b may be stretched, a may not
        raise ValueError(f"{name} in place: {b.data.shape} does not broadcast to {a.data.shape}, whose memory it is")
    if device_of(a.data) != device_of(b.data):
        raise DeviceError(f"{name} in place: a is on {device_of(a.data)!r}, b on {device_of(b.data)!r}; use .to(...)")
    is_exact = np.can_cast(b.data.dtype, a.data.dtype, "same_kind") and (name != "div" or is_float(a.data.dtype))
    if not is_exact or (is_float(a.data.dtype) and a.data.dtype != b.data.dtype):  # as int += float
        raise TypeError(f"{name} in place: a is {a.data.dtype}, b is {b.data.dtype}; convert one with .astype(...)")
    check_writeable(f"{name} in place", a.data)
    if is_grad_enabled() and (a.requires_grad or b.requires_grad):
        return become(name, a, op(a, b))  # in the graph: the sum is computed as always, then a becomes it
    getattr(array_module(a.data), UFUNCS[name])(a.data, b.data, out=a.data)
    a.version.count += 1  # a backward pass that has saved these values will notice
    return a


def become(name: str, a: V, result: Variable) -> V:
    """a with the values of `result`, which was computed from it, in its own memory; name: the operator's."""
    if result.data.dtype != a.data.dtype or result.data.shape != a.data.shape:
        what = f"the result would be {result.data.dtype} of shape {result.data.shape}"
        raise TypeError(f"{name} in place: {what}, but a is {a.data.dtype} of shape {a.data.shape}")
    check_writeable(f"{name} in place", a.data)
    if result.requires_grad:  # it is in the graph, and a comes to stand in it
        _check_may_stand_for_another(name, a)
        a.stand_for(result.node)  # a's former node is among the inputs of this one
    a.data[...] = result.data  # into the same memory: who holds a view of it sees the new values
    a.version.count += 1
    return a


def setitem(x: Variable, index: Any, value: Any) -> None:
    """x[index] = value: a number, an array of numbers (or a list of them), or a Tensor on the same device."""
    if is_grad_enabled() and x.requires_grad:  # what x was would be lost to backward
        raise RuntimeError("a tensor that requires a gradient cannot be written into; use .detach() or no_grad()")
    if is_grad_enabled() and holds_gradients(value):  # no gradient would come back to it
        advice = "write value.detach(), or put x together with minicnn.cat or minicnn.stack"
        raise RuntimeError(f"x[index] = value is not recorded, and value requires a gradient; {advice}")
    device = device_of(x.data)
    value = _written(value, device)  # a number or an array
    if getattr(value, "size", 0) == 1:
        value = value.reshape(())  # for a single element NumPy takes no array that has axes
    check_writeable("x[index] = value", x.data)
    try:
        x.data[index_parts(index, device)] = value  # NumPy's, or CuPy's, own assignment
    except OverflowError as error:  # a number
        raise ValueError(f"x[index] = value: {error}") from None
    x.version.count += 1


def _written(value, device):
    """What NumPy, or CuPy, writes: a number, or an array on the device."""
    if isinstance(value, Variable):
        if device_of(value.data) != device:
            raise DeviceError(f"x[index] = value: x is on {device!r}, value on {device_of(value.data)!r}; use .to(...)")
        return value.data
    if isinstance(value, numbers.Real):  # is written as it is, in x's dtype
        return value
    array = plain_array(value)
    if array.dtype.kind not in "iub" and not is_float(array.dtype):
        what = f"a {type(value).__name__}" if array.dtype.kind == "O" else f"{array.dtype}"
        raise TypeError(f"x[index] = value: value is a number, an array of numbers or a Tensor, not {what}")
    return to_device(array, device)


def _check_may_stand_for_another(name, a):
    if a.requires_grad and a.node is None:  # a leaf
        what = f"{name} in place: a leaf of shape {a.data.shape} that requires a gradient cannot change in the graph"
        raise RuntimeError(f"{what}; write `with no_grad():` around an update, or make a new tensor: a = a + b")
    if a.version.has_views:  # a view would show the new values and send gradients to the old
        view = f"a view shares this memory of shape {a.data.shape} (made by reshape, flatten, permute or indexing)"
        raise RuntimeError(f"{name} in place: {view}; make a new tensor: a = a + b")
