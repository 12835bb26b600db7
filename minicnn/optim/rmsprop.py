"""RMSprop: each gradient is divided by the root of the mean square of those before it.

Simplest  w -= lr * grad / sqrt(mean(grad^2))         steps of about lr, whatever the scale of the gradients
Update    g = grad + weight_decay * w
          s = alpha * s + (1 - alpha) * g^2                   square_avg: a mean of the last squares
          a = alpha * a + (1 - alpha) * g                     grad_avg, if centered: likewise of the gradients
          d = g / (sqrt(s) + eps)                             centered: sqrt(s - a^2), the gradients' spread
          v = momentum * v + d                                the first time: v = d
          w = w - lr * v                                      without momentum: w - lr * d
Note      s begins as 0 and is not corrected, as Adam's mean is: the first step is lr / sqrt(1 - alpha), ten times lr.
Mirrors   none: array arithmetic on either library, then SGD's kernel (directed.py)
Test      tests/optim/test_rmsprop.py
Source    Tieleman and Hinton, "Lecture 6.5: rmsprop", Coursera, 2012; Graves, "Generating sequences with recurrent
          neural networks", arXiv 1308.0850, 2013 (centered)
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from ..settings import flag, real
from ..types import Array
from .directed import Directed
from .rows import some_rows


class RMSprop(Directed):
    """Changes parameters by their gradients, each divided by how large they have been.

    params         Parameters; or groups, dicts {"params": [...], "lr": ..., ...} whose settings override those below
    lr, alpha, eps, weight_decay, momentum, centered    as in ``torch.optim.RMSprop``
    """

    kept: ClassVar = {"square_avg": "square_avgs", "grad_avg": "grad_avgs", "velocity": "velocities"}

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
    ) -> None:
        settings = {"lr": lr, "alpha": alpha, "eps": eps, "weight_decay": weight_decay, "momentum": momentum}
        super().__init__(params, {**settings, "centered": centered})

    def checked_settings(self, group: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "lr": real(self, "lr", group["lr"], at_least=0),
            "alpha": real(self, "alpha", group["alpha"], at_least=0, at_most=1),
            "eps": real(self, "eps", group["eps"], at_least=0),
            "weight_decay": real(self, "weight_decay", group["weight_decay"], at_least=0),
            "momentum": real(self, "momentum", group["momentum"], at_least=0),
            "centered": flag(self, "centered", group["centered"]),
        }

    def prepared(self, w: Array, state: Mapping[str, Any], settings: Mapping[str, Any]) -> tuple[dict[str, Any], Any]:
        """The first step makes the means, and the first one with a momentum the velocity."""
        wanted = {"square_avg": True, "grad_avg": settings["centered"], "velocity": settings["momentum"] > 0}
        names = [name for name, is_wanted in wanted.items() if is_wanted]
        kept = {name: np.zeros_like(w) if state.get(name) is None else state[name] for name in names}
        return kept, tuple(settings[name] for name in ("lr", "momentum", "alpha", "eps", "weight_decay"))

    def direction(self, w: Array, grad: Array, kept: list[Any], settings: Any) -> Array:
        alpha, eps, weight_decay = settings
        direction = np.empty_like(w)
        for w_, g, d, s, a in some_rows(w, grad, direction, *kept):  # views of the same few rows
            if weight_decay:
                g = g + weight_decay * w_  # a new array: g was .grad
            s *= alpha
            s += (1 - alpha) * g * g
            variance = s
            if a is not None:  # centered
                a *= alpha
                a += (1 - alpha) * g
                variance = np.maximum(s - a * a, 0)  # rounding may have made it a little less
            d[...] = g / (np.sqrt(variance) + eps)
        return direction

    def check_kept(self, what: str, kept: Mapping[str, Any]) -> None:
        if kept and "square_avg" not in kept:
            raise ValueError(f"{what} has {', '.join(kept)}, and no square_avg")
        if (kept.get("square_avg", np.zeros(())) < 0).any():  # whose root would be NaN
            raise ValueError(f"{what} has a mean of squares that is negative")
