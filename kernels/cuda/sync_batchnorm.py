"""Launches batchnorm.cu and batchnorm_channels.cu; mirrors minicnn/ops/sync_batchnorm.py."""

from minicnn.kernels.arguments import in_place, takes_bfloat16

from .batchnorm import moments, of_channels
from .launch import THREADS, blocks, empty


@takes_bfloat16
def batch_norm_moments(x):
    """(3, C): how many values the channels have, their means, their biased variances; zeros for an empty batch."""
    return moments(x)


def sync_batch_norm_statistics(sets, count, running, momentum, eps):
    """(mean, inv_std, n/M), each (C,), of all sets (ranks, 3, C) together; `running` moves towards them, in place."""
    ranks, _, channels = sets.shape
    found = tuple(empty(sets, (channels,)) for _ in range(3))
    with in_place(running) as moving:
        numbers = momentum, 1 - momentum, eps, count, ranks, channels
        of_channels.sync_batch_norm_statistics[blocks(channels), THREADS](sets, *found, *moving, *numbers)
    return found
