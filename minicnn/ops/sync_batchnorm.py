"""Synchronised batch normalisation: batch norm of the batches of all ranks as one (distributed/ranks.py).

Each rank has some rows of a batch. batch_norm would normalise them by their own mean and variance, of few values where
there are many ranks. Here both are those of the whole batch, as they would be on one process.

Shapes    as in batchnorm.py; ranks may differ in N, H and W; one that has no rows, (0, C, ...), takes part all the same
          n, m, v of each rank: how many values it has in a channel, their mean, their biased variance;  M = sum n
Forward   mean = sum n/M m     var = sum n/M (v + (m - mean)^2)     sums over ranks: all have gathered all n, m and v
          then y, and the running statistics, as in batchnorm.py: of the whole batch, with its M/(M-1)
Derived   n m is the sum of a rank's values, M mean that of all. M var is the sum of (x - mean)^2, to which a rank adds
              sum (x - m + m - mean)^2 = sum (x - m)^2 + 2 (m - mean) sum (x - m) + n (m - mean)^2
                                       = n v           + 0                        + n (m - mean)^2
          So Chan, Golub and LeVeque add up parts. E[x^2] - E[x]^2, the obvious sum over ranks, cancels where the mean
          is large; the plain mean of all m is another number where the n differ
Backward  The loss is the sum of all ranks' losses, as for every op over ranks, and mean and var are in all of them: in
          batchnorm.py's derivation of grad_x, j counts the M values of all ranks. With sums over ranks
              grad_x = weight * inv_std * (grad_out - (sum grad_bias)/M - x_hat * (sum grad_weight)/M)
          weight and bias are another matter: each rank has a copy, which acts on its own rows alone. So grad_weight and
          grad_bias are the rank's own. The gradient of what the copies stand for is their sum over ranks, and that is
          taken later, with the gradients of all other parameters; taken here, too, it would come out `size` times
          as large
Collects  forward one gather of (3, C) numbers, backward one sum of (2, C): every rank calls both, in the same order
Saves     as batch_norm; and n/M
Digits    n travels in the dtype of x, so that nothing waits for a GPU: float32 holds it exactly up to 2^24, and rounds
          a larger one as it does m and v. One rank alone has batch_norm's bits: n/M is 1, and m - mean is 0
Mirrors   kernels/cpu/sync_batchnorm.py   kernels/numba_cuda/sync_batchnorm.py   kernels/cuda/sync_batchnorm.py
Test      tests/ops/test_sync_batchnorm.py   tests/distributed/test_batch_norm_of_ranks.py
Source    Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances", Stanford
          University, 1979; Peng et al., "MegDet: a large mini-batch object detector", CVPR 2018, section 3.3
"""

from typing import Any

import numpy as np

from ..device import to_device
from ..distributed import world
from ..distributed.ending import on_all_ranks
from ..precision import ALL, float32
from ..types import Array
from ..variable import V, Variable
from .batchnorm import BatchNorm, inverse_std, mean_and_variance, move_running
from .per_channel import checked_apply, one_value


def sync_batch_norm(
    input: V,
    running_mean: Variable | None,
    running_var: Variable | None,
    weight: Variable | None = None,
    bias: Variable | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> V:
    """``batch_norm`` of the inputs of all ranks as one batch; what it takes, and returns, is this rank's part.

    In training every rank must call it, with the same weight, and the running statistics move alike on all of them.
    In evaluation it is ``batch_norm``.
    """
    inputs, running = (input, weight, bias), (running_mean, running_var)
    return checked_apply(SyncBatchNorm, inputs, running, training, momentum, eps)


class SyncBatchNorm(BatchNorm):
    """How it saves, and normalises, is BatchNorm's; these are the two places where the ranks meet."""

    op = "sync_batch_norm"

    def statistics(self, x: Array, running: Any, momentum: float, eps: float) -> tuple[Array, Array]:
        """BatchNorm's (mean, inv_std), of the batch of all ranks."""
        count = x.size // x.shape[1]  # n
        sets = world().gather(self.run(batch_norm_moments, x))  # (ranks, 3, C)
        if count < 2 and to_device(sets, "cpu")[:, 0, 0].sum() == 1:  # of two or more, nobody need wait for the GPU
            what = f"the inputs of all ranks together ({len(sets)} ranks, {x.shape[1]} channels) have"
            raise on_all_ranks(one_value(self.op, what))  # each raises it, in the same words
        mean, inv_std, self.share = self.run(sync_batch_norm_statistics, sets, count, running, momentum, eps)
        return mean, inv_std

    def sums_of_batch(self, grad_weight: Array, grad_bias: Array) -> tuple[Array, Array]:
        """Those of all ranks. They are to be divided by M, and ``batch_norm_grad_x`` divides by n: hence times n/M."""
        sums = world().sum(np.stack((grad_weight, grad_bias))) * self.share  # (2, C)
        return sums[0], sums[1]


@float32(results=ALL)
def batch_norm_moments(x: Array) -> Array:
    """(3, C): how many values the channels have, their means, their biased variances; zeros for an empty batch."""
    moments = np.zeros((3, x.shape[1]), x.dtype)
    if x.size:
        moments[0] = x.size // x.shape[1]
        moments[1], moments[2] = mean_and_variance(x)
    return moments


def sync_batch_norm_statistics(
    sets: Array, count: int, running: tuple[Array, Array] | None, momentum: float, eps: float
) -> tuple[Array, Array, Array]:
    """(mean, inv_std, n/M), each (C,), of all sets together, towards which `running` moves, in place (or None).

    sets: (ranks, 3, C), the ``batch_norm_moments`` of each rank; count: n, how many values this rank has in a channel.
    """
    mean, var, total = merged_statistics(*sets.swapaxes(0, 1))
    move_running(running, mean, var, total, momentum)
    return mean, inverse_std(var, eps), count / np.maximum(total, 1)


def merged_statistics(counts: Array, means: Array, variances: Array) -> tuple[Array, Array, Array]:
    """(mean, biased variance, count), (C,) each, of the values of all sets together.

    counts, means, variances: (sets, C), of each set by itself. Of no values at all: zeros.
    """
    total = counts.sum(axis=0)  # M
    weights = counts / np.maximum(total, 1)
    mean = (weights * means).sum(axis=0)
    apart = np.where(counts > 0, means - mean, 0)  # a set without values is at no distance
    return mean, (weights * (variances + np.square(apart))).sum(axis=0), total
