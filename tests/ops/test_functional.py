"""Every op is called as in torch.nn.functional: the same names, in the same order, with the same defaults."""

import inspect
import re

import numpy as np
import pytest

import minicnn.functional as F
from minicnn import Tensor

OWN = {
    "all_gather",
    "all_reduce",
    "batch_norm_relu",
    "conv2d_relu",
    "reduce_scatter",
    "residual_add",
    "sync_batch_norm",
}  # not PyTorch's
MORE = {"local_response_norm": {"groups": 1}}  # arguments that PyTorch lacks, behind its own


def parameters(function):
    """{name: default}, from the signature or, for a compiled function, from the first line of its documentation."""
    try:
        signature = inspect.signature(function)
    except ValueError:
        signature = None
    if signature is None or "args" in signature.parameters:
        line = re.search(r"\w+(\(.*?\))(?: ->|\n)", function.__doc__).group(1).replace(", *,", ",")
        signature = inspect.signature(eval(f"lambda {line[1:-1]}: None"))
    return {p.name: p.default for p in signature.parameters.values()}


@pytest.mark.parametrize("name", sorted(set(F.__all__) - OWN))
def test_signature_is_pytorchs(torch, name):
    ours = parameters(getattr(F, name))
    theirs = parameters(getattr(torch.nn.functional, name, None) or getattr(torch, name)) | MORE.get(name, {})
    assert list(ours) == [parameter for parameter in theirs if parameter in ours]
    for parameter, default in ours.items():
        if default is not inspect.Parameter.empty:
            assert default == theirs[parameter], parameter


def test_everything_is_listed():
    functions = {name for name, value in vars(F).items() if inspect.isfunction(value) and not name.startswith("_")} - {
        "absent"
    }
    assert functions == set(F.__all__)


IMAGE = Tensor(np.ones((1, 2, 3, 3)))
CALLS = {
    "conv2d": lambda x: F.conv2d(x, IMAGE),
    "conv_transpose2d": lambda x: F.conv_transpose2d(x, IMAGE),
    "conv_transpose2d weight": lambda x: F.conv_transpose2d(IMAGE, x),
    "conv2d_relu": lambda x: F.conv2d_relu(x, IMAGE),
    "conv2d weight": lambda x: F.conv2d(IMAGE, x),
    "max_pool2d": lambda x: F.max_pool2d(x, 2),
    "avg_pool2d": lambda x: F.avg_pool2d(x, 2),
    "adaptive_avg_pool2d": lambda x: F.adaptive_avg_pool2d(x, 2),
    "local_response_norm": lambda x: F.local_response_norm(x, 3),
    "batch_norm": lambda x: F.batch_norm(x, None, None, training=True),
    "linear": lambda x: F.linear(x, IMAGE),
    "softmax": lambda x: F.softmax(x, 1),
    "cross_entropy": lambda x: F.cross_entropy(x, [0]),
    "nll_loss": lambda x: F.nll_loss(x, [0]),
    "interpolate": lambda x: F.interpolate(x, 2),
    "pad": lambda x: F.pad(x, (1, 1)),
    "mse_loss": lambda x: F.mse_loss(x, IMAGE),
    "l1_loss": lambda x: F.l1_loss(x, IMAGE),
    "smooth_l1_loss": lambda x: F.smooth_l1_loss(x, IMAGE),
    "residual_add": lambda x: F.residual_add(x, IMAGE),
    "ReLU": F.relu,
    "LeakyReLU": F.leaky_relu,
    "Tanh": F.tanh,
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("value", [None, [[1.0]], np.ones((1, 2, 3, 3))], ids=["None", "list", "array"])
def test_what_is_no_tensor_is_refused_by_name(name, value):
    with pytest.raises(
        TypeError, match=f"{name.split()[0]}: .* is .*{'None' if value is None else type(value).__name__}"
    ):
        CALLS[name](value)
