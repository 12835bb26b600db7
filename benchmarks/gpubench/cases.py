"""What a kernel is called with: the cases of each family of ops, made from a few sizes; the ops' parameters by name."""

import importlib
import itertools
import math
from functools import partial

import numpy as np

from minicnn.device import implementation
from minicnn.kernels.cuda import conv, hopper_conv, matmul, tensor_cores
from minicnn.ops.geometry import output_size
from minicnn.ops.interpolate import axis
from minicnn.ops.windows import Windows
from minicnn.optim.adam import adam_update
from minicnn.optim.sgd import sgd_update
from minicnn.precision import BFLOAT16, precision

from .case import Case, DtypeOf, integers, normal, positive

SINGLE = ("float32",)
ROUNDED = "tf32", "float16"  # precisions in which arrays stay float32


def cases(page, label, values, operations=0, **others):
    """A case of each op of minicnn/ops/<page>.py that a GPU has. others: {op: values in place of these}.

    weight_as_factor is none: what it gives is as its kernels like it, and whether it is right, their results show.
    """
    ops, mirrors = (importlib.import_module(f"minicnn.{room}.{page}") for room in ("ops", "kernels.cuda"))
    return [
        Case(function, name, label, values | others.get(name, {}), operations * (not name.endswith("grad_bias")))
        for name, function in vars(ops).items()
        if getattr(function, "__module__", None) == ops.__name__ and hasattr(mirrors, name)
        if name[0] != "_" and name != "weight_as_factor"
    ]


def by(shape):
    return "x".join(map(str, shape))


def elementwise(shape):
    values = dict.fromkeys(("x", "y", "grad_out", "target"), normal(*shape))
    values |= {
        "grad_loss": normal(),
        "out": None,
        "slope": 0.01,
        "beta": 1.0,
        "p": 0.5,
        "key": 0xFEDCBA9876543210,
        "call": 2**33 + 5,
        "start": 0,
    }
    pages = "activation", "arithmetic", "dropout", "mse_loss", "smooth_l1_loss"
    found = [case for page in pages for case in cases(page, by(shape), values)]
    return [*found, found[0]._replace(label=f"{by(shape)} in place", values=values | {"out": "x"})]  # ReLU's


def batch_norms(shape):
    of_channels, inv_std = normal(shape[1]), positive(shape[1])
    values = dict.fromkeys(("x", "y", "grad_out", "residual"), normal(*shape))
    values |= dict.fromkeys(("weight", "bias", "mean"), of_channels) | {"inv_std": inv_std}
    values |= {"sums": lambda rng: (of_channels(rng), of_channels(rng))}
    values |= {"statistics": lambda rng: (of_channels(rng), inv_std(rng))}
    values |= {"running": lambda rng: (of_channels(rng), inv_std(rng)), "momentum": 0.1, "eps": 1e-5}
    values |= {"running_mean": of_channels, "running_var": inv_std}
    flags = {"training": True, "residual": True, "unread": ("bias",)}  # it reads y instead
    found = cases("batchnorm", by(shape), values, batch_norm_relu_backward=flags)
    (grad_x,) = (case for case in found if case.op == "batch_norm_grad_x")
    evaluation = values | {"sums": None, "unread": ("x", "mean")}
    ranks = {"sets": lambda rng: rng.random((4, 3, shape[1]), np.float32) + np.float32(1.5), "count": 7}
    return [
        *found, grad_x._replace(label=f"{by(shape)} in evaluation", values=evaluation),
        *cases("sync_batchnorm", by(shape), values | ranks),
    ]  # fmt: skip


def pools(x_shape, kernel, stride, padding):
    sides, taps = tuple((p, p) for p in padding), math.prod(kernel)
    out_size = output_size("pool", x_shape[2:], kernel, stride, sides, (1, 1))
    y_shape, windows = (*x_shape[:2], *out_size), Windows(kernel, stride, sides, (1, 1), out_size)
    values = {"x": normal(*x_shape), "grad_out": normal(*y_shape), "x_shape": x_shape, "out_size": out_size}
    values |= {"winners": integers(taps, *y_shape, dtype=np.uint8 if taps <= 256 else np.int32), "windows": windows}
    values |= {"divisor_override": None, "count_include_pad": False}
    label, padded = f"{by(x_shape)} window {by(kernel)} stride {stride[0]}", {"count_include_pad": True}
    averages = cases("adaptive_avg_pool", label, values) + cases("avg_pool", label, values, avg_pool2d_backward=padded)
    return cases("max_pool", label, values) + averages


