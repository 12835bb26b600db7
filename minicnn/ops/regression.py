"""What losses between numbers and those that they should be have in common: their two arguments and the reduction."""

from typing import Any

from ..device import device_of, to_device
from ..settings import one_of
from ..variable import V, Variable
from .arguments import check_tensors
from .labels import REDUCTIONS
from .operands import as_constant


def checked_target(op: str, input: V, target: Any, reduction: str) -> V:
    """The target as a Variable; ValueError unless it has input's shape, and unless there are numbers to average over.

    PyTorch would broadcast: (N, 1) beside (N,) compares each with every other.
    """
    one_of(op, "reduction", reduction, REDUCTIONS)
    check_tensors(op, {"input": input})
    if not isinstance(target, Variable):
        target = input.like(to_device(as_constant(op, target, input.data), device_of(input.data)))
    if input.data.shape != target.data.shape:
        advice = "write target.reshape(input.shape) where they hold as many numbers"
        both = f"input {input.data.shape} and target {target.data.shape}"
        raise ValueError(f"{op}: {both} must have one shape; {advice}")
    if reduction == "mean" and input.data.size == 0:
        raise ValueError(f"{op}: no numbers to average over, input has shape {input.data.shape}")
    return target
