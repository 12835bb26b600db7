"""A tower of equal layers, and what passes through each of them: signals on the way up, gradients on the way down.

x ──► linear ─ (batch norm) ─ activation ──► (+) ──► the same again, `depth` times
└────────────── (skip) ──────────────────────┘
"""

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np

import minicnn
from minicnn import functional as F
from minicnn import models, nn

ACTIVATIONS: dict[str, Callable[..., Any]] = {"sigmoid": F.sigmoid, "tanh": F.tanh, "ReLU": F.relu}
INITS: dict[str, Callable[..., Any]] = {
    "N(0, .01)": lambda weight: nn.init.normal_(weight, std=0.01),
    "N(0, 1)": nn.init.normal_,
    "Xavier": nn.init.xavier_normal_,
    "He": lambda weight: nn.init.kaiming_normal_(weight, nonlinearity="relu"),
}
TOWERS = {  # name: activation, weights, batch norm, skips
    "sigmoid, Xavier": ("sigmoid", "Xavier", False, False),
    "tanh, N(0, 1)": ("tanh", "N(0, 1)", False, False),
    "ReLU, He": ("ReLU", "He", False, False),
    "ReLU, N(0, .01)": ("ReLU", "N(0, .01)", False, False),
    "sigmoid, Xavier, skips": ("sigmoid", "Xavier", False, True),
    "ReLU, He, batch norm": ("ReLU", "He", True, False),
}
HIGH_TOWERS = {
    f"{init}{', batch norm' * normed}": ("ReLU", init, normed, False)
    for normed, init in product((False, True), ("He", "Xavier", "N(0, .01)"))
}
SATURATED = 0.05  # a unit whose slope is less than this part of the largest one is called saturated


class Tower(nn.Module):
    """`depth` fully connected layers of `width` units."""

    def __init__(self, depth: int, width: int, activation: str, init: str, batch_norm: bool, skips: bool) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(width, width, bias=False) for _ in range(depth)])
        self.norms = nn.ModuleList([nn.BatchNorm2d(width) for _ in range(depth if batch_norm else 0)])
        for layer in self.layers:
            INITS[init](layer.weight)
        self.activation, self.skips = ACTIVATIONS[activation], skips

    def forward(self, x: minicnn.Tensor) -> tuple[minicnn.Tensor, list[minicnn.Tensor]]:
        """x (N, width) -> (what leaves the tower, what enters each activation), all (N, width)."""
        entering = []
        for number, layer in enumerate(self.layers):
            z = layer(x)
            if len(self.norms):
                z = self.norms[number](z[:, :, None, None]).flatten(1)  # it normalises channels: pictures of one pixel
            entering.append(z)
            y = self.activation(z)
            x = x + y if self.skips else y
        return x, entering


def signals(
    depth: int, width: int, activation: str, init: str, batch_norm: bool, skips: bool, seed: int
) -> dict[str, list[float]]:
    """What an untrained tower does to 128 inputs of N(0, 1) and, on the way back, to an upstream gradient of N(0, 1).

    For each layer, the first one first: "variance" of what enters its activation; "saturated", the share of these that
    are so (for ReLU: of those that are negative); "gradient", the root mean square of its weights' gradient.
    """
    minicnn.manual_seed(seed)
    rng = np.random.default_rng(seed)
    tower = Tower(depth, width, activation, init, batch_norm, skips)
    out, entering = tower(minicnn.Tensor(rng.standard_normal((128, width), np.float32)))
    out.backward(minicnn.Tensor(rng.standard_normal((128, width), np.float32)))
    values = [z.numpy().astype(np.float64) for z in entering]  # float32 has no 1e-80
    return {
        "variance": [float(z.var()) for z in values],
        "saturated": [float((slope(activation, z) < SATURATED * slope(activation, 0.0)).mean()) for z in values],
        "gradient": weight_gradients(tower),
    }


def slope(activation: str, x: Any) -> Any:
    """The derivative of an activation at x; of a sigmoid and tanh it is largest at 0."""
    if activation == "ReLU":
        return np.where(np.asarray(x) >= 0, 1.0, 0.0)
    if activation == "tanh":
        return 1 - np.tanh(x) ** 2
    s = 1 / (1 + np.exp(-np.asarray(x)))
    return s * (1 - s)


def net_gradients(images: np.ndarray, labels: np.ndarray, depth: int, residual: bool, seed: int) -> list[float]:
    """The gradient of each convolution's weights, as a root mean square, in an untrained net for CIFAR: batch norm
    behind every convolution, with skips (``residual``) or without. images float32 (N, 3, H, W), labels int64 (N,)."""
    minicnn.manual_seed(seed)
    net = models.cifar_resnet(depth, residual=residual, num_classes=int(labels.max()) + 1)
    F.cross_entropy(net(minicnn.Tensor(images)), minicnn.Tensor(labels)).backward()
    return weight_gradients(net)[:-1]  # without the head's


def weight_gradients(net: nn.Module) -> list[float]:
    """The root mean square of the gradient of each layer's weights, after ``backward()``, the first layer first."""
    weights = [layer.weight for layer in net.modules() if isinstance(layer, (nn.Linear, nn.Conv2d))]
    return [float(np.sqrt(np.mean(np.square(weight.grad.numpy(), dtype=np.float64)))) for weight in weights]
