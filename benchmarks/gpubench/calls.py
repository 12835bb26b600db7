"""The cases of each family of ops: what the parameters that they share are, made from a few sizes."""

import functools
import inspect
import math
from dataclasses import replace

import numpy as np

from minicnn.device import implementation
from minicnn.kernels.cuda import conv as conv_kernels
from minicnn.kernels.cuda import matmul, tensor_cores
from minicnn.kernels.cuda.precision import PRECISIONS, precision
from minicnn.ops import (
    activation,
    adaptive_avg_pool,
    arithmetic,
    avg_pool,
    batchnorm,
    conv,
    dropout,
    linear,
    loss,
    lrn,
    max_pool,
    softmax,
)
from minicnn.ops.geometry import output_size
from minicnn.ops.windows import Windows
from minicnn.optim.sgd import sgd_update

from .cases import Case, integers, normal, positive

TENSOR_LADDER = ("product_naive", "product_pipelined")  # of kernels/cuda/tensor_cores.cu
PRODUCTS = (linear.linear_forward, linear.linear_grad_x, linear.linear_grad_weight)
CONVOLUTIONS = (conv.conv2d_forward, conv.conv2d_grad_x, conv.conv2d_grad_weight)
SINGLE = ("float32",)


def elementwise(shape):
    x, label = normal(*shape), by(shape)
    values = {"x": x, "y": x, "grad_out": x, "out": None, "p": 0.5, "key": 0xFEDCBA9876543210, "call": 2**33 + 5}
    ops = activation.relu_forward, activation.sigmoid_forward, activation.tanh_forward, activation.relu_backward
    ops += activation.sigmoid_backward, activation.tanh_backward, arithmetic.residual_add_forward
    in_place = values | {"out": lambda rng, made: made["x"]}
    return [
        *[Case(op, label, values) for op in (*ops, dropout.dropout_forward)],
        Case(activation.relu_forward, f"{label} in place", in_place),
    ]


def batch_norms(shape):
    x, of_channels, label = normal(*shape), normal(shape[1]), by(shape)
    values = dict.fromkeys(("x", "y", "grad_out", "residual"), x)
    values |= dict.fromkeys(("weight", "bias", "mean"), of_channels) | {"inv_std": positive(shape[1])}
    values |= {"sums": lambda *given: (of_channels(*given), of_channels(*given))}
    values |= {"statistics": lambda *given: tuple(values[name](*given) for name in ("mean", "inv_std"))}
    ops = batchnorm.batch_norm_relu_forward, batchnorm.batch_norm_statistics, batchnorm.batch_norm_forward
    ops += batchnorm.batch_norm_grad_weight_bias, batchnorm.batch_norm_grad_x
    flags, evaluation = {"training": True, "residual": True}, {"sums": None}
    return [
        *[Case(op, label, values) for op in ops],
        Case(batchnorm.batch_norm_relu_backward, label, values | flags, unread=("bias",)),
        Case(batchnorm.batch_norm_grad_x, f"{label} in evaluation", values | evaluation, unread=("x", "mean")),
    ]


def pools(x_shape, kernel, stride, padding):
    sides = tuple((p, p) for p in padding)
    out_size = output_size("pool", x_shape[2:], kernel, stride, sides, (1, 1))
    y_shape, taps = (*x_shape[:2], *out_size), math.prod(kernel)
    values = {"x": normal(*x_shape), "grad_out": normal(*y_shape), "x_shape": x_shape, "out_size": out_size}
    values |= {"windows": Windows(kernel, stride, sides, (1, 1), out_size), "divisor_override": None}
    values |= {"winners": integers(taps, *y_shape, dtype=np.uint8 if taps <= 256 else np.int32)}
    ops = max_pool.max_pool2d_forward, max_pool.max_pool2d_forward_and_winners, max_pool.max_pool2d_backward
    ops += adaptive_avg_pool.adaptive_avg_pool2d_forward, adaptive_avg_pool.adaptive_avg_pool2d_backward
    label = f"{by(x_shape)} window {by(kernel)} stride {stride[0]}"
    return [
        *[Case(op, label, values) for op in ops],
        Case(avg_pool.avg_pool2d_forward, label, values | {"count_include_pad": False}),
        Case(avg_pool.avg_pool2d_backward, label, values | {"count_include_pad": True}),
    ]


def norms_across_channels(shape):
    values = {"x": normal(*shape), "grad_out": normal(*shape), "size": 5, "alpha": 1.0, "beta": 0.75, "k": 2.0}
    ops = lrn.local_response_norm_forward, lrn.local_response_norm_backward
    return [Case(op, by(shape), values) for op in ops]


