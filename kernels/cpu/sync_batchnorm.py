"""Synchronised batch norm; mirrors minicnn/ops/sync_batchnorm.py. What is as large as x is batchnorm.py's."""

import numpy as np

from minicnn.ops.sync_batchnorm import sync_batch_norm_statistics

from .batchnorm import mean_and_variance

__all__ = ["sync_batch_norm_statistics"]  # the page's: a few numbers for each channel


def batch_norm_moments(x):
    """(3, C): how many values the channels have, their means, their biased variances; zeros for an empty batch."""
    count = np.full(x.shape[1], x.size // x.shape[1], x.dtype)
    return np.stack((count, *mean_and_variance(x)))
