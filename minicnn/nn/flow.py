"""How numbers flow through a network: its ops, each with the name of its layer, and from where each takes its input.

``Tensor.graph`` is the same as DOT text. This is for those who draw it themselves, or write it down in another form.
"""

from typing import Any, NamedTuple

from ..autograd import topological_order
from ..gradmode import enable_grad
from ..listening import listening
from ..tensor import Tensor
from .evaluating import keeping_modes
from .layers import Dropout, Identity
from .module import Module
from .watch import tensors_in, watch

INPUT = -1  # the number of what enters the network
PASSING = (Dropout, Identity)  # which let everything pass, in evaluation


class Step(NamedTuple):
    """One op of a network."""

    name: str  # "layer1.0.conv1"; of an op that is no layer, the name of the block that it is in, and its own
    op: str  # "Conv2d"
    inputs: tuple[int, ...]  # the numbers of the steps whose results it takes; INPUT
    shape: tuple[int, ...]  # of its result, without the batch
    parameters: int  # how many numbers are learned in it


def flow(model: Module, images: Any) -> list[Step]:
    """The ops that `images`, an array (N, C, H, W) where the network is, pass in evaluation mode, in order.

    The model is left as it was. Names are unique: "relu 2" is the second use of the layer relu.
    """
    names: dict[Any, str] = {}  # node -> the layer that has made it
    blocks: dict[Any, str] = {}  # node -> the block whose result it is

    def look(name, layer, x, y):
        for tensor in tensors_in(y) if not isinstance(layer, PASSING) else ():
            if tensor.node is not None:  # the first: what contains a layer has made nothing else
                (blocks if list(layer.children()) else names).setdefault(tensor.node, name)

    modules = [name for name, _ in model.named_modules()]
    x = Tensor(images, requires_grad=True)  # of frozen layers, too, there are nodes
    ran: list[Any] = []  # the nodes in the order in which they were made
    with keeping_modes(model), enable_grad(), watch(model, look, modules), listening(lambda node, *_: ran.append(node)):
        model.eval()
        results = tensors_in(model(x))
    layers = {id(p): name.rpartition(".")[0] for name, p in model.named_parameters()}
    shapes = {result.node: result.data.shape for result in results}
    needed = {node for result in results if result.node for node in topological_order(result.node)}
    nodes = [node for node in ran if node in needed]
    steps: list[Step] = []
    numbers: dict[Any, int] = {}
    taken: dict[str, int] = {}
    for node in nodes:
        for edge in filter(None, node.inputs):
            shapes.setdefault(edge.node, edge.shape)
    for node in nodes:
        edges = [edge for edge in node.inputs if edge is not None]
        inputs = tuple(numbers[edge.node] if edge.node else INPUT for edge in edges if edge.node or edge.leaf is x)
        weights = [edge.leaf for edge in edges if id(edge.leaf) in layers]
        own = names.get(node) or next((layers[id(weight)] for weight in weights), None)
        name = own or f"{blocks.get(node) or _block(steps, inputs)}.{type(node).__name__}".lstrip(".")
        taken[name] = taken.get(name, 0) + 1
        unique = name if taken[name] == 1 else f"{name} {taken[name]}"
        numbers[node] = len(steps)
        count = sum(weight.size for weight in weights)
        steps.append(Step(unique, type(node).__name__, inputs, tuple(shapes[node][1:]), count))
    return steps


def _block(steps, inputs):
    """Where an op is that is no layer: in the block of the step before it, "layer1.0"."""
    before = max(inputs, default=INPUT)
    return steps[before].name.rpartition(".")[0] if before != INPUT else ""
