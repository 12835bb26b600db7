"""Which ops a network runs on a picture, and what becomes of what: heard from ``Function.apply`` while it runs.

The network runs twice, on one picture of noise and then on two others. What is the same both times is part of the
network. Lengths of axes that differ are the batch's, and so are constants that are longer the second time and repeat
(zeros beside each picture). Anything else that differs depends on what is in the pictures: another op, a number that
was read out of a Tensor, a result that no op has made. Such a network is refused, as no fixed graph does its work.
"""

import itertools
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..autograd import Function
from ..device import host_array
from ..gradmode import enable_grad
from ..listening import listening
from ..nn import Module
from ..nn.evaluating import evaluating
from ..nn.trial import cannot_run, shapes_of_inputs
from ..nn.watch import tensors_in
from ..precision import precision
from ..tensor import Tensor
from ..types import Shape
from ..variable import Variable

# Options that may differ: they say the shape of the result, which is known; or where maxima stand, which is found anew
OWN = ("shape", "size", "winners")


class ExportError(ValueError):
    """This network cannot be written in another format; the message says which op is why."""


@dataclass
class Value:
    """An array in the network: an input, a parameter or a buffer, a constant, or what an op has made."""

    shape: Shape
    dtype: np.dtype
    lengths: tuple[int | None, ...] = ()  # as `shape`, with None where it depends on the number of pictures
    array: Any = None  # of parameters, buffers and constants; where the network is
    repeats: bool = False  # of a constant: `array`, (1, ...), once for each picture


@dataclass
class Step:
    """An op that ran: its class, the options of its ``forward``, its inputs (None: absent) and what it made."""

    op: type[Function]
    options: dict[str, Any]
    inputs: list[Any]  # Values
    output: Value

    @property
    def x(self) -> Value:
        """The first input, which is never absent."""
        return self.inputs[0]


@dataclass
class Network:
    """What is to be written: the steps in the order in which they ran, those on the way to the outputs alone."""

    name: str
    inputs: list[Value]
    steps: list[Step]
    outputs: list[Value]
    names: dict[int, str]  # of parameters and buffers: by the id of their arrays, the keys in state_dict()


def trace(model: Module, input_shape: Shape | list[Shape], known: Collection[type]) -> Network:
    """The ops of the model in evaluation mode; every module has its own mode again afterwards.

    input_shape: (C, H, W), of one picture, or a list of shapes for several inputs. known: the ops that can be written;
    the options of others are not looked at. TypeError for another input_shape; ValueError if the model cannot be run on
    such pictures; ExportError if what it does depends on what is in them.
    """
    shapes, name = shapes_of_inputs("onnx", input_shape), type(model).__name__
    like = next(itertools.chain(model.parameters(), model.buffers()), Tensor(np.zeros(1, np.float32)))
    runs = []
    for count, sign in ((1, 1), (2, -1)):  # numbers above 0, then below: whoever asks for their sign is found out
        rng = np.random.default_rng(count)
        pictures = [sign * rng.random((count, *shape)).astype(like.dtype) for shape in shapes]
        runs.append(_Run(model, [Tensor(array).to(like.device) for array in pictures]))
    names = {id(tensor.data): key for key, tensor in [*model.named_parameters(), *model.named_buffers()]}
    network = Network(name, runs[0].inputs, runs[0].steps, runs[0].outputs, names)
    _compare(name, runs[0], runs[1], known)
    network.steps = _needed(network)
    return network


class _Run:
    """One run, and what was heard of it."""

    def __init__(self, model: Module, pictures: list[Tensor]) -> None:
        self.steps: list[Step] = []
        # An op's result is known by its node, which an op in place exchanges; leaves are known by themselves
        self._values: dict[int, Value] = {}
        self._changes: dict[int, tuple[Any, int]] = {}
        self._kept: list[Any] = []  # whose id is in use
        self.name = type(model).__name__
        # in the graph, so that everything behind it is; and no leaves, which a model could not write over
        given = [tensor.requires_grad_() * 1 for tensor in pictures]
        self.inputs = [self._add(tensor, Value(tensor.shape, tensor.dtype)) for tensor in given]
        try:
            with evaluating(model), enable_grad(), precision("float32"), listening(self._hear), _quietly():
                results = tensors_in(model(*given))
        except ExportError:
            raise
        except Exception as error:  # whatever a network says to a picture that it does not take
            raise cannot_run("onnx", model, [tensor.shape[1:] for tensor in pictures], error) from error
        if not results:
            raise ExportError(f"onnx: {self.name} returns no Tensor")
        self.outputs = [self._value(tensor, _key(tensor)) for tensor in results]

    def _hear(self, node, inputs, options, result):
        op = type(node).__name__
        if not node.inputs and any(v is result for v in inputs):
            raise ExportError(f"onnx: {self.name} writes over a constant by {op} in place; use inplace=False")
        sources = node.inputs or inputs  # edges know what an input stood for before the op ran, in place perhaps
        keys = [_key(v if edge is None else edge) for edge, v in zip(sources, inputs, strict=True)]
        values = [self._value(v, key, v is result) for v, key in zip(inputs, keys, strict=True)]
        made = self._add(result, Value(result.data.shape, result.data.dtype))
        self.steps.append(Step(type(node), options, values, made))

    def _value(self, variable: Any, key: Any, overwritten: bool = False) -> Any:
        """What is known of a variable; a constant, where nothing is; None of None."""
        if variable is None:
            return None
        found = self._values.get(id(key))
        if found is None:
            array = variable.data
            found = self._values[id(key)] = Value(array.shape, array.dtype, array=array)
            self._kept.append(key)
        version, count = self._changes.setdefault(id(key), (variable.version, variable.version.count))
        if version is variable.version and version.count != count + overwritten:
            what = f"onnx: {self.name} writes into a Tensor of shape {variable.data.shape} where no graph is recorded"
            way_out = "use minicnn.cat, minicnn.where or x = x + y"
            raise ExportError(f"{what}, by x[...] = values or in no_grad(); {way_out}")
        return found

    def _add(self, variable, value):
        key = _key(variable)
        self._values[id(key)] = value
        self._changes[id(key)] = variable.version, variable.version.count
        self._kept.append(key)
        return value


