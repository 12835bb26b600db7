"""The graph behind a tensor: DOT text, which Graphviz draws, and in a notebook the picture itself.

    print(loss.graph(model))                # the text; dot -Tsvg graph.dot > graph.svg draws it

It goes from top to bottom, as the forward pass does, and each arrow carries the shape of what passes along it. An op's
box names the layer and lists the parameters that it takes. Other tensors that nobody computed are boxes of their own:
solid where a gradient is asked for, dashed where not. ``backward()`` frees the graph: ask before it.
"""

import contextlib
import inspect
from itertools import groupby
from typing import Any

from . import notebook
from .autograd import topological_order
from .variable import Variable

# Ops by their pages. The outline tells the kind once more: to those who see no colours, and on grey paper.
PRODUCT = 'shape=box, penwidth=2, fillcolor="#8fbce6"'
NORMALISATION = 'shape=box, style="filled,rounded", fillcolor="#e4e4e4"'
ACTIVATION = 'shape=ellipse, fillcolor="#f7c873"'
POOLING = 'shape=invtrapezium, fillcolor="#9fd8a8"'
ARITHMETIC = 'shape=hexagon, fillcolor="#ffffff"'
SHAPE = 'shape=cds, fillcolor="#ffffff"'
LOSS = 'shape=doubleoctagon, fillcolor="#eba9a9"'
OWN = 'shape=component, fillcolor="#d9c2e9"'  # an op from outside of minicnn
STYLES = {  # what is not among them is ARITHMETIC
    "conv": PRODUCT, "conv_relu": PRODUCT, "conv_transpose": PRODUCT, "linear": PRODUCT, "batchnorm": NORMALISATION,
    "sync_batchnorm": NORMALISATION, "lrn": NORMALISATION,
    "activation": ACTIVATION, "softmax": ACTIVATION, "dropout": ACTIVATION,
    "max_pool": POOLING, "avg_pool": POOLING, "adaptive_avg_pool": POOLING, "interpolate": POOLING,
    "shape": SHAPE, "pad": SHAPE, "cross_entropy": LOSS, "soft_cross_entropy": LOSS, "mse_loss": LOSS, "nll_loss": LOSS,
    "smooth_l1_loss": LOSS, "all_gather": SHAPE, "reduce_scatter": SHAPE, "all_reduce": ARITHMETIC,
}  # fmt: skip
TRAINED, CONSTANT = 'shape=box, fillcolor="#ffffff"', 'shape=box, style="filled,dashed", fillcolor="#ffffff"'
RESULT = "shape=plaintext, style=solid"

HEAD = """digraph {
  ranksep=0.2; nodesep=0.2;
  node [fontname=Helvetica, fontsize=10, style=filled, height=0.2, margin="0.08,0.04"];
  edge [fontname=Helvetica, fontsize=9, arrowsize=0.6];"""


class Graph(str):
    """DOT text, which a notebook shows as a picture where Graphviz is there to draw it."""

    def _repr_mimebundle_(self, include=None, exclude=None):
        import subprocess  # slow to import, and only needed here

        try:
            drawn = subprocess.run(["dot", "-Tsvg"], input=self, capture_output=True, encoding="utf-8", check=True)
        except (OSError, subprocess.CalledProcessError):
            advice = "to see the picture, install Graphviz (apt install graphviz, brew install graphviz)"
            return {"text/plain": f"{self}// {advice}"}
        return {"text/plain": str(self), "image/svg+xml": drawn.stdout}

    def _ipython_display_(self):  # else IPython would show the text as it shows any other str
        notebook.show_as_value(self)