def paddings(shape, padding):
    return cases("pad", f"{by(shape)} by {padding}", {"x": normal(*shape), "padding": padding, "value": 0.5})


def resizings(x_shape, out_size, mode):
    axes = [axis(*each, None, mode, False, np.float32) for each in zip(x_shape[2:], out_size, strict=True)]
    values = dict(zip(("rows", "columns"), (lambda rng, tables=tables: tables for tables in axes), strict=True))
    values |= {"x": normal(*x_shape), "x_shape": x_shape, "grad_out": normal(*x_shape[:2], *out_size)}
    return cases("interpolate", f"{by(x_shape)} to {by(out_size)} {mode}", values)


def norms_across_channels(shape, size=5):
    values = {"x": normal(*shape), "grad_out": normal(*shape), "size": size, "alpha": 1.0, "beta": 0.75, "k": 2.0}
    return cases("lrn", by(shape) + f" size {size}" * (size != 5), values | {"groups": 1})


def losses(rows, classes):
    label, arrays = by((rows, classes)), dict.fromkeys(("x", "y", "logp", "grad_out"), normal(rows, classes))
    values = arrays | {"dim": 1, "grad_loss": normal(), "target": integers(classes, rows, dtype=np.int64)}
    values |= {"weight": None, "ignore_index": -100, "label_smoothing": 0.1}
    values |= {
        "x_shape": (rows, classes),
        "count": rows,
        "dtype": DtypeOf("logp"),
        "divisor": lambda rng: np.full((), rows, np.float32),
    }
    found = cases("softmax", label, values)
    for page in ("cross_entropy", "nll_loss"):
        found += cases(page, label, values)
        found += cases(page, f"{label} weighted", values | {"weight": positive(classes), "count": None})
    return found


def linears(rows, inputs, outputs):
    values = {"x": normal(rows, inputs), "weight": normal(outputs, inputs, scale=inputs**-0.5)}
    values |= {"bias": normal(outputs), "grad_out": normal(rows, outputs)}
    return cases("linear", f"{rows} rows, {inputs} to {outputs}", values, operations=2 * rows * inputs * outputs)


def convolutions(label, x_shape, weight_shape, stride=1, padding=0, dilation=1, groups=1, *, rungs=False):
    """padding: a number, or ((top, bottom), (left, right)). rungs: with the slow ways of kernels/cuda/conv.py."""
    sides = padding if isinstance(padding, tuple) else ((padding, padding),) * 2
    geometry = {"stride": (stride, stride), "padding": sides, "dilation": (dilation, dilation)}
    out_size = output_size("conv2d", x_shape[2:], weight_shape[2:], *geometry.values())
    values = {"x": normal(*x_shape), "grad_out": normal(x_shape[0], weight_shape[0], *out_size), **geometry}
    values |= {"weight": normal(*weight_shape, scale=math.prod(weight_shape[1:]) ** -0.5), "groups": groups}
    values |= {"bias": normal(weight_shape[0]), "x_shape": x_shape, "weight_shape": weight_shape}
    operations = 2 * x_shape[0] * math.prod(out_size) * math.prod(weight_shape)  # as the sums stand in the formula
    found = cases("conv", label, values, operations)
    slow = (conv.conv2d_by_direct_sums, conv.conv2d_by_im2col, conv.conv2d_by_implicit_im2col) if rungs else ()
    return found + [found[0]._replace(op=way.__name__, kernel=way) for way in slow]


def with_relu(label, *sizes):
    """The convolution of these sizes with the residual and the ReLU behind it, as one op."""
    first, *_ = convolutions(label, *sizes)
    return cases("conv_relu", label, {**first.values, "residual": first.values["grad_out"]}, first.operations)


def transposed(label, x_shape, weight_shape, stride, padding, groups=1):
    """Transposed convolutions, without output padding."""
    n, _, *size = x_shape
    out_size = tuple((s - 1) * stride + k - 2 * padding for s, k in zip(size, weight_shape[2:], strict=True))
    values = {"x": normal(*x_shape), "weight": normal(*weight_shape, scale=x_shape[1] ** -0.5), "groups": groups}
    values |= {"bias": normal(weight_shape[1] * groups), "out_size": out_size, "stride": (stride, stride)}
    values |= {"padding": ((padding, padding),) * 2, "dilation": (1, 1)}
    operations = 2 * n * math.prod(size) * math.prod(weight_shape)
    return cases("conv_transpose", label, values, operations)


def in_bfloat16(found):
    """Those cases with bfloat16 activations; of ops alone, not of other ways to work them out."""
    return [
        case._replace(op=f"{case.op} in bfloat16", narrow=True, dtypes=SINGLE) for case in found if case.kernel is None
    ]


