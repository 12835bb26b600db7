"""minicnn: a convolutional-network engine from scratch, to read and to train with.

Start reading at ``tensor.py`` and ``autograd.py`` (how a gradient is found), then any page of ``ops/`` (what it is).
"""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from . import cuda, distributed, export, functional, models, nn, optim
from .absent import absent
from .autograd import Function
from .creation import (
    arange,
    as_tensor,
    empty,
    empty_like,
    eye,
    from_dlpack,
    from_numpy,
    full,
    full_like,
    linspace,
    ones,
    ones_like,
    rand,
    rand_like,
    randint,
    randn,
    randn_like,
    randperm,
    tensor,
    zeros,
    zeros_like,
)
from .device import Device as device
from .device import set_tier, tier
from .dtypes import bfloat16, double, float32, float64, int8, int16, int32, int64, long, short, uint8
from .dtypes import bool as bool
from .dtypes import float as float
from .dtypes import int as int
from .functions import *  # noqa: F403  exp, sum, where ...: functions.__all__ names them
from .functions import cat, stack
from .gradcheck import gradcheck
from .gradmode import enable_grad, is_grad_enabled, no_grad, set_grad_enabled
from .nn.fuse import fuse
from .nn.seal import seal
from .nn.summary import summary
from .precision import precision, set_precision
from .pretrained.zoo import create_model, list_models
from .random import manual_seed
from .saving import load, save
from .tensor import Tensor

if find_spec("minicnn.kernels") is None:  # no link minicnn/kernels: git on Windows and some archives leave links out
    _folder = Path(__file__).parent
    raise ImportError(
        f"minicnn is not installed, and its kernels are not beside it; run: pip install -e {_folder.parent}   or, "
        f"without network: ln -sfn ../kernels {_folder / 'kernels'}   (where there are no links, copy the folder)"
    )

__version__ = "0.1.0"

__all__ = [  # without bool, int, sum and their like: after `from minicnn import *`, Python's own mean what they did
    "Function", "Tensor", "arange", "as_tensor", "bfloat16", "cat", "create_model", "cuda", "device", "distributed",
    "double", "empty", "empty_like", "enable_grad", "export", "eye", "float32", "float64", "from_dlpack", "from_numpy",
    "full", "full_like", "functional", "fuse", "gradcheck", "int8", "int16", "int32", "int64", "is_grad_enabled",
    "linspace", "list_models", "load", "long", "manual_seed", "models", "nn", "no_grad", "ones", "ones_like", "optim",
    "precision", "rand", "rand_like", "randint", "randn", "randn_like", "randperm", "save", "seal", "set_grad_enabled",
    "set_precision", "set_tier", "short", "stack", "summary", "tensor", "tier", "uint8", "zeros", "zeros_like",
]  # fmt: skip


if not TYPE_CHECKING:  # a type checker would take every name for one that is there

    def __getattr__(name):
        raise absent("minicnn", name)