def to_dot(tensor: Variable, names: Any = None) -> Graph:
    """DOT text for the graph of `tensor`. RuntimeError if backward() has freed it.

    names: what its leaves are called: {name: tensor}, or pairs such as ``model.named_parameters()``; or a Module, whose
    parameters have names, and whose buffers (running statistics) then stand beside these.
    """
    named, buffers = _pairs(names)
    known = {id(tensor): name for name, tensor in named}
    nodes = topological_order(tensor.node) if tensor.node else []
    if any(node.freed for node in nodes):
        raise RuntimeError("graph(): backward() has freed the graph; ask before it, or pass it retain_graph=True")
    edges = [(edge, node) for node in nodes for edge in node.inputs if edge is not None and not _in_box(edge)]
    leaves = {id(edge.leaf): edge.leaf for edge, _ in edges if edge.node is None}
    if tensor.node is None:
        leaves[id(tensor)] = tensor
    numbers = {key: f"n{i}" for i, key in enumerate([*leaves, *nodes])}

    spine = _spine(nodes)
    lines = [_node(numbers[key], known.get(key, "tensor"), _leaf_style(leaf)) for key, leaf in leaves.items()]
    lines += [_node(numbers[node], _box(node, known, buffers), _style(node)) for node in nodes]
    for edge, node in edges:
        lines.append(_arrow(numbers[edge.node or id(edge.leaf)], numbers[node], edge.shape, edge in spine))
    lines.append(_node("result", known.get(id(tensor), "result"), RESULT))
    lines.append(_arrow(numbers[tensor.node or id(tensor)], "result", tensor.data.shape))
    return Graph("\n".join([HEAD, *lines, "}"]) + "\n")


def _pairs(names):
    """(name, tensor) of what may be a leaf; and of buffers."""
    if hasattr(names, "named_parameters"):  # a Module: they live above this file
        return list(names.named_parameters()), list(names.named_buffers())
    with contextlib.suppress(TypeError, ValueError):
        pairs = list(dict(names or {}).items())
        if all(isinstance(name, str) for name, _ in pairs):
            return pairs, []
    raise TypeError(f"graph(): names is a Module or {{name: tensor}}, not a {type(names).__name__}")


def _node(number, label, style):
    label = label.replace("\0", "\\0").replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'  {number} [label="{label}", {style}];'


def _arrow(start, end, shape, is_straight=False):
    return f'  {start} -> {end} [label=" {_size(shape)}"{", weight=9" if is_straight else ""}];'


def _in_box(edge):
    """Whether an op's input is a parameter, which stands in the op's box."""
    return edge.leaf is not None and edge.leaf.is_parameter


def _spine(nodes):
    """The edges of the longest way through the graph. Drawn as a straight line, it keeps the picture narrow."""
    longest = {}  # node: (how many nodes there are on the longest way to it, the edge that it comes in by)
    for node in nodes:
        ways = [(longest[edge.node][0] + 1, edge) for edge in node.inputs if edge is not None and edge.node is not None]
        longest[node] = max(ways, key=lambda way: way[0], default=(0, None))
    spine, edge = set(), longest[nodes[-1]][1] if nodes else None
    while edge is not None:
        spine.add(edge)
        edge = longest[edge.node][1]
    return spine


def _box(node, known, buffers):
    """What stands in an op's box: "layer1.0.conv2 Conv2d", and below that "weight 64 x 64 x 3 x 3"."""
    arguments = [*inspect.signature(type(node).forward).parameters][1:]  # what forward calls its inputs
    arguments += ["parameter"] * len(node.inputs)
    used = [(edge.leaf, word) for edge, word in zip(node.inputs, arguments, strict=False) if edge and _in_box(edge)]
    rows = [(known.get(id(parameter), word), parameter) for parameter, word in used]
    layers = {name.rpartition(".")[0] for name, parameter in rows if id(parameter) in known}
    title = type(node).__name__
    if len(layers) == 1:  # one layer's: its name is said once, and its buffers are listed, too
        (layer,) = layers
        rows += [(name, buffer) for name, buffer in buffers if name.rpartition(".")[0] == layer]
        rows = [(name.rpartition(".")[2], tensor) for name, tensor in rows]
        title = f"{layer} {title}".strip()
    lines = groupby(rows, lambda row: _size(row[1].data.shape))  # those of one shape share a line
    return "\n".join([title, *(f"{', '.join(name for name, _ in same)}  {shape}" for shape, same in lines)])


def _leaf_style(leaf):
    return TRAINED if leaf.requires_grad else CONSTANT


def _style(node):
    room, _, page = type(node).__module__.rpartition(".")
    return STYLES.get(page, ARITHMETIC) if room == "minicnn.ops" else OWN


def _size(shape):
    return " x ".join(map(str, shape)) or "number"
