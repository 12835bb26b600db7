"""Layers one after the other, of which batch norm and a ReLU behind it run as one op."""

from typing import Any, TypeGuard, TypeVar

from .. import functional as F
from ..tensor import Tensor
from .layers import BatchNorm2d, ReLU
from .module import Module
from .watch import is_looked_at

M = TypeVar("M", bound=Module)


def chain(x: Tensor, *layers: Module, residual: Tensor | None = None) -> Any:
    """x through the layers; `residual`, if there is one, is added before the last of them.

    Batch norm and a ReLU become ``F.batch_norm_relu``, one pass over memory, unless somebody looks at what passes
    between them: layers that have hooks (``nn.watch`` gives them some), are of classes of a user's own, or have another
    ``forward``, are called. So is a SyncBatchNorm, whose statistics are not those of x alone.
    """
    waiting: list[Any] = list(layers)
    while waiting:
        layer = waiting.pop(0)
        if waiting and _is_plain(layer, BatchNorm2d) and _is_plain(waiting[0], ReLU):
            del waiting[0]  # the ReLU: done by the fused op
            x = F.batch_norm_relu(x, *layer.options(), residual=None if waiting else residual)
            continue
        if residual is not None and not waiting:  # layer is the last one
            x = F.residual_add(x, residual)
        x = layer(x)
    return x


def _is_plain(layer: Any, kind: type[M]) -> TypeGuard[M]:
    return type(layer) is kind and "forward" not in vars(layer) and not is_looked_at(layer)