def on_hopper(found):
    """The convolutions among those cases by wgmma and TMA."""
    return [
        case._replace(
            op=f"{case.op} on Hopper in bfloat16", kernel=getattr(hopper_conv, case.op), narrow=True, dtypes=SINGLE
        )
        for case in found
        if case.kernel is None and case.op.startswith("conv2d") and hasattr(hopper_conv, case.op)
    ]


def casts(shape):
    """To bfloat16, from images as they come, and back."""
    (there,) = cases("cast", f"{by(shape)} to bfloat16", {"x": normal(*shape), "dtype": BFLOAT16})
    back = there._replace(
        label=f"{by(shape)} to float32", narrow=True, values=there.values | {"dtype": np.dtype("float32")}
    )
    return [case._replace(dtypes=SINGLE) for case in (there, back)]


def rounded(found, precisions=ROUNDED):
    """The products and convolutions among those cases on tensor cores, which round their factors."""

    def multiply(name, reference, *arguments):
        with precision(name):
            return implementation(reference, "cuda", "fast")(*arguments)

    return [
        case._replace(op=f"{case.op} in {name}", kernel=partial(multiply, name, case.reference), dtypes=SINGLE)
        for case in found
        for name in precisions
        if case.operations and case.kernel is None
    ]


def product(a, b):
    """What every rung of the ladder of matrix products works out."""
    return a @ b


def product_by_transposed(a, b):
    """As a linear layer multiplies by its weight."""
    return a @ b.T


def product_of_transposed(a, b):
    """As the gradient of a weight."""
    return a.T @ b


def ladder(rows, columns, depth):
    """Every rung that kernels/cuda/matmul.py has, and those of tensor_cores.py."""
    values = {"a": normal(rows, depth), "b": normal(depth, columns)}
    case = Case(product, "product", by((rows, columns, depth)), values, 2 * rows * columns * depth)
    rungs = [case._replace(op=name, kernel=partial(matmul.multiply, kernel=name)) for name in matmul.LADDER]
    for rung, name in itertools.product(("product_naive", "product_pipelined"), (*ROUNDED, "bfloat16")):
        multiply = partial(tensor_cores.multiply, bias=None, precision=name, kernel=rung)
        rungs.append(case._replace(op=f"{rung} in {name}", kernel=multiply, dtypes=SINGLE))
    return [*rungs, *hoppers(case, rows, columns, depth)]


def hoppers(case, rows, columns, depth):
    """The product by wgmma and TMA, and with either factor transposed, for which there are kernels of their own."""
    multiply = partial(matmul.multiply, kernel="product_hopper")
    case = case._replace(kernel=multiply, dtypes=SINGLE, narrow=True)
    by_b = case.values | {"b": normal(columns, depth)}
    of_a = case.values | {"a": normal(depth, rows)}
    rungs = [
        case,
        case._replace(reference=product_by_transposed, values=by_b, kernel=partial(multiply, b_is_transposed=True)),
        case._replace(reference=product_of_transposed, values=of_a, kernel=partial(multiply, a_is_transposed=True)),
    ]
    return [rung._replace(op=f"{rung.reference.__name__} on Hopper in bfloat16") for rung in rungs]


def updates(shapes):
    """One step over parameters of these shapes: of SGD with momentum and plain, of AdamW with amsgrad and plain."""

    def arrays(rng):
        return [normal(*shape)(rng) for shape in shapes]

    def squares(rng):
        return [array**2 for array in arrays(rng)]

    label, count = f"{len(shapes)} parameters, {sum(map(math.prod, shapes))} numbers", len(shapes)
    given, absent = {"parameters": arrays, "gradients": arrays, "loss": None}, [None] * count
    plain = {**given, "velocities": absent, "settings": [(0.01, 0.0, 0.0, 5e-4, False)] * count}
    momentum = {**given, "velocities": arrays, "settings": [(0.01, 0.9, 0.0, 5e-4, True)] * count}
    adam = {**given, "exp_avgs": arrays, "exp_avg_sqs": squares, "max_exp_avg_sqs": absent}
    adam["settings"] = [(1e-3, 0.9, 0.999, 1e-8, 1e-2, True, 10)] * count  # what they are: the ops' pages
    return [
        Case(sgd_update, "sgd_update", f"{label} with momentum", momentum),
        Case(sgd_update, "sgd_update", label, plain),
        Case(adam_update, "adam_update", f"{label} with amsgrad", adam | {"max_exp_avg_sqs": squares}),
        Case(adam_update, "adam_update", label, adam),
    ]
