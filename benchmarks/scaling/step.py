"""How long a training step takes on n GPUs, each with a batch of its own, whose gradients are summed in buckets.

Backward makes the gradients, those of the last layer first. A bucket is filled with them, layer by layer; when it is
full, and the sum before it has ended, its sum over all GPUs begins, while backward goes on. What is left of the sums
when backward has ended makes a step on n GPUs longer; and a sum can only begin when the slowest machine has got there.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from .collectives import Cluster, faster
from .networks import Layer

BUCKET_BYTES = 25 * 2**20  # PyTorch's default (Li et al., "PyTorch distributed", VLDB 2020)


class Work(NamedTuple):
    """What a GPU does by itself in a step: the layers in their order, its seconds, and those of backward alone."""

    layers: Sequence[Layer]
    seconds: float
    backward: float

    @classmethod
    def of(cls, layers: Sequence[Layer], seconds: float) -> "Work":
        """With backward's share by multiply-adds: twice those of forward, as weights and inputs have gradients; but the
        pictures have none."""
        forward, backward = sum(layer.multiply_adds for layer in layers), sum(backward_costs(layers))
        return cls(layers, seconds, seconds * backward / (forward + backward))


class How(NamedTuple):
    """How gradients are summed. jitter: the standard deviation of a machine's time for a step, as a part of it."""

    algorithm: Callable[[float, int, Cluster], float] = faster
    bucket_bytes: float = BUCKET_BYTES  # of float32 gradients, whatever is sent
    overlap: bool = True
    bytes_sent: int = 4  # of each gradient; 2 as bfloat16 or float16
    jitter: float = 0.0


def backward_costs(layers: Sequence[Layer]) -> list[int]:
    """Multiply-adds of each layer's backward pass."""
    first = next(i for i, layer in enumerate(layers) if layer.multiply_adds)
    return [(1 if i == first else 2) * layer.multiply_adds for i, layer in enumerate(layers)]


def buckets(layers: Sequence[Layer], limit: float) -> list[tuple[int, float]]:
    """(parameters, the part of backward that is over when it is full) of each bucket; it is full with `limit` bytes."""
    costs = backward_costs(layers)
    found, parameters, done = [], 0, 0
    for layer, cost in zip(reversed(layers), reversed(costs), strict=True):
        parameters, done = parameters + layer.parameters, done + cost
        if 4 * parameters >= limit:
            found.append((parameters, done / sum(costs)))
            parameters = 0
    return [*found, (parameters, 1.0)] if parameters else found


def step_seconds(work: Work, cluster: Cluster, gpus: int, how: How) -> float:
    """Seconds of a step on so many GPUs."""
    slowest = 1 + how.jitter * expected_maximum(cluster.machines(gpus))
    backward = work.backward * slowest
    end = 0.0  # of the sum before; time begins with backward
    for parameters, done in buckets(work.layers, how.bucket_bytes):
        full = backward * done if how.overlap else backward
        end = max(end, full) + how.algorithm(how.bytes_sent * parameters, gpus, cluster)
    return work.seconds * slowest + max(0.0, end - backward)


def efficiency(work: Work, cluster: Cluster, gpus: int, how: How) -> float:
    """The pictures per second of so many GPUs, divided by those of as many single ones."""
    return work.seconds / step_seconds(work, cluster, gpus, how)


@functools.cache
def expected_maximum(count: int) -> float:
    """The mean of the largest of `count` standard normal numbers: 0 of one, 1.42 of 8, 2.61 of 128.

    It is the integral of 1 - P over the positive numbers, less that of P over the negative ones, where P(x), the
    probability that all are below x, is that of one to the power of `count`.
    """
    x = np.linspace(0, 10, 2001)
    below = np.array([math.erfc(-value / math.sqrt(2)) / 2 for value in x])
    return float(np.trapezoid((1 - below**count) - (1 - below) ** count, x))
