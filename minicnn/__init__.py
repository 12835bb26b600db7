"""minicnn: a convolutional-network engine from scratch, to read and to train with.

Start reading at ``tensor.py`` and ``autograd.py`` (how a gradient is found), then any page of ``ops/`` (what it is).
"""

from importlib.util import find_spec
from pathlib import Path

from . import functional, models, nn, optim
from .autograd import Function
from .device import set_tier, tier
from .gradcheck import gradcheck
from .gradmode import enable_grad, is_grad_enabled, no_grad
from .nn.summary import summary
from .random import manual_seed
from .tensor import Tensor, cat, stack

if find_spec("minicnn.kernels") is None:  # the link minicnn/kernels is not there, as git on Windows leaves it out
    raise ImportError(
        f"minicnn is not installed, and its kernels are not beside it; run: pip install -e {Path(__file__).parents[1]}"
    )

__version__ = "0.1.0"

__all__ = [
    "Function", "Tensor", "cat", "enable_grad", "functional", "gradcheck", "is_grad_enabled", "manual_seed", "models",
    "nn", "no_grad", "optim", "set_tier", "stack", "summary", "tier",
]  # fmt: skip
