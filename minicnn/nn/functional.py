"""``import minicnn.nn.functional as F``, as PyTorch users write it: the functions of ``minicnn/functional.py``."""

from ..functional import *  # noqa: F403
from ..functional import __all__ as __all__
from ..functional import __getattr__ as __getattr__  # type: ignore
