"""The ONNX nodes of an op: arithmetic, activations, sums, and what changes a shape only. As in layers.py."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ..device import host_array
from ..ops import activation, arithmetic, cast, choice, order, pad, reduction, rounding, shape, softmax
from ..types import Array
from ..variable import Variable
from .nodes import Nodes
from .trace import ExportError, Step

FIRST, LAST = int(np.iinfo(np.int64).min), int(np.iinfo(np.int64).max)  # ends of a slice: as far as there is something
STEPS = {np.floor: "Floor", np.ceil: "Ceil", np.rint: "Round", np.sign: "Sign"}


def as_array(value: Any) -> Array:
    """The array of an option, which may be a Tensor."""
    return value.data if isinstance(value, Variable) else value


def same(op: str) -> Callable[..., str]:
    """Of an op that ONNX has as it is, without options."""
    return lambda graph, step, *inputs: graph.add(op, *inputs)


def unchanged(graph: Nodes, step: Step, x: str) -> str:
    """No node: a copy, or a way to another device."""
    return x


def converted(graph: Nodes, step: Step, x: str) -> str:
    """Cast, where the dtype is another."""
    have, want = step.x.dtype, step.output.dtype
    return x if have == want else graph.add("Cast", x, to=graph.dtype(want))


def leaky_relu(graph: Nodes, step: Step, x: str) -> str:
    """LeakyRelu."""
    return graph.add("LeakyRelu", x, alpha=step.options["slope"])


def relu6(graph: Nodes, step: Step, x: str) -> str:
    """Clip between 0 and 6."""
    return graph.add("Clip", x, *(graph.number(bound, step.output) for bound in (0, 6)))


def clamp(graph: Nodes, step: Step, x: str) -> str:
    """Clip."""
    bounds = [step.options[name] for name in ("low", "high")]
    return graph.add("Clip", x, *(None if bound is None else graph.number(bound, step.output) for bound in bounds))


def power(graph: Nodes, step: Step, x: str) -> str:
    """Pow."""
    return graph.add("Pow", x, graph.number(step.options["exponent"], step.output))


def power_of(graph: Nodes, step: Step, x: str) -> str:
    """Pow of a number."""
    return graph.add("Pow", graph.number(step.options["base"], step.output), x)


def where(graph: Nodes, step: Step, a: str, b: str) -> str:
    """Where, of a mask that does not depend on the pictures."""
    return graph.add("Where", graph.constant(as_array(step.options["condition"])), a, b)


def rounded(graph: Nodes, step: Step, x: str) -> str:
    """Floor, Ceil, Round or Sign."""
    taken = step.options["step"]
    if taken not in STEPS:
        raise ExportError(f"onnx: {taken.__name__} has no counterpart in ONNX; x.sign() * x.abs().floor() has")
    return graph.add(STEPS[taken], x)


def reduced(op: str) -> Callable[..., str]:
    """ReduceSum, ReduceMean: over some axes."""

    def nodes(graph, step, x):
        axes = graph.integers(*step.options["axes"])
        return graph.add(op, x, axes, keepdims=int(step.options["keepdim"]), noop_with_empty_axes=1)

    return nodes


def extreme(graph: Nodes, step: Step, x: str) -> str:
    """ReduceMax or ReduceMin, over all axes."""
    op = "ReduceMax" if step.options["largest"] else "ReduceMin"
    return graph.add(op, x, keepdims=int(step.options["keepdim"]))


def picked(graph: Nodes, step: Step, x: str) -> str:
    """ReduceMax or ReduceMin, along an axis. ExportError for elements in order, as sort and topk have them."""
    if step.options.get("why") is None:
        raise ExportError("onnx: sort and topk have no counterpart here; x.max(dim).values and x.min(dim).values do")
    op = "ReduceMax" if step.options["why"] == "max" else "ReduceMin"
    return graph.add(op, x, graph.integers(step.options["axis"]), keepdims=int(step.options["keepdim"]))


def soft(op: str) -> Callable[..., str]:
    """Softmax, LogSoftmax."""
    return lambda graph, step, x: graph.add(op, x, axis=step.options["dim"])


def cumsum(graph: Nodes, step: Step, x: str) -> str:
    """CumSum."""
    return graph.add("CumSum", x, graph.integers(step.options["dim"]))


def padded(graph: Nodes, step: Step, x: str) -> str:
    """Pad."""
    before, behind = zip(*step.options["padding"], strict=True)
    return graph.add("Pad", x, graph.integers(*before, *behind), graph.number(step.options["value"], step.output))


def reshape(graph: Nodes, step: Step, x: str) -> str:
    """Reshape, whatever the number of pictures."""
    return graph.reshape(x, step.output.lengths)


def permute(graph: Nodes, step: Step, x: str) -> str:
    """Transpose."""
    return graph.add("Transpose", x, perm=step.options["dims"])


def expand(graph: Nodes, step: Step, x: str) -> str:
    """Expand."""
    have, want = step.x.lengths, step.output.lengths
    have = (1,) * (len(want) - len(have)) + have
    sizes = [1 if old is None else length for length, old in zip(want, have, strict=True)]  # what is there stays
    return graph.add("Expand", x, graph.sizes(sizes))


def concat(graph: Nodes, step: Step, *inputs: str) -> str:
    """Concat."""
    return graph.add("Concat", *inputs, axis=step.options["dim"])


def getitem(graph: Nodes, step: Step, x: str) -> str:
    """Slice, and Reshape where an axis comes or goes; Gather for an array of places along one axis."""
    parts, value = list(step.options["index"]), step.x
    arrays = [axis for axis, part in enumerate(parts) if not isinstance(part, shape.BASIC)]
    if arrays:
        return _gathered(graph, parts, arrays[0], x)
    kept = [part for part in parts if part is not None and part is not Ellipsis]
    if Ellipsis in parts:
        at = sum(part is not None for part in parts[: parts.index(Ellipsis)])
        kept[at:at] = [slice(None)] * (len(value.shape) - len(kept))
    cuts = [(axis, *_ends(part)) for axis, part in enumerate(kept) if part != slice(None)]
    if cuts:
        axes, starts, ends, steps = zip(*cuts, strict=True)
        x = graph.add("Slice", x, *(graph.integers(*each) for each in (starts, ends, axes, steps)))
    if all(isinstance(part, slice) for part in kept) and None not in parts:
        return x
    return graph.reshape(x, step.output.lengths)


def _gathered(graph, parts, axis, x):
    """x[:, places]."""
    places = host_array(as_array(parts[axis]))
    others = parts[:axis] + parts[axis + 1 :]
    if places.dtype.kind not in "iu" or not all(isinstance(part, slice) and part == slice(None) for part in others):
        what = "onnx: x[...] with a mask, or with an array beside other indices, has no counterpart in ONNX"
        raise ExportError(f"{what}; take one array of places beside full slices, or minicnn.where")
    return graph.add("Gather", x, graph.constant(places.astype(np.int64)), axis=axis)


def _ends(part):
    """(start, end, step) of an integer or a slice."""
    if not isinstance(part, slice):
        return int(part), LAST if part == -1 else int(part) + 1, 1
    step = 1 if part.step is None else int(part.step)
    first, last = (0, LAST) if step > 0 else (LAST, FIRST)
    return first if part.start is None else int(part.start), last if part.stop is None else int(part.stop), step


ELEMENTS: dict[Any, Callable[..., str]] = {
    activation.ReLU: same("Relu"),
    activation.Sigmoid: same("Sigmoid"),
    activation.Tanh: same("Tanh"),
    activation.LeakyReLU: leaky_relu,
    activation.ReLU6: relu6,
    arithmetic.ResidualAdd: same("Add"),
    arithmetic.Add: same("Add"),
    arithmetic.Sub: same("Sub"),
    arithmetic.Mul: same("Mul"),
    arithmetic.Div: same("Div"),
    arithmetic.Neg: same("Neg"),
    arithmetic.Exp: same("Exp"),
    arithmetic.Log: same("Log"),
    arithmetic.Abs: same("Abs"),
    arithmetic.Pow: power,
    arithmetic.PowerOf: power_of,
    arithmetic.Clamp: clamp,
    cast.Cast: converted,
    choice.Where: where,
    choice.Larger: same("Max"),
    choice.Smaller: same("Min"),
    order.CumSum: cumsum,
    pad.Pad: padded,
    reduction.Sum: reduced("ReduceSum"),
    reduction.Mean: reduced("ReduceMean"),
    reduction.ExtremeOfAll: extreme,
    reduction.Pick: picked,
    rounding.Step: rounded,
    shape.Reshape: reshape,
    shape.Permute: permute,
    shape.Expand: expand,
    shape.GetItem: getitem,
    shape.Cat: concat,
    shape.ToDevice: unchanged,
    softmax.Softmax: soft("Softmax"),
    softmax.LogSoftmax: soft("LogSoftmax"),
}
