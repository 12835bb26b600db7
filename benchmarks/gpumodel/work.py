"""What a launch works out: its multiply-adds, whole tiles of them, and the kind of kernel that it is.

A kernel that multiplies by tiles works them out whole, beyond the edges too: multiply-adds of a launch are thread
blocks x results of a tile x terms of a sum.
"""

import math
import re

from .launches import Launch

KINDS = (
    "convolution, forward",
    "convolution, grad_x",
    "convolution, grad_weight",
    "Winograd's tiles",
    "linear",
    "grad_bias",
    "packing and casting",
    "batch norm",
    "ReLU and residual add",
    "pooling",
    "dropout, loss",
    "optimiser",
    "array library",
)
_BY_FILE = {
    "matmul.cu": "linear",
    "tensor_cores.cu": "linear",
    "split.cu": "convolution, grad_weight",
    "cast.cu": "packing and casting",
    "layout.cu": "packing and casting",
    "batchnorm.cu": "batch norm",
    "batchnorm_channels.cu": "batch norm",
    "activation.cu": "ReLU and residual add",
    "arithmetic.cu": "ReLU and residual add",
    "max_pool.cu": "pooling",
    "avg_pool.cu": "pooling",
    "adaptive_avg_pool.cu": "pooling",
    "dropout.cu": "dropout, loss",
    "cross_entropy.cu": "dropout, loss",
    "softmax.cu": "dropout, loss",
    "nll_loss.cu": "dropout, loss",
    "sgd.cu": "optimiser",
    "": "array library",
}
_PACKING = {"pack", "pack_filters", "pad_channels"}
_BIAS = {"column_sums", "conv2d_grad_bias"}


def kind(launch: Launch) -> str:
    """One of KINDS. KeyError, with the kernel's name, if nobody has said which."""
    name = launch.kernel
    if name in _PACKING:
        return "packing and casting"
    if name in _BIAS:
        return "grad_bias"
    if name == "winograd_spread":
        return "Winograd's tiles"
    if launch.file in ("conv.cu", "tensor_conv.cu", "winograd.cu"):
        if launch.file == "tensor_conv.cu" and launch.numbers["H"] == launch.numbers["W"] == 1:
            return "linear"
        if name.startswith("conv2d_grad_weight"):
            return "convolution, grad_weight"
        if name == "sum_splits":
            return "convolution, grad_weight"
        return "convolution, forward" if launch.phase == "forward" else "convolution, grad_x"
    if launch.file not in _BY_FILE:
        raise KeyError(f"{launch.name}: of what kind is it? (benchmarks/gpumodel/work.py)")
    return _BY_FILE[launch.file]


def multiply_adds(launch: Launch) -> int:
    """Of the products of a launch; 0 where it multiplies no tiles."""
    sizes, kernel = tile(launch.name), f"{launch.file} {launch.kernel}"
    terms = next((of for pattern, of in _TERMS if re.fullmatch(pattern, kernel)), None)
    return launch.blocks * math.prod(sizes) * terms(launch.numbers) if sizes and terms else 0


def tile(name: str) -> tuple[int, int] | None:
    """(rows, columns) that a thread block of a kernel works out, by its name; None if it multiplies no tiles."""
    kernel = name.partition("<")[0]
    if not any(re.fullmatch(pattern, kernel) for pattern, _ in _TERMS):
        return None
    sizes = re.search(r"_(\d+)x(\d+)$", kernel)
    return (int(sizes[1]), int(sizes[2])) if sizes else _TILES.get(kernel, (64, 64))


_TILES = {
    "matmul.cu matmul_large": (128, 128),
    "matmul.cu matmul_split": (128, 128),
    "tensor_cores.cu product_pipelined": (128, 128),
    "tensor_conv.cu conv2d": (128, 128),
    "tensor_conv.cu conv2d_forward": (128, 128),
    "tensor_conv.cu conv2d_grad_x": (128, 128),
    "tensor_conv.cu conv2d_grad_weight": (128, 128),
    "tensor_conv.cu conv2d_forward_narrow": (128, 64),
    "tensor_conv.cu conv2d_grad_x_narrow": (128, 64),
    "tensor_conv.cu conv2d_grad_weight_narrow": (128, 64),
}


def _window(n):  # of a filter
    return n["C"] // n["groups"] * n["KH"] * n["KW"]


def _gradient(n):  # of the outputs that see a pixel, zeros and all
    return n["OC"] // n["groups"] * n["KH"] * n["KW"]


def _tensor_gradient(n):  # over the phases of a stride, which share out the taps
    taps = n["filters"] * n["KH"] * n["KW"]
    return math.ceil(taps / (n["SH"] * n["SW"]) / n["splits"])


_TERMS = (
    (r"conv\.cu conv2d_forward_\d+x\d+", _window),
    (r"conv\.cu conv2d_grad_x_\d+x\d+", lambda n: math.ceil(_gradient(n) / (n["SH"] * n["SW"]))),
    (r"conv\.cu conv2d_grad_weight_\d+x\d+", lambda n: n["length"]),
    (r"winograd\.cu winograd_\d+x\d+", lambda n: n["D"]),
    (r"matmul\.cu matmul_split", lambda n: n["length"]),
    (r"matmul\.cu matmul_(?:double|large)", lambda n: n["K"]),
    (r"tensor_cores\.cu product_pipelined", lambda n: n["length"]),
    (r"tensor_conv\.cu conv2d_grad_x\w*", _tensor_gradient),
    (r"tensor_conv\.cu conv2d_(?:forward|grad_weight)\w*", lambda n: n["length"]),
    # of the code before (before.json)
    (r"conv\.cu conv2d_forward", _window),
    (r"conv\.cu conv2d_grad_x", _gradient),
    (r"conv\.cu conv2d_grad_weight", lambda n: n["length"]),
    (r"tensor_conv\.cu conv2d", lambda n: n["channels"] * n["KH"] * n["KW"]),
)
