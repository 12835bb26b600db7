"""Stochastic gradient descent with momentum: a heavy ball rolling down the loss.

Update    d = grad + weight_decay * w
          v = momentum * v + (1 - dampening) * d            the first time: v = d
          w = w - lr * v                                    nesterov: w - lr * (d + momentum * v)
Note      As in PyTorch, lr stands outside the velocity. In the 2012 paper it stands inside,
          v = 0.9 v - lr * (0.0005 w + grad): the same until lr changes, since there old velocity keeps the old lr.
Mirrors   kernels/cpu/sgd.py   kernels/numba_cuda/sgd.py   kernels/cuda/sgd.cu
Test      tests/test_sgd.py
Source    Polyak, "Some methods of speeding up the convergence of iteration methods", 1964; Sutskever et al., "On the
          importance of initialization and momentum in deep learning", ICML 2013 (nesterov)
"""

import numpy as np

from ..device import current_tier, implementation, naming_memory_errors, to_device

BLOCK = 1 << 16  # elements updated at a time: their five arrays stay in a processor's cache


class SGD:
    """Changes parameters by their gradients.

    params         Parameters; or groups, dicts {"params": [...], "lr": ..., ...} whose settings override those below
                   (AlexNet's biases learn at twice the lr of its weights: ``weights_and_biases``)
    lr, momentum, dampening, weight_decay, nesterov    as in ``torch.optim.SGD``
    """

    def __init__(self, params, lr, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False):
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
        }
        params = list(params)
        if not params:
            raise ValueError("SGD: no parameters to train")
        groups = params if isinstance(params[0], dict) else [{"params": params}]
        self.param_groups = [{**defaults, **group, "params": list(group["params"])} for group in groups]
        for group in self.param_groups:
            _check(group)
        everything = [id(p) for p in self._parameters()]
        if len(set(everything)) < len(everything):
            raise ValueError("SGD: a parameter stands twice among params; it would be changed twice a step")
        self._velocities = [None] * len(everything)

    def step(self):
        """Change every parameter that has a gradient: all those on one device, of one dtype, in one call."""
        together = {}
        for i, (parameter, group) in enumerate(self._members()):
            if parameter.grad is not None:
                together.setdefault((parameter.device, parameter.dtype), []).append((i, parameter, group))
        for (device, _), members in together.items():
            settings = [self._settings(i, parameter, group) for i, parameter, group in members]
            parameters = [parameter.data for _, parameter, _ in members]
            gradients = [parameter.grad.data for _, parameter, _ in members]
            velocities = [self._velocities[i] for i, _, _ in members]
            implementation(sgd_update, device, current_tier())(parameters, gradients, velocities, settings)
            for _, parameter, _ in members:
                parameter.version.count += 1

    def zero_grad(self):
        """Forget every gradient, so that the next backward pass starts from nothing."""
        for parameter in self._parameters():
            parameter.grad = None

    def state_dict(self):
        """The settings of each group and the velocities (sharing memory), in the order of the parameters."""
        groups = [{key: value for key, value in g.items() if key != "params"} for g in self.param_groups]
        return {"groups": groups, "velocities": list(self._velocities)}

    def load_state_dict(self, state):
        """Continue from ``state_dict``; ValueError, and nothing changed, if its parameters are not these."""
        parameters = self._parameters()
        shapes = [None if v is None else np.shape(v) for v in state["velocities"]]
        fits = len(shapes) == len(parameters) and len(state["groups"]) == len(self.param_groups)
        if not fits or any(s is not None and s != p.shape for s, p in zip(shapes, parameters, strict=True)):
            raise ValueError(
                f"SGD.load_state_dict: the state is of {len(shapes)} parameters in {len(state['groups'])} groups, "
                f"of other number or shapes than these {len(parameters)} in {len(self.param_groups)}"
            )
        for group, saved in zip(self.param_groups, state["groups"], strict=True):
            group.update(saved)
        self._velocities = [
            None if v is None else to_device(np.array(to_device(v, "cpu"), dtype=p.dtype), p.device)
            for v, p in zip(state["velocities"], parameters, strict=True)
        ]

    def _parameters(self):
        return [p for p, _ in self._members()]

    def _members(self):
        """(parameter, its group) of each parameter."""
        return [(p, group) for group in self.param_groups for p in group["params"]]

    def _settings(self, i, parameter, group):
        """(lr, momentum, dampening, weight_decay, nesterov) for this step; the first one makes the velocity."""
        dampening = group["dampening"]
        if self._velocities[i] is None and group["momentum"]:
            with naming_memory_errors("SGD.step"):
                self._velocities[i], dampening = np.zeros_like(parameter.data), 0.0
        return group["lr"], group["momentum"], dampening, group["weight_decay"], group["nesterov"]


def weights_and_biases(model, lr, weight_decay, bias_lr=2.0, bias_decay=0.0):
    """Two groups, as AlexNet was trained: biases (and every parameter with one axis) learn `bias_lr` times as fast as
    weights, with their own weight decay (the configuration files published with the 2012 code)."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in parameters if p.ndim > 1], "lr": lr, "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "lr": lr * bias_lr, "weight_decay": bias_decay},
    ]


def sgd_update(parameters, gradients, velocities, settings):
    """The update at the top of this file, in place: lists of arrays, as long as one another.

    velocities    arrays, or None where there is no momentum
    settings      (lr, momentum, dampening, weight_decay, nesterov) of each parameter
    """
    for w, grad, velocity, rates in zip(parameters, gradients, velocities, settings, strict=True):
        _update(w, grad, velocity, *rates)


def _update(w, grad, velocity, lr, momentum, dampening, weight_decay, nesterov):
    """One parameter, block by block."""
    if w.ndim == 0:
        w, grad, velocity = w.reshape(1), grad.reshape(1), None if velocity is None else velocity.reshape(1)
    rows = max(1, BLOCK // max(1, w[:1].size))
    for start in range(0, len(w), rows):
        block = slice(start, start + rows)
        d = grad[block] + weight_decay * w[block] if weight_decay else grad[block]
        if velocity is not None:
            v = velocity[block]
            v *= momentum
            v += (1 - dampening) * d if dampening else d
            d = d + momentum * v if nesterov else v
        w[block] -= lr * d


def _check(group):
    for name in ("lr", "momentum", "weight_decay"):
        if not group[name] >= 0:
            raise ValueError(f"SGD: {name} must not be negative, got {group[name]}")
    if group["nesterov"] and (group["momentum"] == 0 or group["dampening"] != 0):
        raise ValueError("SGD: nesterov needs a momentum and no dampening")
