"""Layers one after the other, of which a ReLU runs as one op with the batch norm or the convolution before it, and a
convolution beside a batch norm."""

from collections.abc import Callable
from typing import Any, TypeGuard, TypeVar

from .. import functional as F
from ..ops.conv_batchnorm import conv2d_batch_norm
from ..tensor import Tensor
from .layers import BatchNorm2d, Identity, ReLU
from .module import Module
from .watch import is_looked_at
from .weighted import Conv2d

M = TypeVar("M", bound=Module)

WITH_RELU: dict[type[Module], Callable[..., Any]] = {BatchNorm2d: F.batch_norm_relu, Conv2d: F.conv2d_relu}


def chain(x: Tensor, *layers: Module, residual: Tensor | None = None) -> Any:
    """x through the layers; `residual`, if there is one, is added before the last of them.

    Batch norm, or a convolution, and a ReLU behind it become one op, which adds the residual, too, and saves passes
    over memory; a convolution and the batch norm behind it save more of them (ops/conv_batchnorm.py): unless somebody
    looks at what passes between them. Layers that have hooks (``nn.watch`` gives them some), are of classes of a user's
    own, or have another ``forward``, are called. So is a SyncBatchNorm, whose statistics are not those of x alone. An
    Identity is passed over: ``fuse`` leaves one where a batch norm was.
    """
    waiting: list[Any] = [layer for layer in layers[:-1] if not _is_plain(layer, Identity)]
    waiting += layers[-1:]  # whatever it is, the residual comes before it
    while waiting:
        layer, norm = waiting.pop(0), None
        together = waiting and _is_plain(waiting[0], BatchNorm2d) and _is_plain(layer, Conv2d)
        if together and (len(waiting) > 1 or residual is None):  # else the residual comes between the two
            norm = waiting.pop(0)
        op = _with_relu(norm or layer) if waiting and _is_plain(waiting[0], ReLU) else None
        if op:
            del waiting[0]  # the ReLU: done by the fused op
        added = None if waiting else residual
        if norm:
            x = conv2d_batch_norm(x, layer.options(), norm.options(), op is not None, added)
        elif op:
            x = op(x, *layer.options(), residual=added)
        else:
            x = layer(x if added is None else F.residual_add(x, added))
    return x


def _with_relu(layer):
    """The op of the layer and a ReLU behind it; None if there is none."""
    kind = type(layer)
    return WITH_RELU[kind] if kind in WITH_RELU and _is_plain(layer, kind) else None


def _is_plain(layer: Any, kind: type[M]) -> TypeGuard[M]:
    return type(layer) is kind and "forward" not in vars(layer) and not is_looked_at(layer)
