"""LARS: each layer's step is in proportion to its weights, so that very large batches can have very large rates.

Simplest  w -= lr * |w| / |grad| * grad                      the step's length: lr times that of the weights
Update    ratio = trust_coefficient * |w| / (|grad| + weight_decay * |w| + eps)        lengths over all of a parameter
          d = ratio * (grad + weight_decay * w)              ratio is 1 where |w| is 0: a bias could not begin to move
          v = momentum * v + d                               the first time: v = d
          w = w - lr * v
Note      lr stands outside the velocity, as in SGD; in the paper it stands inside, which is the same until lr changes.
          trust_coefficient=None: ratio is 1, plain SGD, as biases and batch norms are trained beside LARS in practice.
Mirrors   none: array arithmetic on either library, then SGD's kernel (directed.py)
Test      tests/optim/test_lars.py
Source    You, Gitman and Ginsburg, "Large batch training of convolutional networks", arXiv 1708.03888, 2017
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from ..ops.norm import length
from ..settings import real
from ..types import Array
from .directed import Directed


class LARS(Directed):
    """SGD with momentum whose rate adapts to the length of each parameter and of its gradient.

    params               Parameters; or groups, dicts {"params": [...], "lr": ..., ...} whose settings override these
    lr, momentum         as in SGD; lr is larger here, since trust_coefficient stands before it
    weight_decay         part of the direction, and of the ratio
    trust_coefficient    how far a step of lr 1 goes, as a part of |w|; None: no ratio
    eps                  added below the fraction
    """

    kept: ClassVar = {"velocity": "velocities"}

    def __init__(
        self,
        params: Any,
        lr: float,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        trust_coefficient: float | None = 0.001,
        eps: float = 1e-8,
    ) -> None:
        settings = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "eps": eps}
        super().__init__(params, {**settings, "trust_coefficient": trust_coefficient})

    def checked_settings(self, group: Mapping[str, Any]) -> dict[str, Any]:
        trust = group["trust_coefficient"]
        return {
            "lr": real(self, "lr", group["lr"], at_least=0),
            "momentum": real(self, "momentum", group["momentum"], at_least=0),
            "weight_decay": real(self, "weight_decay", group["weight_decay"], at_least=0),
            "eps": real(self, "eps", group["eps"], at_least=0),
            "trust_coefficient": None if trust is None else real(self, "trust_coefficient", trust, above=0),
        }

    def prepared(self, w: Array, state: Mapping[str, Any], settings: Mapping[str, Any]) -> tuple[dict[str, Any], Any]:
        """The first step with a momentum makes the velocity."""
        row = tuple(settings[name] for name in ("lr", "momentum", "weight_decay", "trust_coefficient", "eps"))
        if settings["momentum"] == 0:
            return {}, row  # a velocity of before is left alone
        velocity = state.get("velocity")
        return {"velocity": np.zeros_like(w) if velocity is None else velocity}, row

    def direction(self, w: Array, grad: Array, kept: list[Any], settings: Any) -> Array:
        weight_decay, trust_coefficient, eps = settings
        d = grad + weight_decay * w
        if trust_coefficient is None:
            return d
        axes = tuple(range(w.ndim))
        of_w, of_grad = length(w, axes), length(grad, axes)  # with as many axes as w, each of length 1: no number is
        below = of_grad + weight_decay * of_w + eps  # asked for, so that a GPU is not waited for
        one = w.dtype.type(1)
        return d * np.where(
            (of_w == 0) | (below == 0), one, trust_coefficient * of_w / np.where(below == 0, one, below)
        )
