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

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..device import current_tier, device_of, implementation, naming_memory_errors, to_device
from ..types import Array
from .groups import as_groups, belong_together, checked_group, checked_settings, checked_state, unequal

AT_A_TIME = 1 << 16  # elements; w, grad, v, d and lr * d of so many stay in a processor's cache


def sgd_update(
    parameters: Sequence[Array],
    gradients: Sequence[Array],
    velocities: Sequence[Array | None],
    settings: Sequence[tuple[float, float, float, float, bool]],
) -> None:
    """The update at the top of this file, in place: lists of arrays, as long as one another.

    velocities    arrays, or None where there is no momentum
    settings      (lr, momentum, dampening, weight_decay, nesterov) of each parameter
    """
    for w, grad, velocity, rates in zip(parameters, gradients, velocities, settings, strict=True):
        _update(w, grad, velocity, *rates)


def _update(w, grad, velocity, lr, momentum, dampening, weight_decay, nesterov):
    """One parameter, some rows at a time."""
    if w.ndim == 0:  # a single number; slices want an axis, and reshape gives a view of the same memory
        w, grad, velocity = w.reshape(1), grad.reshape(1), None if velocity is None else velocity.reshape(1)
    rows = max(1, AT_A_TIME // max(1, w[:1].size))  # w[:1] is one row: (1, C, KH, KW) of a convolution
    for start in range(0, len(w), rows):
        some = slice(start, start + rows)
        d = grad[some] + weight_decay * w[some] if weight_decay else grad[some]  # never written into: it may be .grad
        if velocity is not None:  # a momentum
            v = velocity[some]  # a view: v *= writes into the velocity itself
            v *= momentum
            v += (1 - dampening) * d if dampening else d
            d = d + momentum * v if nesterov else v  # nesterov: the next v, if d stayed as it is
        w[some] -= lr * d  # in place: the model's own array


class SGD:
    """Changes parameters by their gradients.

    params         Parameters; or groups, dicts {"params": [...], "lr": ..., ...} whose settings override those below
                   (AlexNet's biases learn at twice the lr of its weights: ``weights_and_biases``)
    lr, momentum, dampening, weight_decay, nesterov    as in ``torch.optim.SGD``
    """

    def __init__(
        self,
        params: Any,
        lr: float,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        given = {"lr": lr, "momentum": momentum, "dampening": dampening, "weight_decay": weight_decay}
        self.defaults = checked_settings({**given, "nesterov": nesterov})
        self.param_groups: list[dict[str, Any]] = []  # PyTorch's name; schedules set lr in here
        self._velocities: dict[Any, Array] = {}  # parameter -> array, from its first step with a momentum on
        for group in as_groups(params):
            self.add_param_group(group)

    def add_param_group(self, group: Any) -> None:
        """Train more parameters from now on: {"params": [...], and the settings that are not the optimiser's}."""
        self.param_groups.append(checked_group(group, self.defaults, self._parameters()))

    def step(self) -> None:
        """Change every parameter that has a gradient: all those on one device, of one dtype, in one call.

        TypeError or ValueError, and nothing is changed, where an array or a setting has become what it cannot be.
        """
        together: dict[Any, list] = {}  # (device, dtype) -> what one call of sgd_update changes
        for number, group in enumerate(self.param_groups):
            rates = checked_settings(group)  # schedules and users change them
            for i, parameter in enumerate(group["params"]):
                if (grad := parameter.grad) is not None:  # None: it is frozen, or had no part in the loss
                    velocity = self._velocities.get(parameter) if rates["momentum"] else None
                    arrays = parameter.data, grad.data, velocity
                    if not belong_together(*arrays):  # a kernel would read beyond the shorter one
                        raise unequal(f"parameter {i} of group {number}", *arrays)
                    key = device_of(arrays[0]), arrays[0].dtype
                    together.setdefault(key, []).append((parameter, arrays, rates))
        # all is looked at, and nothing is changed yet; one call for many parameters is one launch, or one pass
        for (device, _), members in together.items():
            weights, gradients, velocities, settings = self._arguments(members)
            with np.errstate(under="ignore"):  # too small a number is 0, as it should
                implementation(sgd_update, device, current_tier())(weights, gradients, velocities, settings)
            for (parameter, _, _), velocity in zip(members, velocities, strict=True):
                parameter.version.count += 1  # a graph that has saved it will notice
                if velocity is not None:
                    self._velocities[parameter] = velocity

    def _arguments(self, members):
        """The arguments of ``sgd_update``. The first step makes the velocity, and has no dampening."""
        rows = []  # (w, grad, velocity, settings) of each parameter; returned as four lists
        with naming_memory_errors("SGD.step"):
            for _, (w, grad, velocity), rates in members:
                dampening = rates["dampening"]
                if velocity is None and rates["momentum"]:
                    velocity, dampening = np.zeros_like(w), 0.0  # v = momentum * 0 + d
                settings = rates["lr"], rates["momentum"], dampening, rates["weight_decay"], rates["nesterov"]
                rows.append((w, grad, velocity, settings))
        return list(map(list, zip(*rows, strict=True)))  # four lists

    def zero_grad(self) -> None:
        """Forget every gradient, so that the next backward pass starts from nothing."""
        for parameter in self._parameters():
            parameter.grad = None

    def state_dict(self) -> dict[str, Any]:
        """The settings of each group and the velocities (sharing memory), in the order of the parameters."""
        groups = [{key: value for key, value in g.items() if key != "params"} for g in self.param_groups]
        return {"groups": groups, "velocities": [self._velocities.get(p) for p in self._parameters()]}

    def load_state_dict(self, state: Any) -> None:
        """Continue from ``state_dict``; ValueError or TypeError, and nothing changed, if its parameters are not these
        or it is damaged."""
        settings, velocities = checked_state(state, self.param_groups, self.defaults)
        self._velocities = {
            p: to_device(np.array(to_device(v, "cpu"), dtype=p.dtype), p.device)  # of p's dtype, where p is
            for v, p in zip(velocities, self._parameters(), strict=True)
            if v is not None
        }
        for group, saved in zip(self.param_groups, settings, strict=True):
            group.update(saved)

    def _parameters(self):
        return [p for group in self.param_groups for p in group["params"]]


def weights_and_biases(
    model: Any, lr: float, weight_decay: float, bias_lr: float = 2.0, bias_decay: float = 0.0
) -> list[dict[str, Any]]:
    """Two groups, as AlexNet was trained: biases (and every parameter with one axis) learn `bias_lr` times as fast as
    weights, with their own weight decay (the configuration files published with the 2012 code)."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in parameters if p.ndim > 1], "lr": lr, "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "lr": lr * bias_lr, "weight_decay": bias_decay},
    ]
