"""Synchronised batch norm; mirrors minicnn/ops/sync_batchnorm.py. What is as large as x is batchnorm.py's."""

import numpy as np

from minicnn.ops.sync_batchnorm import sync_batch_norm_statistics
from minicnn.precision import takes_bfloat16

from .batchnorm import mean_and_variance

__all__ = ["sync_batch_norm_statistics"]  # the page's: a few numbers for each channel


@takes_bfloat16
def batch_norm_moments(x):
    """(3, C): how many values the channels have, their means, their biased variances; zeros for an empty batch."""
    mean, var = mean_and_variance(x)
    return np.stack((np.full_like(mean, x.size // x.shape[1]), mean, var))
