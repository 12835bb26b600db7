"""summary: the table of a network's layers that lectures draw, with its totals."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import notebook
from ..console import say
from ..settings import kind_of, whole
from ..tensor import Tensor
from ..types import Shape
from .evaluating import evaluating
from .module import Module
from .watch import tensors_in, watch
from .weighted import Conv2d, ConvTranspose2d, Linear

HEADER = ["layer", "filter / stride, pad", "output volume", "parameters", "multiply-adds", "activations"]

WITH_NEURONS = Conv2d, ConvTranspose2d, Linear


@dataclass(frozen=True)
class Row:
    """One use of a layer, for one image; or parameters that none of those rows has."""

    layer: str  # "features.0 Conv2d"
    window: str  # "11x11 / 4, pad 2": filter, stride, padding
    output: tuple  # the output volume, without the batch; a tuple of them where the layer makes several tensors
    parameters: int  # that no row above has: a shared layer's stand where it is used first
    multiply_adds: int
    activation_bytes: int  # of the output; 0 where the layer writes into its input
    neurons: int = 0  # the numbers that a convolution or a fully connected layer puts out; no other layer has any


@dataclass(frozen=True)
class Summary:
    """The rows of ``summary`` and, as text, the table."""

    rows: list

    @property
    def parameters(self) -> int:
        """Weights and biases, a shared one counted once."""
        return sum(row.parameters for row in self.rows)

    @property
    def multiply_adds(self) -> int:
        """Of convolutions and fully connected layers, for one image."""
        return sum(row.multiply_adds for row in self.rows)

    @property
    def activation_bytes(self) -> int:
        """Of all outputs, in float32, for one image."""
        return sum(row.activation_bytes for row in self.rows)

    @property
    def neurons(self) -> int:
        """Outputs of convolutions and fully connected layers, for one image: as papers count neurons."""
        return sum(row.neurons for row in self.rows)

    def _table(self):
        """Texts: of the header, of each row, of the total, whose neurons stand in the column of filters."""
        neurons = f"{self.neurons:,} neurons"
        total = Row("total", neurons, (), self.parameters, self.multiply_adds, self.activation_bytes)
        return [HEADER, *map(_texts, self.rows), _texts(total)]

    def __str__(self):
        table = self._table()
        widths = [max(len(line[i]) for line in table) for i in range(len(HEADER))]
        lines = [
            "  ".join(t.ljust(w) if i < 3 else t.rjust(w) for i, (t, w) in enumerate(zip(r, widths, strict=True)))
            for r in table
        ]
        rule = "-" * len(lines[0])
        return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1]])

    def _repr_mimebundle_(self, include=None, exclude=None):
        header, *rows, total = self._table()
        parts = ("thead", "th", [header]), ("tbody", "td", rows), ("tfoot", "th", [total])
        table = f"<table>{''.join(_html(*part) for part in parts)}</table>"
        return {"text/plain": str(self), "text/html": table}

    def _ipython_display_(self):
        notebook.show_as_value(self)


def summary(model: Module, input_shape: Shape | list[Shape]) -> Summary:
    """Print, and return, the table of `model`'s layers for one image of `input_shape` (C, H, W). A notebook shows it.

    input_shape: a list of shapes for a model that takes several inputs. Multiply-adds are those of convolutions and
    fully connected layers, whose outputs the last line counts as neurons; activations are float32 outputs. Found by
    running one image of zeros through the model in evaluation mode; the model is left as it was. Parameters that belong
    to no layer, or to one that did not run, have a row without output behind the others: the total is that of
    ``model.parameters()``.
    """
    if not isinstance(model, Module):
        raise TypeError(f"summary: is of a Module, not of a {kind_of(model)}")
    if not isinstance(input_shape, (tuple, list, np.ndarray)) or not len(input_shape):
        raise TypeError(f"summary: input_shape is (C, H, W), or a list of shapes, not {input_shape!r}")
    shapes: Any = input_shape if all(isinstance(shape, (tuple, list)) for shape in input_shape) else [input_shape]
    parameter = next(model.parameters(), None)
    dtype, device = (np.float32, "cpu") if parameter is None else (parameter.dtype, parameter.device)
    sizes = [[whole("summary", "a size of input_shape", size, 0) for size in shape] for shape in shapes]
    images = [Tensor(np.zeros((1, *volume), dtype)).to(device) for volume in sizes]
    rows: list[Row] = []
    counted: set[int] = set()  # ids of parameters
    with evaluating(model), watch(model, lambda name, layer, x, y: rows.append(_row(name, layer, x, y, counted))):
        model(*images)
    for name, module in model.named_modules():
        if count := _count(module, counted):
            rows.append(Row(_label(name, module), "", (), count, 0, 0))
    result = Summary(rows)
    if not notebook.show(result):
        say(result)
    return result


def _row(name, layer, x, y, counted):
    """The row of a layer that has made y of x; both may be several tensors."""
    made, versions = tensors_in(y), [tensor.version for tensor in tensors_in(x)]
    own = [tensor for tensor in made if tensor.version not in versions]  # not in place, no view: with its own memory
    volumes = tuple(tensor.shape[1:] for tensor in made)
    output = volumes[0] if len(volumes) == 1 else volumes
    inputs, outputs, memory = (sum(tensor.size for tensor in tensors) for tensors in (tensors_in(x), made, own))
    neurons = outputs if isinstance(layer, WITH_NEURONS) else 0
    costs = _count(layer, counted), _multiply_adds(layer, inputs, outputs), 4 * memory, neurons
    return Row(_label(name, layer), _window(layer), output, *costs)


def _label(name, module):
    return f"{name} {type(module).__name__}".strip()


def _count(module, counted):
    """How many parameters the module itself has that are not among those counted, which they then are."""
    new = {id(p): p.size for p in module.parameters(recurse=False) if id(p) not in counted}
    counted.update(new)
    return sum(new.values())


def _multiply_adds(module, inputs, outputs):
    if isinstance(module, Conv2d):
        return outputs * math.prod(module.weight.shape[1:])
    if isinstance(module, ConvTranspose2d):  # each number of its input meets all weights of its channel
        return inputs * math.prod(module.weight.shape[1:])
    if isinstance(module, Linear):
        return outputs * module.in_features
    return 0


def _window(module):
    """Filter, stride and padding of a layer with a window, such as "11x11 / 4, pad 2"."""
    if not all(hasattr(module, name) for name in ("kernel_size", "stride", "padding")):
        return ""
    kernel, stride, padding = (_sizes(v) for v in (module.kernel_size, module.stride, module.padding))
    return f"{kernel if 'x' in kernel else f'{kernel}x{kernel}'} / {stride}, pad {padding}"


def _sizes(value):
    values = value if isinstance(value, (tuple, list)) else (value,)
    return str(values[0]) if len(set(values)) == 1 else "x".join(map(str, values))


def _texts(row):
    """The columns of a row as text."""
    volumes = row.output if any(isinstance(size, tuple) for size in row.output) else [row.output]
    output = ", ".join(" x ".join(map(str, volume)) for volume in volumes)
    costs = f"{row.parameters:,}", f"{row.multiply_adds:,}", f"{row.activation_bytes / 1024:,.0f} KiB"
    return [row.layer, row.window, output, *costs]


def _html(part, cell, rows):
    """A part of an HTML table: texts to the left, numbers to the right."""
    import html  # slow to import, and only needed here

    style = [f' style="text-align:{"left" if i < 3 else "right"}"' for i in range(len(HEADER))]
    cells = ("".join(f"<{cell}{s}>{html.escape(t)}</{cell}>" for s, t in zip(style, row, strict=True)) for row in rows)
    return f"<{part}>{''.join(f'<tr>{row}</tr>' for row in cells)}</{part}>"
