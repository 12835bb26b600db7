"""What a kernel is launched with when it is profiled: each op, forward and backward, by minicnn's own functions.

Sizes are small, since every thread is emulated, and large enough for what is to be seen: several thread blocks, more
than one tile along each axis, edges that are no multiple of a warp.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

import minicnn
import minicnn.functional as F
from minicnn.emulated import on_device
from minicnn.precision import current_precision, precision

from .. import conv, hopper_conv, layout, matmul, split, tensor_cores, winograd

PICTURES = 2, 16, 18, 20  # N C H W


class Case(NamedTuple):
    """A call that launches kernels of the .cu files of these stems, among others."""

    run: Callable[[], object]
    files: tuple[str, ...]


def _array(*shape):
    drawn = np.random.default_rng(len(shape)).standard_normal(shape, np.float32)
    return on_device(drawn)


def _tensor(*shape, dtype=np.float32):
    return minicnn.Tensor(_array(*shape).astype(dtype), requires_grad=True)


def _activation(*shape):
    """In the precision that activations have now."""
    return _tensor(*shape, dtype=minicnn.bfloat16 if current_precision() == "bfloat16" else np.float32)


def _op(function, *shapes, weights=(), **options):
    """Forward and, from a random gradient, backward; `weights` are the shapes of float32 arguments."""
    y = function(*(_activation(*s) for s in shapes), *(_tensor(*s) for s in weights), **options)
    y.backward(minicnn.Tensor(_array(*y.shape).astype(y.data.dtype)))


def _labelled(function, **options):
    """A loss of 70 rows of 100 scores."""
    target = minicnn.Tensor(on_device(np.random.default_rng(0).integers(0, 100, 70)))
    function(_activation(70, 100), target, **options).backward()


def _batch_norm(function, training=True):
    of_channel = PICTURES[1:2]
    running = minicnn.Tensor(_array(*of_channel)), minicnn.Tensor(abs(_array(*of_channel)))

    def op(x, weight, bias):
        return function(x, *running, weight, bias, training=training)

    _op(op, PICTURES, weights=(of_channel, of_channel))


def _casts():
    _tensor(2, 3, 18, 20).bfloat16()  # pictures, as a network gets them
    _tensor(70, 100).bfloat16().float()


def _pool_without_gradient():
    with minicnn.no_grad():
        F.max_pool2d(_activation(*PICTURES), kernel_size=3, stride=2)


def _step(optimiser, **options):
    parameters = [minicnn.Tensor(_array(*shape), requires_grad=True) for shape in ((3000,), (64, 48), (100,))]
    for parameter in parameters:
        parameter.grad = minicnn.Tensor(_array(*parameter.shape))
    optimiser(parameters, lr=0.1, **options).step()


def _rung(name):
    a, b = _array(128, 128), _array(128, 128)
    return lambda: matmul.multiply(a, b, kernel=name)


def _tensor_rung(name):
    a, b = _array(128, 128), _array(128, 128)
    return lambda: tensor_cores.multiply(a, b, None, "bfloat16", kernel=name)


def _hopper():
    a, b = (_array(128, 128).astype(minicnn.bfloat16) for _ in range(2))
    for transposed in (False, True):
        matmul.multiply(a, b, kernel="product_hopper", b_is_transposed=transposed)
    matmul.multiply(a, b, kernel="product_hopper", a_is_transposed=True)


def _conv_hopper():
    x, y = (_array(1, 32, 9, 10).astype(minicnn.bfloat16) for _ in range(2))
    geometry = (1, 1), ((1, 1), (1, 1)), (1, 1), 1
    conv.conv2d_by_hopper(x, _array(32, 32, 3, 3), _array(32), *geometry)
    hopper_conv.conv2d_grad_weight(y, x, (32, 32, 3, 3), *geometry)


def _long_sums():
    factor = _array(1088, 64).astype(minicnn.bfloat16)
    matmul.multiply(factor, factor, kernel="product_hopper", a_is_transposed=True)


def _by_large_tiles(run):
    """The same by the tiles that are meant for more results."""

    def inside():
        busy, split.BUSY = split.BUSY, 1
        try:
            run()
        finally:
            split.BUSY = busy

    return inside


def _conv_of(channels):
    weights = (channels, channels, 3, 3), (channels,)
    return _by_large_tiles(lambda: _op(F.conv2d, (1, channels, 9, 8), weights=weights, padding=2, dilation=2))


def _winograd(filters):
    x, weight, bias = _array(2, 8, 33, 25), _array(filters, 8, 3, 3), _array(filters)
    return _by_large_tiles(lambda: winograd.conv2d_forward(x, weight, bias, (33, 25), ((1, 1), (1, 1))))


def _in(name, run):
    """The same in another precision."""

    def inside():
        with precision(name):
            run()

    return inside


def _conv_rung(function):
    sides = (1, 1), (1, 1)
    arguments = _array(1, 16, 11, 14), _array(64, 16, 3, 3), _array(64)
    return lambda: function(*arguments, (1, 1), sides, (1, 1), 1)


OF_CONV = "conv", "tensor_conv", "tensor_conv_float"


@functools.cache
def cases() -> dict[str, Case]:
    """{name of an op, or of a rung of a ladder: its Case}; rungs come first."""
    return _rungs() | _ops()


def _rungs():
    found = {name: Case(_rung(name), ("matmul",)) for name in matmul.LADDER}
    found |= {name: Case(_tensor_rung(name), ("tensor_cores",)) for name in ("product_naive", "product_pipelined")}
    found["product_hopper"] = Case(_hopper, ("hopper_product",))
    found["conv2d_by_hopper"] = Case(_conv_hopper, ("hopper_conv",))
    found |= {f"conv2d_of_{channels}": Case(_conv_of(channels), ("conv",)) for channels in (64, 72)}
    found |= {f"winograd_of_{filters}": Case(_winograd(filters), ("winograd",)) for filters in (32, 64, 72)}
    found["long_sums"] = Case(_long_sums, ("split", "hopper_product"))
    for function in (conv.conv2d_by_direct_sums, conv.conv2d_by_im2col, conv.conv2d_by_implicit_im2col):
        found[function.__name__] = Case(_conv_rung(function), ("conv",))
    return found


def _ops():
    filters, transposed = ((64, 16, 3, 3), (64,)), ((16, 32, 4, 4), (32,))
    elementwise = [F.relu, F.leaky_relu, F.relu6, F.sigmoid, F.tanh]
    found = {
        function.__name__: Case(functools.partial(_op, function, PICTURES), ("activation",)) for function in elementwise
    }
    found |= {
        "residual_add": Case(lambda: _op(F.residual_add, PICTURES, PICTURES), ("arithmetic",)),
        "dropout": Case(lambda: _op(F.dropout, PICTURES), ("dropout",)),
        "batch_norm": Case(lambda: _batch_norm(F.batch_norm), ("batchnorm",)),
        "batch_norm_relu": Case(lambda: _batch_norm(F.batch_norm_relu), ("batchnorm", "activation")),
        "max_pool2d": Case(lambda: _op(F.max_pool2d, PICTURES, kernel_size=3, stride=2), ("max_pool",)),
        "avg_pool2d": Case(lambda: _op(F.avg_pool2d, PICTURES, kernel_size=3, stride=2), ("avg_pool",)),
        "adaptive_avg_pool2d": Case(
            lambda: _op(F.adaptive_avg_pool2d, PICTURES, output_size=6), ("adaptive_avg_pool",)
        ),
        "local_response_norm": Case(lambda: _op(F.local_response_norm, PICTURES, size=5), ("lrn",)),
        "pad": Case(lambda: _op(F.pad, PICTURES, pad=(1, 2, 3, 1)), ("pad",)),
        "interpolate": Case(lambda: _op(F.interpolate, PICTURES, size=(27, 35), mode="bilinear"), ("interpolate",)),
        "softmax": Case(lambda: _op(F.softmax, (70, 100), dim=1), ("softmax",)),
        "log_softmax": Case(lambda: _op(F.log_softmax, (70, 100), dim=1), ("softmax",)),
        "cross_entropy": Case(lambda: _labelled(F.cross_entropy), ("cross_entropy", "softmax")),
        "nll_loss": Case(lambda: _labelled(F.nll_loss), ("nll_loss",)),
        "mse_loss": Case(lambda: _op(F.mse_loss, PICTURES, PICTURES), ("mse_loss",)),
        "smooth_l1_loss": Case(lambda: _op(F.smooth_l1_loss, PICTURES, PICTURES), ("smooth_l1_loss",)),
        "linear": Case(lambda: _op(F.linear, (70, 96), weights=((80, 96), (80,))), ("matmul", "linear")),
        "conv2d": Case(lambda: _op(F.conv2d, (2, 16, 11, 14), weights=filters, padding=1), OF_CONV),
        "conv_transpose2d": Case(
            lambda: _op(F.conv_transpose2d, (2, 16, 9, 10), weights=transposed, stride=2, padding=1),
            ("conv_transpose",),
        ),
    }
    found |= {f"{name}_bfloat16": case._replace(run=_in("bfloat16", case.run)) for name, case in found.items()}
    found |= {f"{name}_tf32": found[name]._replace(run=_in("tf32", found[name].run)) for name in ("conv2d", "linear")}
    many = ((72, 72, 3, 3), (72,))
    wide = _in("bfloat16", lambda: _op(F.conv2d, (1, 72, 9, 10), weights=many, padding=1, stride=2))
    found |= {
        "batch_norm_in_evaluation": Case(lambda: _batch_norm(F.batch_norm, False), ("batchnorm_channels",)),
        "sync_batch_norm": Case(lambda: _batch_norm(F.sync_batch_norm), ("batchnorm", "batchnorm_channels")),
        "local_response_norm_of_many": Case(lambda: _op(F.local_response_norm, PICTURES, size=7), ("lrn",)),
        "conv2d_bfloat16_of_many_channels": Case(wide, ("tensor_conv",)),
        "conv2d_of_pictures_bfloat16": Case(
            _in("bfloat16", lambda: _op(F.conv2d, (2, 3, 11, 14), weights=((32, 3, 3, 3), (32,)))), ("tensor_conv",)
        ),
        "cast": Case(_casts, ("cast",)),
        "max_pool2d_without_gradient": Case(_pool_without_gradient, ("max_pool",)),
        "max_pool2d_of_wide_windows": Case(lambda: _op(F.max_pool2d, PICTURES, kernel_size=17), ("max_pool",)),
        "mse_loss_of_each": Case(lambda: _op(F.mse_loss, PICTURES, PICTURES, reduction="none"), ("mse_loss",)),
        "channels_last": Case(lambda: layout.channels_last(_array(*PICTURES)), ("layout",)),
        "sgd": Case(lambda: _step(minicnn.optim.SGD, momentum=0.9), ("sgd",)),
        "adam": Case(lambda: _step(minicnn.optim.Adam), ("adam",)),
    }
    return found
