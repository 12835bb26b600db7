"""One run of a network on a picture of noise, and what its graph tells: which layer has made what another one takes.

Names and the order of attributes do not tell that; the graph does (autograd.py), whatever a network's ``forward`` looks
like. Every op on what has come out of the picture is a node of it, which knows the nodes and the parameters it takes.
"""

import itertools
from collections import Counter
from typing import Any, NamedTuple

import numpy as np

from ..autograd import topological_order
from ..device import to_host
from ..gradmode import enable_grad
from ..precision import precision
from ..settings import whole
from ..tensor import Tensor
from ..types import Array, Shape
from .evaluating import evaluating
from .module import Module
from .watch import tensors_in, watch
from .weighted import Conv2d

SIDES = 64, 224, 300  # pixels of the pictures that are tried: one of them fits every network of minicnn.models


class Call(NamedTuple):
    """y = module(x): the nodes of the graph that both came out of, None where it is not one Tensor."""

    name: str  # the module's
    x: Any
    y: Any
    axes: int  # of y
    passing: list[Any]  # the nodes of all Tensors that went in or came out


def shapes_of_inputs(owner: str, input_shape: Any) -> list[Shape]:
    """The shapes of all inputs of a network, without the batch, of (C, H, W) or of a list of such shapes; TypeError for
    anything else, in the name of `owner`."""
    if not isinstance(input_shape, (tuple, list)) or not input_shape:
        raise TypeError(f"{owner}: input_shape is (C, H, W), or a list of shapes, not {input_shape!r:.60}")
    several = all(isinstance(shape, (tuple, list)) for shape in input_shape)
    shapes: Any = input_shape if several else [input_shape]
    return [tuple(whole(owner, "a size of input_shape", size) for size in shape) for shape in shapes]


def cannot_run(owner: str, model: Module, shapes: list[Shape], error: Exception) -> ValueError:
    """What `owner` raises of a model that has raised `error` on noise of these shapes."""
    what = f"{type(model).__name__} cannot be run on noise of shape {', '.join(map(str, shapes))}"
    advice = "give input_shape=(C, H, W) of what it takes, or a list of such shapes"
    return ValueError(f"{owner}: {what} ({type(error).__name__}: {error}); {advice}")


class Trial:
    """The run, in evaluation mode, in float32 or float64 as the parameters are, of a model that is left as it is.

    calls: of all its modules, in the order in which they ended. input_shape: as of ``fuse``; ValueError if the model
    cannot be run.
    """

    def __init__(self, model: Module, input_shape: Shape | list[Shape] | None) -> None:
        self.model, self.calls = model, list[Call]()
        results = self._first_run(input_shape)
        self.results = to_host(*(tensor.data for tensor in results))
        ends = [tensor.node for tensor in results if tensor.node is not None]
        nodes = dict.fromkeys(node for end in ends for node in topological_order(end))
        edges = [edge for node in nodes for edge in node.inputs if edge is not None]
        taken = [edge.leaf if edge.node is None else edge.node for edge in edges]
        self._uses = Counter(map(id, [*taken, *ends]))  # everything counted is still there: no id is another's

    def calls_of(self, name: str) -> list[Call]:
        """Those of one layer."""
        return [call for call in self.calls if call.name == name]

    def uses(self, made: Any) -> int:
        """How often ops on the way to the model's results take what a node has made, or a parameter; that a result is
        this counts, too."""
        return self._uses[id(made)]

    def again(self) -> list[Array]:
        """The model's results on the same picture, as it is now."""
        with evaluating(self.model), precision("float32"):
            return to_host(*(tensor.data for tensor in tensors_in(self.model(*self._inputs(False)))))

    def _first_run(self, input_shape):
        """The model's results, with their graph, on the pictures that are then `self.pictures`."""
        for shapes in self._shapes(input_shape):
            self.pictures = [np.random.default_rng(0).standard_normal((1, *shape)) for shape in shapes]
            self.calls.clear()
            watching = watch(self.model, self._look, [name for name, _ in self.model.named_modules()])
            try:
                with evaluating(self.model), enable_grad(), precision("float32"), watching, np.errstate(all="ignore"):
                    return tensors_in(self.model(*self._inputs(True)))
            except Exception as error:  # whatever a network says to a picture that it does not take
                refusal, tried = error, shapes
        raise cannot_run("fuse", self.model, tried, refusal) from refusal

    def _shapes(self, input_shape):
        """Lists of the shapes of all inputs, without the batch, that may fit."""
        if input_shape is None:
            first = next((layer for layer in self.model.modules() if isinstance(layer, Conv2d)), None)
            return [[(3 if first is None else first.in_channels, side, side)] for side in SIDES]
        return [shapes_of_inputs("fuse", input_shape)]

    def _inputs(self, in_graph):
        like = next(itertools.chain(self.model.parameters(), self.model.buffers()))
        tensors = [Tensor(array.astype(like.dtype)).to(like.device) for array in self.pictures]
        # no leaves of the graph, which a model could not write over
        return [tensor.requires_grad_() * 1 for tensor in tensors] if in_graph else tensors

    def _look(self, name, module, x, y):
        x_node, y_node = (tensor.node if isinstance(tensor, Tensor) else None for tensor in (x, y))
        passing = [tensor.node for tensor in tensors_in([x, y])]
        self.calls.append(Call(name, x_node, y_node, getattr(y, "ndim", 0), passing))
