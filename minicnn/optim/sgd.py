"""Stochastic gradient descent with momentum: a heavy ball rolling down the loss.

Simplest  w -= lr * grad
Update    d = grad + weight_decay * w
          v = momentum * v + (1 - dampening) * d            the first time: v = d
          w = w - lr * v                                    nesterov: w - lr * (d + momentum * v)
Note      As in PyTorch, lr stands outside the velocity. In the 2012 paper it stands inside,
          v = 0.9 v - lr * (0.0005 w + grad): the same until lr changes, since there old velocity keeps the old lr.
Mirrors   kernels/cpu/sgd.py   kernels/numba_cuda/sgd.py   kernels/cuda/sgd.cu
Test      tests/optim/test_sgd.py
Source    Polyak, "Some methods of speeding up the convergence of iteration methods", 1964; Sutskever et al., "On the
          importance of initialization and momentum in deep learning", ICML 2013 (nesterov)
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from ..settings import flag, real
from ..types import Array
from .optimizer import Optimizer
from .rows import some_rows


def sgd_update(
    parameters: Sequence[Array],
    gradients: Sequence[Array],
    velocities: Sequence[Array | None],
    settings: Sequence[tuple[float, float, float, float, bool]],
    loss: Array | None = None,
) -> None:
    """The update at the top of this file, in place: lists of arrays, as long as one another.

    velocities    arrays, or None where there is no momentum
    settings      (lr, momentum, dampening, weight_decay, nesterov) of each parameter
    loss          (), or None: where it is not finite, nothing is changed
    """
    if loss is not None and not np.isfinite(loss):
        return
    for *arrays, rates in zip(parameters, gradients, velocities, settings, strict=True):
        lr, momentum, dampening, weight_decay, nesterov = rates
        for w, grad, v in some_rows(*arrays):  # views: what is done in place is done to the model's own array
            d = grad + weight_decay * w if weight_decay else grad  # never written into: it may be .grad
            if v is not None:  # a momentum
                v *= momentum
                v += (1 - dampening) * d if dampening else d
                d = d + momentum * v if nesterov else v  # nesterov: the next v, if d stayed as it is
            w -= lr * d


class SGD(Optimizer):
    """Changes parameters by their gradients.

    params         Parameters; or groups, dicts {"params": [...], "lr": ..., ...} whose settings override those below
                   (AlexNet's biases learn at twice the lr of its weights: ``weights_and_biases``)
    lr, momentum, dampening, weight_decay, nesterov    as in ``torch.optim.SGD``
    """

    update = staticmethod(sgd_update)
    kept: ClassVar = {"velocity": "velocities"}  # from a parameter's first step with a momentum on

    def __init__(
        self,
        params: Any,
        lr: float,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        settings = {"lr": lr, "momentum": momentum, "dampening": dampening, "weight_decay": weight_decay}
        super().__init__(params, {**settings, "nesterov": nesterov})

    def checked_settings(self, group: Mapping[str, Any]) -> dict[str, Any]:
        settings = {  # in the order in which ``sgd_update`` takes them
            "lr": real(self, "lr", group["lr"], at_least=0),
            "momentum": real(self, "momentum", group["momentum"], at_least=0),
            "dampening": real(self, "dampening", group["dampening"]),  # may be negative, as in PyTorch
            "weight_decay": real(self, "weight_decay", group["weight_decay"], at_least=0),
            "nesterov": flag(self, "nesterov", group["nesterov"]),
        }
        if settings["nesterov"] and (settings["momentum"] == 0 or settings["dampening"] != 0):
            raise ValueError("SGD: nesterov needs a momentum and no dampening")
        return settings

    def prepared(self, w: Array, state: Mapping[str, Any], settings: Mapping[str, Any]) -> tuple[dict[str, Any], Any]:
        """The first step with a momentum makes the velocity, and has no dampening."""
        if settings["momentum"] == 0:
            return {}, tuple(settings.values())  # a velocity of before is left alone
        velocity = state.get("velocity")
        if velocity is None:
            velocity, settings = np.zeros_like(w), {**settings, "dampening": 0.0}  # v = momentum * 0 + d
        return {"velocity": velocity}, tuple(settings.values())
