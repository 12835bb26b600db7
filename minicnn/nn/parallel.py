"""Layers that work together with the same layer on the other ranks; see the ops' pages, minicnn/ops/all_gather.py and
its neighbours. In a process that is alone, they hand on what they get, and SyncBatchNorm is a BatchNorm2d.
"""

from typing import TypeVar

from .. import functional as F
from ..absent import with_absent_names
from ..settings import ANY, kind_of, whole
from .layers import BatchNorm2d
from .module import Module

M = TypeVar("M", bound=Module)


class AllGather(Module):
    """``F.all_gather``: every rank goes on with the tensors of all ranks, one behind the other along the axis `dim`."""

    def __init__(self, dim: int = 1) -> None:
        super().__init__()
        self.dim = whole(self, "dim", dim, at_least=ANY)

    def forward(self, x):
        return F.all_gather(x, self.dim)

    def extra_repr(self):
        return f"dim={self.dim}"


class ReduceScatter(Module):
    """``F.reduce_scatter``: a rank goes on with its slice, along the axis `dim`, of the sum over all ranks."""

    def __init__(self, dim: int = 1) -> None:
        super().__init__()
        self.dim = whole(self, "dim", dim, at_least=ANY)

    def forward(self, x):
        return F.reduce_scatter(x, self.dim)

    def extra_repr(self):
        return f"dim={self.dim}"


class AllReduce(Module):
    """``F.all_reduce``: every rank goes on with the sum over all ranks."""

    def forward(self, x):
        return F.all_reduce(x)


@with_absent_names
class SyncBatchNorm(BatchNorm2d):
    """``BatchNorm2d`` over the batches of all ranks as one; ``F.sync_batch_norm``. By itself it is a BatchNorm2d.

    In training each rank must call it, also for a batch without rows.
    """

    same_on_all_ranks = True

    def forward(self, x):
        return F.sync_batch_norm(x, *self.options())

    @classmethod
    def convert_sync_batchnorm(cls, module: M) -> M:
        """Make each BatchNorm2d in `module` a SyncBatchNorm, with the parameters, buffers, hooks and modes that it has.
        Returns the module. TypeError, and nothing is changed, for a batch norm of a class of one's own."""
        if not isinstance(module, Module):
            raise TypeError(f"convert_sync_batchnorm: converts a Module, not a {kind_of(module)}")
        found = {name: layer for name, layer in module.named_modules() if isinstance(layer, BatchNorm2d)}
        found = {name: layer for name, layer in found.items() if not isinstance(layer, SyncBatchNorm)}
        for name, layer in found.items():
            if type(layer) is not BatchNorm2d or "forward" in vars(layer):  # what it does is known to its author
                what = f"{name or 'the layer'} is a {type(layer).__name__} with a forward of its own"
                raise TypeError(f"convert_sync_batchnorm: {what}; write it on nn.SyncBatchNorm")
        for layer in found.values():
            layer.__class__ = cls  # the same object: whoever holds it, an optimiser or another module, need not know
        return module
