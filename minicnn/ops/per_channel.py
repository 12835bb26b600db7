"""What the functions of batch norm share: a look at the tensors (C,) beside an input (N, C, ...), and their errors."""

from typing import Any

from ..contract import check_writeable
from ..precision import wide_dtype
from ..settings import real
from ..types import Array
from ..variable import Variable
from .arguments import check_tensors


def checked_apply(
    node: Any,
    inputs: tuple[Any, ...],
    running: tuple[Variable | None, Variable | None],
    training: bool,
    momentum: float,
    eps: float,
    moments: tuple[Array, Array] | None = None,
) -> Any:
    """``node.apply(*inputs, ...)``, the result of the op `node`, a subclass of BatchNorm.

    inputs: (input, weight, bias), and what else the op takes. running: (running_mean, running_var).
    moments: (mean, variance) of the input, if they are known.
    """
    op, arrays = node.op, _checked(node.op, inputs, running, training)
    numbers = {"momentum": real(op, "momentum", momentum), "eps": real(op, "eps", eps, at_least=0)}
    known = {} if moments is None else {"moments": moments}  # not every op takes them
    result = node.apply(*inputs, running=arrays, training=training, **numbers, **known)
    for tensor in running if training else ():  # a graph that has read them shall know that they have changed
        if tensor is not None:
            tensor.version.count += 1  # as for a change in place (versions.py)
    return result


def one_value(op: str, what: str) -> ValueError:
    """The error for `what`, a batch that has no variance."""
    advice = "train with larger batches, or use evaluation mode"
    return ValueError(f"{op}: {what} one value in each channel, whose variance is 0; {advice}")


def _checked(op, inputs, running, training):
    """The running statistics as arrays, or None."""
    (x, weight, bias, *_), (running_mean, running_var) = inputs, running
    named = {"running_mean": running_mean, "running_var": running_var, "weight": weight, "bias": bias}
    check_tensors(op, {"input": x}, named)
    shape = x.data.shape
    if len(shape) < 2 or shape[1] == 0:
        raise ValueError(f"{op}: input must be (N, C, ...) with at least one channel, got shape {shape}")
    if (running_mean is None) != (running_var is None):
        raise ValueError(f"{op}: running_mean and running_var must be given both or neither")
    if running_mean is None and not training:
        raise ValueError(f"{op}: evaluation (training=False) needs running_mean and running_var")
    dtype = wide_dtype(x.data.dtype)  # what is known of a channel is float32 beside bfloat16
    for name, value in named.items():
        if value is not None and value.data.shape != (shape[1],):
            why = f"{name} must have shape ({shape[1]},), one for each channel of input {shape}, got {value.data.shape}"
            raise ValueError(f"{op}: {why}")
        if value is not None and value.data.dtype != dtype:
            wanted = "which takes float32 beside it" if x.data.dtype != dtype else "convert one by .astype(...)"
            raise TypeError(f"{op}: {name} is {value.data.dtype}, input is {x.data.dtype}; {wanted}")
    if running_mean is None:
        return None
    running_arrays = running_mean.data, running_var.data
    for array in running_arrays if training else ():  # before one of them has changed
        check_writeable(f"{op}: running statistics", array)
    return running_arrays
