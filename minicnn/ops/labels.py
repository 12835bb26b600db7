"""Labels, probabilities and class weights, looked at before a loss (``cross_entropy``, ``nll_loss``) is worked out.

A label says which element of the scores is read, and written on the way back: one out of range must not come that far.
Labels on the processor are looked at here; those on the GPU by the kernel, since here one would wait for them.
"""

from typing import Any

import numpy as np

from ..device import array_module, device_of, plain_array
from ..precision import wide_dtype
from ..settings import one_of, whole
from ..variable import Variable, is_float
from .arguments import check_tensors

INT64 = np.iinfo(np.int64)  # what kernels take labels as
REDUCTIONS = ("mean", "sum", "none")
OFF_ONE = 1e-3  # how far the probabilities of a row may be from a sum of 1: they may have been rounded to 16 bits


def checked_labels(op: str, x: Variable, target: Any, weight: Any, ignore_index: int, reduction: str) -> dict[str, Any]:
    """The arguments behind the scores x (N, C, ...), by name: target and weight as Variables or arrays.

    IndexError for a label that is no class, ValueError where shapes do not fit or there is no label to count, TypeError
    for labels that are no integers or a weight of another dtype.
    """
    reduction = one_of(op, "reduction", reduction, REDUCTIONS)
    ignore_index = whole(op, "ignore_index", ignore_index, INT64.min, INT64.max)
    check_tensors(op, {"input": x})
    target, weight = _checked_target(op, x, target), _checked_weight(op, x, weight)
    labels = target.data if isinstance(target, Variable) else target
    if labels.size == 0 and reduction == "mean":  # their sum is 0: of a process without rows of a batch, for instance
        raise ValueError(f"{op}: no labels to average over, target has shape {labels.shape}")
    if device_of(labels) == "cpu":  # last: on the GPU a kernel does it, after all that can be seen from here
        _check_labels(op, labels, x.data.shape, ignore_index, reduction)
    return {"target": target, "weight": weight, "ignore_index": ignore_index, "reduction": reduction}


def are_probabilities(x: Variable, target: Any) -> bool:
    """Whether `target` is no label for each row of the scores x, but a number for each class of each row."""
    array = target.data if isinstance(target, Variable) else plain_array(target)
    return isinstance(x, Variable) and is_float(array.dtype) and array.shape == x.data.shape


def checked_probabilities(
    op: str, x: Variable, target: Any, weight: Any, ignore_index: int, reduction: str
) -> dict[str, Any]:
    """The arguments behind the scores x (N, C, ...), by name: target, of the same shape, and weight as Variables or
    arrays.

    ValueError for rows that are no probabilities (those on the GPU are not waited for: they become NaN), where there
    are no rows to average over, or for an ignore_index from 0 up; TypeError for a target that requires a gradient or
    has another dtype.
    """
    reduction = one_of(op, "reduction", reduction, REDUCTIONS)
    if whole(op, "ignore_index", ignore_index, INT64.min, INT64.max) >= 0:
        raise ValueError(f"{op}: ignore_index={ignore_index} goes with labels, and target holds probabilities")
    target, weight = _variable_or_array(target), _checked_weight(op, x, weight)
    array = target.data if isinstance(target, Variable) else target
    if isinstance(target, Variable) and target.requires_grad:
        raise TypeError(f"{op}: target requires a gradient, but gets none here; pass target.detach()")
    if array.dtype != wide_dtype(x.data.dtype):  # beside bfloat16 scores they are float32
        raise TypeError(f"{op}: target is {array.dtype}, input is {x.data.dtype}; convert one by .astype(...)")
    if array.ndim < 2:
        raise ValueError(f"{op}: input must be (N, C, ...), got {array.shape}")
    if not array.size and reduction == "mean":
        raise ValueError(f"{op}: no rows to average over, target has shape {array.shape}")
    sums = array.sum(axis=1, keepdims=True)  # (N, 1, ...)
    good = (array >= 0).all(axis=1, keepdims=True) & (abs(sums - 1) <= OFF_ONE)  # NaN is never good
    if device_of(array) == "cuda":  # nobody waits for it
        target = array_module(array).where(good, array, np.nan)
    elif not good.all():
        n, _, *place = np.argwhere(~good)[0].tolist()
        row, where = array[(n, slice(None), *place)], f"row {n}" + f" at {tuple(place)}" * bool(place)
        wrong = f"sums to {row.sum():g}" if row.min() >= 0 else f"has {row.min():g}"
        raise ValueError(f"{op}: target must hold probabilities, none below 0 and 1 in all; {where} {wrong}")
    return {"target": target, "weight": weight, "reduction": reduction}


def _checked_target(op, x, target):
    """target as a Variable or an array, wherever it lies."""
    target = _variable_or_array(target)
    array = target.data if isinstance(target, Variable) else target
    if array.dtype.kind not in "iu":
        or_all = "" if op == "nll_loss" else f", or probabilities of input's shape {x.data.shape}"
        got = f"got {array.dtype} {array.shape}"
        raise TypeError(f"{op}: target must hold integer class numbers{or_all}; {got}")
    shape = x.data.shape
    if x.data.ndim < 2 or array.shape != (shape[0], *shape[2:]):
        what = f"{op}: input must be (N, C, ...) and target (N, ...), one label for each row of C scores"
        raise ValueError(f"{what}; got input {shape} and target {array.shape}")
    return target


def _check_labels(op, target, shape, ignore_index, reduction):
    """IndexError for a label that is no class, ValueError if there is none to average over."""
    if target.size == 0:
        return
    if not 0 <= ignore_index < shape[1] and target.min() >= 0 and target.max() < shape[1]:
        return  # all count, and all are classes: the usual case, for which nothing is copied
    counted = target[target != ignore_index]
    if counted.size == 0:
        if reduction == "mean":
            raise ValueError(f"{op}: no labels to average over, all of target, shape {target.shape}, are ignored")
        return
    if counted.min() < 0 or counted.max() >= shape[1]:
        wrong = counted.min() if counted.min() < 0 else counted.max()
        raise IndexError(f"{op}: target holds label {wrong}; input {shape} has classes 0 to {shape[1] - 1}")


def _checked_weight(op, x, weight):
    """weight as a Variable or an array, wherever it lies; None stays None."""
    if weight is None:
        return None
    weight = _variable_or_array(weight)
    array = weight.data if isinstance(weight, Variable) else weight
    if isinstance(weight, Variable) and weight.requires_grad:
        raise TypeError(f"{op}: weight requires a gradient, but gets none here; pass weight.detach()")
    if array.shape != (x.data.shape[1],):
        raise ValueError(f"{op}: weight must be ({x.data.shape[1]},), one per class, got {array.shape}")
    if array.dtype != wide_dtype(x.data.dtype):  # beside bfloat16 scores they are float32
        raise TypeError(f"{op}: weight is {array.dtype}, input is {x.data.dtype}; convert one by .astype(...)")
    return weight


def _variable_or_array(value):
    """A Variable as it is, anything else as an array of either device."""
    return value if isinstance(value, Variable) else plain_array(value)
