"""Synchronised batch norm; mirrors minicnn/ops/sync_batchnorm.py. The kernels are batchnorm.py's."""

from .batchnorm import finished, moments


def batch_norm_moments(x):
    """(3, C): how many values the channels have, their means, their biased variances; zeros for an empty batch."""
    return moments(x)


def sync_batch_norm_statistics(sets, count, running, momentum, eps):
    """(mean, inv_std, n/M), each (C,), of all sets (ranks, 3, C) together; `running` moves towards them, in place."""
    return finished(sets, count, running, momentum, eps)
