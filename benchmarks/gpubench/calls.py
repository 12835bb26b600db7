"""The cases of each op: how its arguments are made from a few sizes, and what it works out."""

import functools
import inspect

import numpy as np

from minicnn.device import implementation
from minicnn.kernels.cuda import conv as conv_kernels
from minicnn.kernels.cuda import matmul as matmul_kernels
from minicnn.kernels.cuda import tensor_cores
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

from .cases import Case, Source
from .figures import conv_operations, product_operations

SINGLE = ("float32",)
ROUNDED = (
    linear.linear_forward,
    linear.linear_grad_x,
    linear.linear_grad_weight,
    conv.conv2d_forward,
    conv.conv2d_grad_x,
    conv.conv2d_grad_weight,
)
TENSOR_LADDER = ("product_naive", "product_pipelined")  # of kernels/cuda/tensor_cores.cu


def product(a, b):
    """What every rung of the ladder of matrix products works out."""
    return a @ b


def rounded(cases, precisions=PRECISIONS[1:]):
    """The products and convolutions among them on tensor cores, which round their factors."""
    return [
        case._replace(
            rung=(f"{case.op} in {name}", functools.partial(in_precision, name, case.reference)), dtypes=SINGLE
        )
        for case in cases
        if case.reference in ROUNDED and not case.rung
        for name in precisions
    ]


def in_precision(name, reference, *arguments):
    """The mirror in CUDA C++, in one of PRECISIONS."""
    with precision(name):
        return implementation(reference, "cuda", "fast")(*arguments)


def elementwise(shape):
    def of(count):
        return lambda s: tuple(s.normal(*shape) for _ in range(count))

    def in_place(s):
        x = s.normal(*shape)
        return x, x

    label = by(shape)
    return [
        Case(activation.relu_forward, label, lambda s: (s.normal(*shape), None)),
        Case(activation.relu_forward, f"{label} in place", in_place),
        *[Case(f, label, of(1)) for f in (activation.sigmoid_forward, activation.tanh_forward)],
        *[
            Case(f, label, of(2))
            for f in (activation.relu_backward, activation.sigmoid_backward, activation.tanh_backward)
        ],
        Case(arithmetic.residual_add_forward, label, of(2)),
        Case(dropout.dropout_forward, label, lambda s: (s.normal(*shape), 0.5, 0xFEDCBA9876543210, 2**33 + 5, None)),
    ]


def batch_norms(shape):
    def of_channels(s):
        return s.normal(shape[1]), s.positive(shape[1])  # mean, inv_std

    def affine(s):
        return s.normal(*shape), s.normal(shape[1]), s.normal(shape[1]), *of_channels(s)

    def backward(s, *, training):
        given = s.normal(*shape), s.normal(*shape), s.normal(shape[1]), *of_channels(s)
        return *given, (s.normal(shape[1]), s.normal(shape[1])) if training else None

    def with_relu(s):
        return *affine(s), s.normal(*shape)

    def behind_relu(s):
        y, weight, bias = s.normal(*shape), s.normal(shape[1]), s.normal(shape[1])
        return s.normal(*shape), s.normal(*shape), y, weight, bias, *of_channels(s), True, True

    label = by(shape)
    return [
        Case(batchnorm.batch_norm_relu_forward, label, with_relu),
        Case(batchnorm.batch_norm_relu_backward, label, behind_relu, unread=(4,)),
        Case(batchnorm.batch_norm_statistics, label, lambda s: (s.normal(*shape),)),
        Case(batchnorm.batch_norm_forward, label, affine),
        Case(
            batchnorm.batch_norm_grad_weight_bias,
            label,
            lambda s: (s.normal(*shape), s.normal(*shape), *of_channels(s)),
        ),
        Case(batchnorm.batch_norm_grad_x, label, functools.partial(backward, training=True)),
        Case(
            batchnorm.batch_norm_grad_x,
            f"{label} in evaluation",
            functools.partial(backward, training=False),
            unread=(1, 3),
        ),
    ]


def pools(x_shape, kernel, stride, padding):
    sides = tuple((p, p) for p in padding)
    out = output_size("pool", x_shape[2:], kernel, stride, sides, (1, 1))
    windows = Windows(kernel, stride, sides, (1, 1), out)
    y_shape, taps = (*x_shape[:2], *out), kernel[0] * kernel[1]
    winners = np.uint8 if taps <= 256 else np.int32
    label = f"{by(x_shape)} window {by(kernel)} stride {stride[0]}"
    return [
        Case(max_pool.max_pool2d_forward, label, lambda s: (s.normal(*x_shape), windows)),
        Case(max_pool.max_pool2d_forward_and_winners, label, lambda s: (s.normal(*x_shape), windows)),
        Case(
            max_pool.max_pool2d_backward,
            label,
            lambda s: (s.normal(*y_shape), s.integers(taps, *y_shape, dtype=winners), x_shape, windows),
        ),
        Case(avg_pool.avg_pool2d_forward, label, lambda s: (s.normal(*x_shape), windows, False, None)),
        Case(avg_pool.avg_pool2d_backward, label, lambda s: (s.normal(*y_shape), x_shape, windows, True, None)),
        Case(adaptive_avg_pool.adaptive_avg_pool2d_forward, label, lambda s: (s.normal(*x_shape), out)),
        Case(adaptive_avg_pool.adaptive_avg_pool2d_backward, label, lambda s: (s.normal(*y_shape), x_shape)),
    ]


def norms_across_channels(shape):
    constants = 5, 1.0, 0.75, 2.0
    return [
        Case(lrn.local_response_norm_forward, by(shape), lambda s: (s.normal(*shape), *constants)),
        Case(lrn.local_response_norm_backward, by(shape), lambda s: (s.normal(*shape), s.normal(*shape), *constants)),
    ]


