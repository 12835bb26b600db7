"""Optimisers that are SGD along another direction than that of the gradient: RMSprop, LARS.

    d = a direction, from the gradient and what is kept of earlier ones
    v = momentum * v + d                                       where there is a momentum
    w = w - lr * v, or lr * d

The direction is array arithmetic, on either array library; the rest is the kernel that SGD has on every device and
tier. A parameter at a time, so that there is one direction in memory and not one for every parameter. On a GPU that
is some launches for each parameter, where SGD has one for all, and a loss that may be infinite is waited for.
"""

from typing import Any, ClassVar

import numpy as np

from ..device import current_tier, implementation, to_device
from ..types import Array
from .optimizer import Optimizer
from .sgd import sgd_update


class Directed(Optimizer):
    """An optimiser that only says what its direction is. The last thing that it keeps is the velocity."""

    update = staticmethod(sgd_update)
    replayed: ClassVar = False

    def direction(self, w: Array, grad: Array, kept: list[Any], settings: Any) -> Array:
        """d, like w: not written into `grad`. kept: what there is of `kept` but for the velocity, to be changed in
        place; settings: the row behind (lr, momentum)."""
        raise NotImplementedError(f"{type(self).__name__} does not say what its direction is")

    def change(self, device: str, lists: list[list[Any]], rows: list[Any], loss: Array | None) -> None:
        """For each parameter: the direction, then SGD's kernel along it."""
        if loss is not None and not np.isfinite(to_device(loss, "cpu")):
            return
        sgd = implementation(sgd_update, device, current_tier())
        for *arrays, (lr, momentum, *settings) in zip(*lists, rows, strict=True):
            w, grad, *kept, velocity = arrays
            d = self.direction(w, grad, kept, settings)
            sgd([w], [d], [velocity], [(lr, momentum, 0.0, 0.0, False)])
