"""summary: the table of a network's layers that lectures draw, with its totals."""

import math
from dataclasses import dataclass, fields

import numpy as np

from ..autograd import no_grad
from ..console import say
from ..tensor import Tensor
from .layers import Conv2d, Linear
from .watch import watch


@dataclass(frozen=True)
class Row:
    """One layer, for one image."""

    layer: str  # "features.0 Conv2d"
    window: str  # "11x11 / 4, pad 2": filter, stride, padding
    output: tuple  # the output volume, without the batch
    parameters: int
    multiply_adds: int
    activation_bytes: int  # of the output; 0 where the layer writes into its input


@dataclass(frozen=True)
class Summary:
    """The rows of ``summary`` and, as text, the table."""

    rows: list

    @property
    def parameters(self):
        return sum(row.parameters for row in self.rows)

    @property
    def multiply_adds(self):
        return sum(row.multiply_adds for row in self.rows)

    @property
    def activation_bytes(self):
        return sum(row.activation_bytes for row in self.rows)

    def __str__(self):
        header = ["layer", "filter / stride, pad", "output volume", "parameters", "multiply-adds", "activations"]
        body = [_texts(row) for row in self.rows]
        total = Row("total", "", (), self.parameters, self.multiply_adds, self.activation_bytes)
        table = [header, *body, _texts(total)]
        widths = [max(len(line[i]) for line in table) for i in range(len(fields(Row)))]
        lines = [
            "  ".join(t.ljust(w) if i < 3 else t.rjust(w) for i, (t, w) in enumerate(zip(r, widths, strict=True)))
            for r in table
        ]
        rule = "-" * len(lines[0])
        return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1]])


def summary(model, input_shape):
    """Print, and return, the table of `model`'s layers for one image of `input_shape` (C, H, W).

    Multiply-adds are those of convolutions and fully connected layers; activations are float32 outputs. Found by
    running one image of zeros through the model in evaluation mode; the model is left as it was.
    """
    parameter = next(model.parameters(), None)
    image = np.zeros((1, *input_shape), np.float32 if parameter is None else parameter.dtype)
    device = "cpu" if parameter is None else parameter.device
    modes = {module: module.training for module in model.modules()}
    rows = []
    try:
        with no_grad(), watch(model, lambda *passing: rows.append(_row(*passing))):
            model.eval()(Tensor(image).to(device))
    finally:
        for module, mode in modes.items():
            module.training = mode
    result = Summary(rows)
    say(result)
    return result


def _row(name, layer, x, y):
    """The row of a layer that has made y of x."""
    in_place = y.version is x.version  # also a view: no memory of its own
    return Row(
        f"{name} {type(layer).__name__}".strip(),
        _window(layer),
        y.shape[1:],
        sum(p.size for p in layer.parameters()),
        _multiply_adds(layer, y),
        0 if in_place else 4 * y.size,
    )


def _multiply_adds(module, y):
    if isinstance(module, Conv2d):
        return y.size * math.prod(module.weight.shape[1:])
    if isinstance(module, Linear):
        return y.size * module.in_features
    return 0


def _window(module):
    """Filter, stride and padding of a layer with a window, such as "11x11 / 4, pad 2"."""
    if not hasattr(module, "kernel_size"):
        return ""
    kernel, stride, padding = (_sizes(v) for v in (module.kernel_size, module.stride, module.padding))
    return f"{kernel if 'x' in kernel else f'{kernel}x{kernel}'} / {stride}, pad {padding}"


def _sizes(value):
    values = value if isinstance(value, (tuple, list)) else (value,)
    return str(values[0]) if len(values) == 1 else "x".join(map(str, values))


def _texts(row):
    """The columns of a row as text."""
    volume = " x ".join(map(str, row.output))
    return [
        row.layer,
        row.window,
        volume,
        f"{row.parameters:,}",
        f"{row.multiply_adds:,}",
        _bytes(row.activation_bytes),
    ]


def _bytes(count):
    return f"{count / 1024:,.0f} KiB"