def _quietly():
    return np.errstate(all="ignore")  # what noise overflows in a network is no news


def _key(source):
    """What a Variable, or an Edge, is known by."""
    node = getattr(source, "node", None)
    return getattr(source, "leaf", source) if node is None else node


def _compare(name, first, second, known):
    """Set ``lengths`` and ``repeats`` of the first run's values; ExportError where the runs differ in anything else."""
    for step, other in itertools.zip_longest(first.steps, second.steps):
        if step is None or other is None or step.op is not other.op:
            ops = [getattr(getattr(each, "op", None), "__name__", "the end") for each in (step, other)]
            raise _depends(name, f"{ops[0]} follows in one run and {ops[1]} in another")
        for key, option in step.options.items() if step.op in known else ():
            if key not in OWN and not _alike(option, other.options[key]):
                raise _depends(name, f"{step.op.__name__} has another {key} each time")
    pairs = [*zip(first.inputs, second.inputs, strict=True)]
    for step, other in zip(first.steps, second.steps, strict=True):
        pairs += zip([*step.inputs, step.output], [*other.inputs, other.output], strict=True)
    if len(first.outputs) != len(second.outputs):
        raise _depends(name, f"it returns {len(first.outputs)} Tensors in one run and {len(second.outputs)} in another")
    pairs += zip(first.outputs, second.outputs, strict=True)
    partners: dict[int, Value] = {}
    for value, other in pairs:
        if value is None and other is None:
            continue
        if value is None or other is None or partners.setdefault(id(value), other) is not other:
            raise _depends(name, "its ops take one another's results otherwise in another run")
        _match(name, value, other)


def _match(name, value, other):
    """Set what two runs tell of a value."""
    if len(value.shape) != len(other.shape) or (value.array is None) != (other.array is None):
        raise _depends(name, f"a Tensor of shape {value.shape} has shape {other.shape} in another run")
    value.lengths = tuple(a if a == b else None for a, b in zip(value.shape, other.shape, strict=True))
    if value.array is None or value.array is other.array:
        return
    value.repeats = value.shape != other.shape
    if value.repeats and (value.shape[:1] != (1,) or other.shape != (2, *value.shape[1:])):
        raise _depends(name, f"a constant has shape {value.shape} for one picture and {other.shape} for two")
    first, second = host_array(value.array), host_array(other.array)
    parts = (second[:1], second[1:]) if value.repeats else (second,)
    if not all(np.array_equal(first, part, equal_nan=first.dtype.kind == "f") for part in parts):
        what = f"a Tensor {value.shape} of {value.dtype} that no recorded op has made has other values each time"
        raise _depends(name, what)


def _depends(name, what):
    """The error for a network that does not do the same for all pictures."""
    return ExportError(
        f"onnx: what {name} does depends on what is in the pictures, or on how many there are: {what}; a file can only "
        "have ops on Tensors, without numbers read out of them (item, numpy, argmax, detach) in between"
    )


def _alike(a, b):
    """Whether an option of an op is the same in both runs."""
    if isinstance(a, (tuple, list)) and isinstance(b, (tuple, list)):
        return len(a) == len(b) and all(map(_alike, a, b))
    if isinstance(a, Variable) and isinstance(b, Variable):
        return _alike(a.data, b.data)
    if hasattr(a, "shape") and hasattr(b, "shape"):
        return np.array_equal(host_array(a), host_array(b))
    return type(a) is type(b) and a == b


def _needed(network):
    """The steps that its outputs depend on."""
    needed, steps = {id(value) for value in network.outputs}, []
    for step in reversed(network.steps):
        if id(step.output) in needed:
            needed |= {id(value) for value in step.inputs}
            steps.append(step)
    return steps[::-1]
