"""Adam: every weight has a step size of its own, by how large its gradients have been.

Simplest  w -= lr * mean(grad) / sqrt(mean(grad^2))         steps of about lr, whatever the scale of the gradients
Update    g = grad + weight_decay * w                       AdamW: w = w - lr * weight_decay * w, and g = grad
          m = beta1 * m + (1 - beta1) * g                   exp_avg: a mean of the last 1 / (1 - beta1) gradients, or so
          v = beta2 * v + (1 - beta2) * g^2                 exp_avg_sq: likewise of their squares
          m_hat = m / (1 - beta1^t)                         m begins as 0: the weights of t gradients in it have the sum
          v_hat = v / (1 - beta2^t)                         1 - beta1^t; amsgrad: of the largest v so far
          w = w - lr * m_hat / (sqrt(v_hat) + eps)
Note      t counts a parameter's own steps: where it has no gradient, it has no step. Adam's weight decay is divided by
          sqrt(v_hat), too, so that it does least where gradients are large; AdamW's is the same for every weight.
Mirrors   kernels/cpu/adam.py   kernels/numba_cuda/adam.py   kernels/cuda/adam.cu
Test      tests/optim/test_adam.py
Source    Kingma and Ba, "Adam: a method for stochastic optimization", ICLR 2015, algorithm 1; Loshchilov and Hutter,
          "Decoupled weight decay regularization", ICLR 2019 (AdamW); Reddi et al., "On the convergence of Adam and
          beyond", ICLR 2018 (amsgrad)
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from ..settings import flag, real, whole
from ..types import Array
from .optimizer import Optimizer
from .rows import some_rows
from .state import MOST_STEPS


def adam_update(
    parameters: Sequence[Array],
    gradients: Sequence[Array],
    exp_avgs: Sequence[Array],
    exp_avg_sqs: Sequence[Array],
    max_exp_avg_sqs: Sequence[Array | None],
    settings: Sequence[tuple[float, float, float, float, float, bool, int]],
    loss: Array | None = None,
) -> None:
    """The update at the top of this file, in place: lists of arrays, as long as one another.

    max_exp_avg_sqs    the largest exp_avg_sq of each weight so far, or None without amsgrad
    settings           (lr, beta1, beta2, eps, weight_decay, decoupled, t) of each parameter; decoupled: AdamW
    loss               (), or None: where it is not finite, nothing is changed
    """
    if loss is not None and not np.isfinite(loss):
        return
    arrays = zip(parameters, gradients, exp_avgs, exp_avg_sqs, max_exp_avg_sqs, strict=True)
    for each, (lr, beta1, beta2, eps, weight_decay, decoupled, t) in zip(arrays, settings, strict=True):
        for w, g, m, v, largest in some_rows(*each):  # views: what is done in place is done to the model's own array
            if decoupled:
                w *= 1 - lr * weight_decay
            elif weight_decay:
                g = g + weight_decay * w  # a new array: g was .grad
            m *= beta1
            m += (1 - beta1) * g
            v *= beta2
            v += (1 - beta2) * g * g
            if largest is not None:  # amsgrad
                v = np.maximum(largest, v, out=largest)
            m_hat = m / (1 - beta1**t)
            v_hat = v / (1 - beta2**t)
            w -= lr * m_hat / (np.sqrt(v_hat) + eps)


class Adam(Optimizer):
    """Changes parameters by the means of their gradients and of the squares.

    params         Parameters; or groups, dicts {"params": [...], "lr": ..., ...} whose settings override those below
    lr, betas, eps, weight_decay, amsgrad    as in ``torch.optim.Adam``
    """

    update = staticmethod(adam_update)
    kept: ClassVar = {"exp_avg": "exp_avgs", "exp_avg_sq": "exp_avg_sqs", "max_exp_avg_sq": "max_exp_avg_sqs"}
    counted: ClassVar = {"step": "steps"}
    decoupled: ClassVar = False  # whether weight decay takes no part in the means

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
    ) -> None:
        settings = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "amsgrad": amsgrad}
        super().__init__(params, settings)

    def checked_settings(self, group: Mapping[str, Any]) -> dict[str, Any]:
        betas = group["betas"]
        if not isinstance(betas, (tuple, list)) or len(betas) != 2:
            raise TypeError(
                f"{type(self).__name__}: betas must be a pair of numbers, (beta1, beta2), got {betas!r:.60}"
            )
        return {
            "lr": real(self, "lr", group["lr"], at_least=0),
            "betas": tuple(real(self, "betas", beta, at_least=0, below=1) for beta in betas),
            "eps": real(self, "eps", group["eps"], at_least=0),
            "weight_decay": real(self, "weight_decay", group["weight_decay"], at_least=0),
            "amsgrad": flag(self, "amsgrad", group["amsgrad"]),
        }

    def prepared(self, w: Array, state: Mapping[str, Any], settings: Mapping[str, Any]) -> tuple[dict[str, Any], Any]:
        """The first step makes the means."""
        t = whole(self, "step", state.get("step", 0), 0, MOST_STEPS) + 1
        names = list(self.kept) if settings["amsgrad"] else ["exp_avg", "exp_avg_sq"]
        kept = {name: np.zeros_like(w) if state.get(name) is None else state[name] for name in names}
        (beta1, beta2), lr, eps, decay = (settings[name] for name in ("betas", "lr", "eps", "weight_decay"))
        return {**kept, "step": t}, (lr, beta1, beta2, eps, decay, self.decoupled, t)

    def check_kept(self, what: str, kept: Mapping[str, Any]) -> None:
        if kept and (missing := [name for name in ("exp_avg", "exp_avg_sq", "step") if name not in kept]):
            raise ValueError(f"{what} has {', '.join(kept)}, and no {missing[0]}")
        if any((kept[name] < 0).any() for name in kept if name.endswith("_sq")):  # whose root would be NaN
            raise ValueError(f"{what} has a mean of squares that is negative")


class AdamW(Adam):
    """Adam with decoupled weight decay: w also loses lr * weight_decay of itself at every step.

    params         Parameters; or groups, dicts {"params": [...], "lr": ..., ...} whose settings override those below
    lr, betas, eps, weight_decay, amsgrad    as in ``torch.optim.AdamW``
    """

    decoupled: ClassVar = True

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad)
