"""The graph behind a tensor, as DOT text: ``dot -Tsvg graph.dot > graph.svg`` draws it.

Boxes are tensors that nobody computed (parameters, inputs) with their shapes, ellipses are ops with the shape of what
they need for backward, arrows point the way of the forward pass. ``backward()`` frees the graph: ask before it.
"""

from .autograd import topological_order
from .variable import Variable


def to_dot(tensor: Variable, names: dict[str, Variable] | None = None) -> str:
    """DOT text for the graph of `tensor`.

    names: {name: tensor}, such as ``dict(model.named_parameters())``, labels the leaves.
    """
    labels = {id(t): name for name, t in (names or {}).items()}
    lines = ["digraph {", '  rankdir="BT"; node [fontname="monospace"];']
    nodes = topological_order(tensor.node) if tensor.node else []
    shapes = {tensor.node: tensor.data.shape}
    leaves = {}
    for node in reversed(nodes):
        for edge in node.inputs:
            if edge is None:
                continue
            if edge.node is None:
                leaves[id(edge.leaf)] = edge.leaf
            else:
                shapes[edge.node] = edge.shape
    numbers = {key: f"n{i}" for i, key in enumerate([*leaves, *nodes] or [id(tensor)])}
    for key, leaf in leaves.items() if nodes else {id(tensor): tensor}.items():
        colour = "lightblue" if leaf.requires_grad else "white"
        label = f"{labels.get(key, 'tensor')}\\n{_shape(leaf.data.shape)}"
        lines.append(f'  {numbers[key]} [shape=box, style=filled, fillcolor={colour}, label="{label}"];')
    for node in nodes:
        lines.append(f'  {numbers[node]} [label="{type(node).__name__}\\n{_shape(shapes[node])}"];')
        for edge in node.inputs:
            if edge is not None:
                start = numbers[edge.node or id(edge.leaf)]
                lines.append(f"  {start} -> {numbers[node]};")
    return "\n".join([*lines, "}"]) + "\n"


def _shape(shape):
    return " x ".join(map(str, shape)) or "number"
