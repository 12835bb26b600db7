"""Layers that work together with the same layer on the other ranks."""

from typing import TypeVar

from .. import functional as F
from ..absent import with_absent_names
from ..settings import kind_of
from .layers import BatchNorm2d
from .module import Module

M = TypeVar("M", bound=Module)


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
