"""A network as an ONNX file, which runs elsewhere: in onnxruntime, on phones, in browsers, in Netron to look at."""

from pathlib import Path
from typing import Any

from ..nn import Module
from ..settings import kind_of
from ..storage.files import atomic_write
from ..types import Shape
from .elements import ELEMENTS
from .layers import LAYERS
from .nodes import BATCH, Nodes
from .trace import ExportError, Network, trace

OPSET = 21  # of ONNX 1.16, April 2024: onnxruntime reads it since 1.18
MOST_BYTES = 2**31 - 2**24  # of weights: protocol buffers end at 2^31, and there are nodes as well
NODES = LAYERS | ELEMENTS
WITHOUT = {  # ops whose absence says more than that
    "Dropout": "it draws random numbers, in evaluation, too; F.dropout takes training=self.training",
    "AllGather": "it needs other processes; export the whole network",
    "AllReduce": "it needs other processes; export the whole network",
}


def onnx(model: Module, path: Path | str, input_shape: Shape | list[Shape]) -> None:
    """Write a network as an ONNX file (opset 21), for any number of pictures of one size. Needs the package onnx.

        minicnn.export.onnx(model, "resnet18.onnx", (3, 224, 224))

    The network is written as it is in evaluation mode, in float32 or float64 as its weights are; its modes stay as they
    are. Its input is called "input", (batch, C, H, W), its result "output"; of several, "input0", "input1" ... Weights
    have their names in ``state_dict()``. A network that ``minicnn.fuse`` has made will do, too, and is smaller.

    input_shape: (C, H, W) of a picture, or a list of shapes for a network of several inputs.
    ValueError if the network does not take such pictures; ExportError (a ValueError) for an op that ONNX does not have
    and for a network that does not do the same for all pictures; OSError if the file cannot be written. The file has
    passed ONNX's full check before it appears, and what stood there before stays until then.
    """
    library = _library()
    if not isinstance(model, Module):
        raise TypeError(f"onnx: takes a Module, not a {kind_of(model)}")
    content = _content(library, trace(model, input_shape, NODES.keys()))
    with atomic_write(path) as file:
        file.write(content)


def _library():
    try:
        import onnx  # an optional package
    except ImportError:
        raise ImportError("onnx: needs the package onnx, which is not installed; pip install 'minicnn[onnx]'") from None
    return onnx


def _content(library: Any, network: Network) -> bytes:
    """The bytes of the file."""
    graph = Nodes(library, network)
    for step in network.steps:
        if step.output.dtype.kind != "f":
            what = f"onnx: {network.name} runs {step.op.__name__} on {step.output.dtype}"
            raise ExportError(f"{what}; export networks of float32 or float64")
        graph.made(step, _nodes_of(network, graph, step))
    inputs = [_described(library, graph.name_of(value), value) for value in network.inputs]
    outputs = []
    for i, value in enumerate(network.outputs):
        name = f"output{i}" if len(network.outputs) > 1 else "output"
        graph.nodes.append(library.helper.make_node("Identity", [graph.name_of(value)], [name], name))
        outputs.append(_described(library, name, value))
    size = sum(len(tensor.raw_data) for tensor in graph.constants.values())
    if size > MOST_BYTES:
        what = f"onnx: {network.name} has {size:,} bytes of weights"
        raise ExportError(f"{what}, and a file takes at most {MOST_BYTES:,}; export its parts")
    parts = library.helper.make_graph(graph.nodes, network.name, inputs, outputs, list(graph.constants.values()))
    opsets = [library.helper.make_opsetid("", OPSET)]
    model = library.helper.make_model(
        parts,
        opset_imports=opsets,
        ir_version=library.helper.find_min_ir_version_for(opsets),
        producer_name="minicnn",
    )
    library.checker.check_model(model, full_check=True)
    return model.SerializeToString()


def _nodes_of(network, graph, step):
    """The name of what the nodes of a step make."""
    op = step.op.__name__
    if step.op not in NODES:
        own = step.op.__module__.startswith("minicnn.")
        reason = WITHOUT.get(op, "write it with others, or leave it out" if own else "write it with minicnn's own ops")
        raise ExportError(f"onnx: {network.name} runs the op {op}, which has no counterpart in ONNX: {reason}")
    return NODES[step.op](graph, step, *map(graph.name_of, step.inputs))


def _described(library, name, value):
    """An input or an output of the graph: its dtype and shape."""
    kind = library.helper.np_dtype_to_tensor_dtype(value.dtype)
    pairs = zip(value.shape, value.lengths, strict=True)  # an axis of several positions a picture has no name
    sizes = [BATCH if length is None and of_one == 1 else length for of_one, length in pairs]
    return library.helper.make_tensor_value_info(name, kind, sizes)