def losses(*shape):
    """shape: (rows, classes)."""
    values = dict.fromkeys(("x", "y", "logp", "grad_out"), normal(*shape)) | {"dim": 1, "grad_loss": normal()}
    values |= {"target": integers(shape[1], shape[0], dtype=np.int64), "ignore_index": -100, "label_smoothing": 0.1}
    ops = softmax.softmax_forward, softmax.softmax_backward, softmax.log_softmax_forward, softmax.log_softmax_backward
    return [Case(op, by(shape), values) for op in ops] + [
        Case(op, by(shape) + how, values | {"weight": weight})
        for how, weight in (("", None), (" weighted", positive(shape[1])))
        for op in (loss.cross_entropy_forward, loss.cross_entropy_backward)
    ]


def linears(rows, inputs, outputs):
    label, operations = f"{rows} rows, {inputs} to {outputs}", 2 * rows * inputs * outputs
    values = {"x": normal(rows, inputs), "weight": normal(outputs, inputs, scale=inputs**-0.5)}
    values |= {"bias": normal(outputs), "grad_out": normal(rows, outputs)}
    return [Case(op, label, values, operations) for op in PRODUCTS] + [Case(linear.linear_grad_bias, label, values)]


def convolutions(label, x_shape, weight_shape, stride=1, padding=0, dilation=1, groups=1, *, rungs=False):
    """padding: a number, or ((top, bottom), (left, right)). rungs: with the slow ways of kernels/cuda/conv.py."""
    sides = padding if isinstance(padding, tuple) else ((padding, padding),) * 2
    geometry = {"stride": (stride, stride), "padding": sides, "dilation": (dilation, dilation)}
    out_size = output_size("conv2d", x_shape[2:], weight_shape[2:], *geometry.values())
    values = {"x": normal(*x_shape), "grad_out": normal(x_shape[0], weight_shape[0], *out_size), **geometry}
    values |= {"weight": normal(*weight_shape, scale=math.prod(weight_shape[1:]) ** -0.5), "groups": groups}
    values |= {"bias": normal(weight_shape[0]), "x_shape": x_shape, "weight_shape": weight_shape}
    operations = 2 * x_shape[0] * math.prod(out_size) * math.prod(weight_shape)  # as the sums stand in the formula
    found = [Case(op, label, values, operations) for op in CONVOLUTIONS]
    others = [replace(case, rung=rung) for case in found if rungs for rung in other_ways(conv_kernels, case)]
    return [*found, Case(conv.conv2d_grad_bias, label, values), *others]


def other_ways(module, case):
    """(name, function) of what a kernel file has, by other names, with the arguments of a case."""
    return [
        (name, function)
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == module.__name__ and not name.startswith("_") and name != case.reference.__name__
        if list(inspect.signature(function).parameters)[: len(case.parameters)] == case.parameters
    ]


def product(a, b):
    """What every rung of the ladder of matrix products works out."""
    return a @ b


def ladder(rows, columns, depth):
    """Every rung that kernels/cuda/matmul.py has, and those of tensor_cores.py."""
    values = {"a": normal(rows, depth), "b": normal(depth, columns)}
    case = Case(product, by((rows, columns, depth)), values, 2 * rows * columns * depth)
    rungs = [(name, functools.partial(matmul.multiply, kernel=name)) for name in matmul.LADDER]
    return [replace(case, rung=rung) for rung in rungs] + [
        replace(case, rung=(f"{kernel} in {name}", multiply), dtypes=SINGLE)
        for kernel in TENSOR_LADDER
        for name in PRECISIONS[1:]
        for multiply in [functools.partial(tensor_cores.multiply, bias=None, precision=name, kernel=kernel)]
    ]


def rounded(cases, precisions=PRECISIONS[1:]):
    """The products and convolutions among them on tensor cores, which round their factors."""
    return [
        replace(case, rung=(f"{case.op} in {name}", functools.partial(in_precision, name, case)), dtypes=SINGLE)
        for case in cases
        if case.reference in (*PRODUCTS, *CONVOLUTIONS) and not case.rung
        for name in precisions
    ]


def in_precision(name, case, *arguments):
    """The mirror in CUDA C++, in one of PRECISIONS."""
    with precision(name):
        return implementation(case.reference, "cuda", "fast")(*arguments)


def updates(shapes):
    """One step of SGD over parameters of these shapes: with momentum, and plain."""

    def arrays(rng, made):
        return [normal(*shape)(rng, made) for shape in shapes]

    label, found = f"{len(shapes)} parameters, {sum(map(math.prod, shapes))} numbers", []
    for how, momentum in ((" with momentum", 0.9), ("", 0.0)):
        values = {"parameters": arrays, "gradients": arrays, "velocities": arrays if momentum else [None] * len(shapes)}
        values |= {"settings": [(0.01, momentum, 0.0, 5e-4, momentum > 0)] * len(shapes)}
        found.append(Case(sgd_update, label + how, values, written=("parameters", "velocities")))
    return found


def by(shape):
    return "x".join(map(str, shape))