def losses(rows, classes):
    label, shape = by((rows, classes)), (rows, classes)

    def options(s, weighted):
        return s.integers(classes, rows, dtype=np.int64), s.positive(classes) if weighted else None, -100, 0.1

    def loss_backward(s, weighted):
        return s.normal(1)[0:1].reshape(()), s.normal(*shape), *options(s, weighted)

    return [
        Case(softmax.softmax_forward, label, lambda s: (s.normal(*shape), 1)),
        Case(softmax.softmax_backward, label, lambda s: (s.normal(*shape), s.normal(*shape), 1)),
        Case(softmax.log_softmax_forward, label, lambda s: (s.normal(*shape), 1)),
        Case(softmax.log_softmax_backward, label, lambda s: (s.normal(*shape), s.normal(*shape), 1)),
        *[
            Case(function, label + " weighted" * weighted, functools.partial(make, weighted=weighted))
            for weighted in (False, True)
            for function, make in (
                (loss.cross_entropy_forward, lambda s, weighted: (s.normal(*shape), *options(s, weighted))),
                (loss.cross_entropy_backward, loss_backward),
            )
        ],
    ]


def linears(rows, inputs, outputs):
    label, operations = f"{rows} rows, {inputs} to {outputs}", product_operations(rows, inputs, outputs)
    weight = functools.partial(Source.normal, scale=inputs**-0.5)
    return [
        Case(
            linear.linear_forward,
            label,
            lambda s: (s.normal(rows, inputs), weight(s, outputs, inputs), s.normal(outputs)),
            operations,
        ),
        Case(linear.linear_grad_x, label, lambda s: (s.normal(rows, outputs), weight(s, outputs, inputs)), operations),
        Case(linear.linear_grad_weight, label, lambda s: (s.normal(rows, outputs), s.normal(rows, inputs)), operations),
        Case(linear.linear_grad_bias, label, lambda s: (s.normal(rows, outputs),)),
    ]


def ladder(rows, columns, depth):
    """Every rung that kernels/cuda/matmul.py has, and those of tensor_cores.py."""
    label, operations = by((rows, columns, depth)), product_operations(rows, columns, depth)
    ordinary = Case(product, label, lambda s: (s.normal(rows, depth), s.normal(depth, columns)), operations)
    return [
        *[
            ordinary._replace(rung=(name, functools.partial(matmul_kernels.multiply, kernel=name)))
            for name in matmul_kernels.LADDER
        ],
        *[
            ordinary._replace(
                rung=(f"{kernel} in {name}", functools.partial(on_tensor_cores, kernel, name)), dtypes=SINGLE
            )
            for kernel in TENSOR_LADDER
            for name in PRECISIONS[1:]
        ],
    ]


def on_tensor_cores(kernel, name, a, b):
    """a @ b by one of TENSOR_LADDER."""
    return tensor_cores.multiply(a, b, None, name, kernel=kernel)


def convolutions(label, x_shape, weight_shape, stride=1, padding=0, dilation=1, groups=1, *, rungs=False):
    """padding: a number, or ((top, bottom), (left, right))."""
    sides = padding if isinstance(padding, tuple) else ((padding, padding),) * 2
    geometry = (stride, stride), sides, (dilation, dilation), groups
    out = output_size("conv2d", x_shape[2:], weight_shape[2:], *geometry[:3])
    y_shape, operations = (x_shape[0], weight_shape[0], *out), conv_operations(x_shape, weight_shape, out)
    scale = float(np.prod(weight_shape[1:])) ** -0.5

    def forward(s):
        return s.normal(*x_shape), s.normal(*weight_shape, scale=scale), s.normal(weight_shape[0]), *geometry

    def grad_x(s):
        return s.normal(*y_shape), x_shape, s.normal(*weight_shape, scale=scale), *geometry

    def grad_weight(s):
        return s.normal(*y_shape), s.normal(*x_shape), weight_shape, *geometry

    return [
        Case(conv.conv2d_forward, label, forward, operations),
        Case(conv.conv2d_grad_x, label, grad_x, operations),
        Case(conv.conv2d_grad_weight, label, grad_weight, operations),
        Case(conv.conv2d_grad_bias, label, lambda s: (s.normal(*y_shape),)),
        *[
            Case(reference, label, make, operations, rung=rung)
            for reference, make in (
                (conv.conv2d_forward, forward),
                (conv.conv2d_grad_x, grad_x),
                (conv.conv2d_grad_weight, grad_weight),
            )
            for rung in (other_ways(conv_kernels, reference) if rungs else ())
        ],
    ]


def other_ways(module, reference):
    """(name, function) of what a kernel file has, by other names, with the arguments of `reference`."""
    takes = list(inspect.signature(reference).parameters)
    return [
        (name, function)
        for name, function in vars(module).items()
        if inspect.isfunction(function) and function.__module__ == module.__name__ and not name.startswith("_")
        if name != reference.__name__ and list(inspect.signature(function).parameters)[: len(takes)] == takes
    ]


def updates(shapes):
    """One step of SGD over parameters of these shapes: with momentum, and plain."""

    def make(s, momentum):
        velocities = [s.normal(*shape) if momentum else None for shape in shapes]
        settings = [(0.01, momentum, 0.0, 5e-4, momentum > 0)] * len(shapes)
        return [s.normal(*shape) for shape in shapes], [s.normal(*shape) for shape in shapes], velocities, settings

    label = f"{len(shapes)} parameters, {sum(int(np.prod(shape)) for shape in shapes)} numbers"
    return [
        Case(sgd_update, label + (" with momentum" if m else ""), functools.partial(make, momentum=m), written=(0, 2))
        for m in (0.9, 0.0)
    ]


def by(shape):
    return "x".join(map(str, shape))
