"""The ONNX nodes of an op: products, normalisation, pooling, pictures of another size.

Each function is given the graph, the step (its options are those of the op's ``forward``), and the names of its inputs
(None: absent); it returns the name of the result. Formulas: on the ops' pages.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..device import host_array
from ..ops import adaptive_avg_pool, avg_pool, lrn, norm
from ..ops.batchnorm import BatchNorm, BatchNormReLU
from ..ops.conv import Conv2d
from ..ops.conv_relu import Conv2dReLU
from ..ops.conv_transpose import ConvTranspose2d
from ..ops.interpolate import Interpolate
from ..ops.linear import Linear, MatMul
from ..ops.max_pool import MaxPool2d
from ..ops.sync_batchnorm import SyncBatchNorm
from .nodes import Nodes
from .trace import ExportError, Step


def conv2d(graph: Nodes, step: Step, x: str, weight: str, bias: str | None) -> str:
    """Conv."""
    (top, bottom), (left, right) = step.options["padding"]
    geometry = {"strides": step.options["stride"], "dilations": step.options["dilation"]}
    kernel = step.inputs[1].shape[2:]
    pads = [top, left, bottom, right]
    return graph.add("Conv", x, weight, bias, kernel_shape=kernel, pads=pads, group=step.options["groups"], **geometry)


def conv2d_relu(graph: Nodes, step: Step, x: str, weight: str, bias: str | None, residual: str | None) -> str:
    """Conv, Add if there is a residual, Relu."""
    return _relu_of_sum(graph, conv2d(graph, step, x, weight, bias), residual)


def conv_transpose2d(graph: Nodes, step: Step, x: str, weight: str, bias: str | None) -> str:
    """ConvTranspose."""
    options, kernel = step.options, step.inputs[1].shape[2:]
    pads = [p[0] for p in options["padding"]] + [p[1] for p in options["padding"]]
    axes = zip(step.x.shape[2:], kernel, options["stride"], options["padding"], options["dilation"], strict=True)
    sizes = [(n - 1) * s - sum(p) + d * (k - 1) + 1 for n, k, s, p, d in axes]
    more = [out - size for out, size in zip(options["out_size"], sizes, strict=True)]
    geometry = {"strides": options["stride"], "dilations": options["dilation"], "group": options["groups"]}
    return graph.add("ConvTranspose", x, weight, bias, kernel_shape=kernel, pads=pads, output_padding=more, **geometry)


def linear(graph: Nodes, step: Step, x: str, weight: str, bias: str | None) -> str:
    """Gemm of a matrix; MatMul and Add of more axes."""
    if len(step.x.shape) == 2:
        return graph.add("Gemm", x, weight, bias, transB=1)
    y = graph.add("MatMul", x, graph.add("Transpose", weight, perm=[1, 0]))
    return y if bias is None else graph.add("Add", y, bias)


def matmul(graph: Nodes, step: Step, a: str, b: str) -> str:
    """MatMul."""
    return graph.add("MatMul", a, b)


def batch_norm(graph: Nodes, step: Step, x: str, weight: str | None, bias: str | None) -> str:
    """BatchNormalization, by running statistics; ExportError by those of the batch."""
    if step.options["training"]:
        what = "onnx: a batch norm normalises by the batch's statistics, in evaluation, too"
        raise ExportError(f"{what}; give it running statistics (F.batch_norm(..., training=False), or nn.BatchNorm2d)")
    mean, var = step.options["running"]
    scale = weight or graph.constant(np.ones(mean.shape, mean.dtype))
    shift = bias or graph.constant(np.zeros(mean.shape, mean.dtype))
    return graph.add(
        "BatchNormalization", x, scale, shift, *map(graph.constant, (mean, var)), epsilon=step.options["eps"]
    )


def batch_norm_relu(
    graph: Nodes, step: Step, x: str, weight: str | None, bias: str | None, residual: str | None
) -> str:
    """BatchNormalization, Add if there is a residual, Relu."""
    return _relu_of_sum(graph, batch_norm(graph, step, x, weight, bias), residual)


def local_response_norm(graph: Nodes, step: Step, x: str) -> str:
    """LRN; of groups, or of other than pictures, of another shape. ExportError for an even size."""
    size, groups, value = step.options["size"], step.options["groups"], step.x
    if size % 2 == 0:
        what = f"onnx: local_response_norm of size {size}: ONNX has the windows of an even size one channel further on"
        raise ExportError(f"{what}; take {size - 1} or {size + 1}")
    numbers = {"size": size, "alpha": step.options["alpha"], "beta": step.options["beta"], "bias": step.options["k"]}
    if groups == 1 and len(value.shape) == 4:
        return graph.add("LRN", x, **numbers)
    _, channels, *rest = value.shape
    apart = graph.reshape(x, (None, channels // groups, math.prod(rest), 1))  # each group a picture of its own
    return graph.reshape(graph.add("LRN", apart, **numbers), value.lengths)


def max_pool2d(graph: Nodes, step: Step, x: str) -> str:
    """MaxPool, padded as far as its windows see."""
    windows = step.options["windows"]
    kernel, pads = windows.kernel, _seen(step.x.shape[2:], windows)
    if any(pad >= k for pad, k in zip(pads, (*kernel, *kernel), strict=True)):  # more than ONNX lets it pad itself
        x, pads = _padded(graph, step, x, pads, -np.inf), [0] * 4
    return graph.add("MaxPool", x, kernel_shape=kernel, strides=windows.stride, dilations=windows.dilation, pads=pads)


def avg_pool2d(graph: Nodes, step: Step, x: str) -> str:
    """AveragePool; of windows that hang over the padding, or with another divisor, multiplied by what it must be."""
    windows, divide = step.options["windows"], step.options["divide"]
    size, value = step.x.shape[2:], step.x
    pads = _seen(size, windows)
    options = {"kernel_shape": windows.kernel, "strides": windows.stride}
    (top, bottom), (left, right) = windows.padding
    if divide[1] is None and all(seen <= own for seen, own in zip(pads, (top, left, bottom, right), strict=True)):
        return graph.add("AveragePool", x, pads=pads, count_include_pad=int(bool(divide[0])), **options)
    mean = graph.add("AveragePool", _padded(graph, step, x, pads, 0.0), pads=[0] * 4, **options)
    ratio = math.prod(windows.kernel) / avg_pool.divisor(size, windows, *divide)  # (OH, OW)
    return graph.add("Mul", mean, graph.constant(ratio.astype(value.dtype)))


def adaptive_avg_pool2d(graph: Nodes, step: Step, x: str) -> str:
    """GlobalAveragePool, AveragePool of windows that divide the picture, or two products with averaging matrices."""
    size, out_size = step.x.shape[2:], step.options["out_size"]
    if out_size == (1, 1):
        return graph.add("GlobalAveragePool", x)
    if size == tuple(out_size):
        return x
    if not any(n % out for n, out in zip(size, out_size, strict=True)):
        window = [n // out for n, out in zip(size, out_size, strict=True)]
        return graph.add("AveragePool", x, kernel_shape=window, strides=window)
    dtype = step.x.dtype
    rows, columns = (adaptive_avg_pool.averages(*pair, dtype) for pair in zip(size, out_size, strict=True))
    return _between(graph, x, rows, columns)


def interpolate(graph: Nodes, step: Step, x: str) -> str:
    """Gather of rows and columns, where each output is one pixel; else two products with matrices of shares."""
    axes = [[host_array(table) for table in step.options[name][:2]] for name in ("rows", "columns")]
    if not any(share.any() for _, share in axes):
        rows, columns = (graph.integers(*source) for source, _ in axes)
        return graph.add("Gather", graph.add("Gather", x, rows, axis=2), columns, axis=3)
    matrices = []
    for size, (source, share) in zip(step.x.shape[2:], axes, strict=True):
        matrix, at = np.zeros((len(source), size), step.x.dtype), np.arange(len(source))
        matrix[at, source] = 1 - share
        matrix[at, np.minimum(source + 1, size - 1)] += share  # behind the last pixel the share is 0
        matrices.append(matrix)
    return _between(graph, x, *matrices)


def norm2(graph: Nodes, step: Step, x: str) -> str:
    """ReduceL2."""
    return graph.add("ReduceL2", x, graph.integers(*step.options["axes"]), keepdims=int(step.options["keepdim"]))


def _relu_of_sum(graph, y, residual):
    return graph.add("Relu", y if residual is None else graph.add("Add", y, residual))


def _between(graph, x, rows, columns):
    """rows @ x @ columns^T: (OH, H) @ (N, C, H, W) @ (W, OW)."""
    return graph.add("MatMul", graph.add("MatMul", graph.constant(rows), x), graph.constant(columns.T.copy()))


def _seen(size, windows):
    """ONNX's pads, (top, left, bottom, right): as much as the windows see behind the picture, so that none is lost."""
    before, behind = [], []
    for n, k, s, (first, _), d, out in zip(size, *windows, strict=True):
        before.append(first)
        behind.append(max(0, (out - 1) * s + d * (k - 1) + 1 - n - first))
    return [*before, *behind]


def _padded(graph, step, x, pads, value):
    """Pictures x with that value around them."""
    top, left, bottom, right = pads
    sides = graph.integers(0, 0, top, left, 0, 0, bottom, right)
    return graph.add("Pad", x, sides, graph.number(value, step.x))


LAYERS: dict[Any, Callable[..., str]] = {
    Conv2d: conv2d,
    Conv2dReLU: conv2d_relu,
    ConvTranspose2d: conv_transpose2d,
    Linear: linear,
    MatMul: matmul,
    BatchNorm: batch_norm,
    SyncBatchNorm: batch_norm,
    BatchNormReLU: batch_norm_relu,
    lrn.LocalResponseNorm: local_response_norm,
    MaxPool2d: max_pool2d,
    avg_pool.AvgPool2d: avg_pool2d,
    adaptive_avg_pool.AdaptiveAvgPool2d: adaptive_avg_pool2d,
    Interpolate: interpolate,
    norm.Norm: norm2,
}
