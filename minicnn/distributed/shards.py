"""The sums of gradients that need not be sent while backward goes on: of one process, and of --shards.

``Own`` leaves gradients where the engine puts them. ``Shards`` puts them together part by part, in the fixed tree of
sums.py; both have the methods of ``Buckets``, so that parallel.py does the same with all three.
"""

from collections.abc import Sequence

import numpy as np

from ..types import Array
from ..variable import Variable
from .buckets import BYTES, in_buckets
from .ranks import World
from .sums import TreeSum, tree_sum


class Own:
    """One process: gradients add up in ``.grad``, as they always do. So its methods do nothing."""

    def begin(self) -> None:
        """Nothing."""

    def begin_part(self, last: bool) -> None:
        """Nothing."""

    def end_part(self) -> None:
        """Nothing."""

    def finish(self) -> None:
        """Nothing."""

    def remove(self) -> None:
        """Nothing."""


class Shards:
    """The gradients of these parameters, summed over the parts of a batch, and those over ranks, in one tree.

    Nothing is sent before the last part's backward has ended: same bits are worth more here than time."""

    def __init__(self, parameters: Sequence[Variable], world: World, size: int = BYTES) -> None:
        self.groups, self.world = in_buckets(parameters, size), world
        self.sums: list[TreeSum] = []
        self.touched: set[Variable] = set()  # parameters that have got a gradient in some part

    def begin(self) -> None:
        """A step begins."""
        self.sums = [TreeSum() for _ in self.groups]
        self.touched = set()

    def begin_part(self, last: bool) -> None:
        """A part begins, with no gradients: each part's are a term of their own."""
        for group in self.groups:
            for parameter in group:
                parameter.grad = None

    def end_part(self) -> None:
        """A part's backward is over: its gradients are a leaf of the tree."""
        for group, tree in zip(self.groups, self.sums, strict=True):
            tree.add(np.concatenate([_flat(parameter) for parameter in group]))
            self.touched.update(parameter for parameter in group if parameter.grad is not None)

    def finish(self) -> None:
        """Now each gradient is the sum over all parts of all ranks."""
        for group, tree in zip(self.groups, self.sums, strict=True):
            total, start = tree_sum(self.world, tree.total()), 0
            for parameter in group:
                stop = start + parameter.data.size
                if parameter in self.touched:
                    parameter.grad = parameter.like(total[start:stop].reshape(parameter.data.shape))
                start = stop

    def remove(self) -> None:
        """Nothing is left behind on the parameters."""


def _flat(parameter: Variable) -> Array:
    """Its gradient (size,); zeros if it has none."""
    return np.zeros_like(parameter.data).reshape(-1) if parameter.grad is None else parameter.grad.data.reshape(-1)
