"""What an op must be given and must return: the errors that a writer of a new ``Function`` meets."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .device import DeviceError, as_array, device_of, is_array
from .immutable import is_immutable, is_writeable
from .precision import BFLOAT16, narrow, wide
from .settings import kind_of
from .types import Array
from .variable import Variable, is_float


def check_methods(function: Any) -> None:
    """TypeError for PyTorch's static methods: what they keep in ctx, a Function here keeps in itself."""
    for name, arguments in (("forward", "self, x"), ("backward", "self, grad_out")):
        if isinstance(vars(function).get(name), staticmethod):
            what = f"{function.__name__}.{name} is a static method; here it is def {name}({arguments})"
            raise TypeError(f"{what}, without ctx: self.save_for_backward(...), and self.saved in backward")


def check_inputs(function: Any, inputs: Sequence[Any]) -> None:
    """Variables of one dtype on one device, or None; what is not is named as ``forward`` names it."""
    beside_bfloat16 = function.float32_weights and isinstance(inputs[0], Variable) and inputs[0].data.dtype == BFLOAT16
    if not beside_bfloat16 and _are_alike(
        inputs
    ):  # quickly, for every op; what is wrong is only looked for where something is
        return
    op, code = function.__name__, function.forward.__code__
    names = code.co_varnames[1 : code.co_argcount] or [f"input {i}" for i in range(len(inputs))]  # (self, *arrays)
    named = [(name, v) for name, v in zip(names, inputs, strict=False) if v is not None]
    if not named:  # all are None
        raise TypeError(f"{op}: {names[0]} is None, not a Tensor")
    for name, v in named:
        if not isinstance(v, Variable):
            raise TypeError(f"{op}: {name} is a {kind_of(v)}, not a Tensor; wrap it in Tensor(...)")
    dtypes = ", ".join(f"{name}: {v.data.dtype}" for name, v in named)
    if beside_bfloat16:
        if not _has_float32_weights(inputs):
            what = "beside a bfloat16 input, weight and bias are float32, and what else there is is bfloat16"
            raise TypeError(f"{op}: {what}, not ({dtypes}); convert with .float() or .bfloat16()")
    elif len({v.data.dtype for _, v in named}) > 1:  # NumPy would mix them; here that is a mistake
        raise TypeError(f"{op}: the inputs differ in dtype ({dtypes}); convert one with .astype(...)")
    if len({device_of(v.data) for _, v in named}) > 1:
        devices = ", ".join(f"{name}: {device_of(v.data)}" for name, v in named)
        raise DeviceError(f"{op}: the inputs are on different devices ({devices}); move one with .to(...)")


def _has_float32_weights(inputs):
    """Whether the inputs are bfloat16, and float32 where they are weights: the second and the third."""
    dtypes = [None if v is None else v.data.dtype for v in inputs]
    weights, others = dtypes[1:3], [dtypes[0], *dtypes[3:]]
    return set(weights) <= {np.dtype(np.float32), None} and set(others) <= {BFLOAT16, None}


def _are_alike(inputs):
    """Whether all are Variables of one dtype on one device, apart from None."""
    first = device = None  # the first input that is not None, with which the others are compared; where it lies
    for v in inputs:
        if v is None:
            continue
        if not isinstance(v, Variable):
            return False
        array = v.data
        if first is None:
            first, device = array, device_of(array)
        elif array.dtype != first.dtype or device_of(array) != device:
            return False
    return first is not None  # an op of no input at all has no device


def check_writeable(op: str, array: Array) -> None:
    """ValueError for an array that an op shall write into and that cannot be."""
    if not is_writeable(array):
        way_out = "minicnn.seal(model, False) ends that" if is_immutable(array) else ".clone() makes a writeable copy"
        raise ValueError(f"{op}: the memory of shape {array.shape} is read-only; {way_out}")


def checked_result(op: str, array: Any, needs_grad: bool) -> Array:
    """What ``forward`` has returned: an array, and one of floats where a gradient will come back."""
    array = as_array(array)  # np.exp of an array without axes is a scalar of NumPy's
    if not is_array(array):
        what = f"{op}.forward returned a {type(array).__name__}, not an array"
        raise TypeError(f"{what}; it works on arrays, and np.asarray makes one of a number")
    if needs_grad and not is_float(array.dtype):  # integers have no slope
        raise TypeError(f"{op}.forward returned {array.dtype}, which has no gradient; return float32 or float64")
    return array


def check_saved(op: str, saved: Sequence[Any]) -> None:
    """TypeError for something that ``save_for_backward`` was given and that is no array."""
    for value in saved:
        if not is_array(as_array(value)):
            what = f"a {type(value).__name__}, not an array"
            raise TypeError(f"{op}: save_for_backward keeps arrays, and was given {what}; set it as self.name = value")


def gradients_of(node: Any, grad_out: Array) -> tuple[Array | None, ...]:
    """``node.backward(grad_out)``: one array for each input, as that input is, or None where none is needed.

    What a user's own op is given is read-only: other nodes may have the same array.
    """
    op, edges, needs_input_grad = type(node).__name__, node.inputs, node.needs_input_grad
    grad_out = grad_out if node.takes_bfloat16 else wide(grad_out)
    if type(node).__module__.startswith("minicnn.") or not isinstance(grad_out, np.ndarray):  # ours only read it
        grads = node.backward(grad_out)
        grads = grads if isinstance(grads, tuple) else (grads,)
    else:
        given = grad_out.view()  # the same memory, which may be made read-only by itself
        given.flags.writeable = False
        grads = node.backward(given)  # NumPy raises where it writes into it
        grads = grads if isinstance(grads, tuple) else (grads,)
        grads = tuple(grad_out if grad is given else grad for grad in grads)  # passed on, it may be written into again
    grads = tuple(None if grad is None else as_array(grad) for grad in grads)
    if len(grads) != len(edges):  # also None has its place
        raise RuntimeError(f"{op}.backward returned {len(grads)} gradients for {len(edges)} inputs")
    if not node.takes_bfloat16 and any(edge is not None and edge.dtype == BFLOAT16 for edge in edges):
        pairs = zip(edges, grads, strict=True)
        grads = tuple(narrow(grad) if edge is not None and edge.dtype == BFLOAT16 else grad for edge, grad in pairs)
    for i, (edge, needed, grad) in enumerate(zip(edges, needs_input_grad, grads, strict=True)):
        if not needed:  # what was returned for it is dropped below
            continue
        if grad is None:
            raise RuntimeError(f"{op}.backward returned no gradient for input {i}, which requires one")
        if not is_array(grad):
            what = f"{op}.backward returned a {type(grad).__name__} for input {i}, not an array"
            raise TypeError(f"{what}; it works on arrays, and of a Tensor it returns the .data")
        if grad.shape != edge.shape or grad.dtype != edge.dtype:
            raise RuntimeError(  # most often, a sum over an axis that was broadcast is missing
                f"{op}.backward returned a gradient of shape {grad.shape}, {grad.dtype}, for input {i}, "
                f"which has shape {edge.shape}, {edge.dtype}"
            )
        if device_of(grad) != edge.device:
            what = f"{op}.backward returned a gradient on device {device_of(grad)!r} for input {i}"
            raise DeviceError(f"{what}, which is on {edge.device!r}")
    return tuple(grad if needed else None for grad, needed in zip(grads, needs_input_grad, strict=True))
