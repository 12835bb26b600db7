"""What an ONNX graph is built with: nodes, constants, shapes that leave the number of pictures open."""

from typing import Any

import numpy as np

from ..device import host_array
from ..types import Array
from .trace import ExportError, Network, Step, Value

BATCH = "batch"  # the name of the axis whose length is open


class Nodes:
    """The nodes and constants of a graph; what they make is known by its name, as ONNX has it."""

    def __init__(self, onnx: Any, network: Network) -> None:
        self._onnx = onnx
        self.nodes: list[Any] = []
        self.constants: dict[str, Any] = {}  # by name, the tensors of the file
        self._names: dict[int, str] = {}  # by the id of a Value
        self._arrays: dict[int, tuple[Array, str]] = {}  # by the id of an array that is kept: its name
        self._known = network.names
        many = len(network.inputs) > 1
        for i, value in enumerate(network.inputs):
            self._names[id(value)] = f"input{i}" if many else "input"
        self.first_input = self._names[id(network.inputs[0])]

    def add(self, op: str, *inputs: str | None, **attributes: Any) -> str:
        """A node of one output, whose name is returned. None: an optional input that is left out."""
        name = f"{op}_{len(self.nodes)}"
        given = ["" if each is None else each for each in inputs]
        while given and not given[-1]:
            given.pop()
        self.nodes.append(self._onnx.helper.make_node(op, given, [name], name, **attributes))
        return name

    def constant(self, array: Array) -> str:
        """An array in the file; of a parameter or a buffer it has that one's name."""
        if id(array) not in self._arrays:  # else two ops take it
            name, values = self._known.get(id(array), f"constant_{len(self.constants)}"), host_array(array)
            self.constants[name] = self._onnx.numpy_helper.from_array(np.array(values, order="C"), name)
            self._arrays[id(array)] = array, name
        return self._arrays[id(array)][1]

    def dtype(self, dtype: np.dtype) -> int:
        """ONNX's number of a dtype."""
        return self._onnx.helper.np_dtype_to_tensor_dtype(dtype)

    def integers(self, *values: int) -> str:
        """A constant of whole numbers: axes, sizes."""
        return self.constant(np.array(values, np.int64))

    def sizes(self, lengths: Any) -> str:
        """A shape, in which None is the number of pictures."""
        if None not in lengths:
            return self.integers(*lengths)
        pictures = self.add("Shape", self.first_input, start=0, end=1)
        return self.add("Concat", *(pictures if n is None else self.integers(n) for n in lengths), axis=0)

    def number(self, value: float, like: Value) -> str:
        """A constant without axes, of the dtype of `like`."""
        return self.constant(np.array(value, like.dtype))

    def reshape(self, x: str, lengths: Any) -> str:
        """x in the shape `lengths`; None: an axis that is as long as the number of pictures has it be. ExportError for
        two of these."""
        if lengths.count(None) > 1:
            raise ExportError("onnx: a Reshape to two axes that depend on the number of pictures has no counterpart")
        return self.add("Reshape", x, self.integers(*(-1 if length is None else length for length in lengths)))

    def name_of(self, value: Value | None) -> str | None:
        """What a value is called in the graph; a constant gets into it here."""
        if value is None:
            return None
        if id(value) not in self._names:
            name = self.constant(value.array)
            self._names[id(value)] = self.add("Expand", name, self.sizes(value.lengths)) if value.repeats else name
        return self._names[id(value)]

    def made(self, step: Step, name: str) -> None:
        """What the op has made is called so."""
        self._names[id(step.output)] = name
