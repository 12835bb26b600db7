"""Mean and variance in one pass.

A block of rows gives the sums of d and d^2, where d is the distance from the mean of the rows before it (from its own
mean, for the first block, which is read twice); (count, mean, squared distances) of two sets of rows are then those of
both (Chan, Golub and LeVeque, 1983). A large mean costs no digits, as it would in E[x^2] - E[x]^2: where the sum of d^2
is large beside the block's own squared distances, so is the distance between the two means, which counts in the
variance as well. Sums over a block are in the array's own precision (float32 for bfloat16), in a few additions, those
over blocks in double: over millions of rows no small number meets a large sum.
"""

from typing import NamedTuple

import numpy as np

from minicnn.precision import wide_dtype

from ..machine import threads
from ..machine.bfloat16 import real, widened
from ..machine.jit import jit
from ..machine.layout import rows
from .rows import BLOCK_ROWS, TOGETHER, chunks, folded, matrix_of


class Part(NamedTuple):
    """What is known of some rows; each (C,), float64."""

    count: int
    mean: np.ndarray
    distance: np.ndarray  # the sum of (x - mean)^2


def part_of(matrix):
    """That of these rows (M, C)."""
    mean, distance = np.zeros((2, matrix.shape[1]))
    _statistics(matrix, mean, distance)
    return Part(len(matrix), mean, distance)


def mean_and_variance(x):
    """(mean, biased variance), each (C,), over everything but the channels; zeros for an empty batch."""
    matrix, together = folded(matrix_of(x))
    shares = chunks(matrix)
    parts = [None] * len(shares)

    def work(i):
        parts[i] = part_of(matrix[slice(*shares[i])])

    threads.run(work, len(shares))
    if together > 1:  # rows that were one
        parts = [one for part in parts for one in _split(part, together)]
    return of_parts(parts, x)


def of_parts(parts, x):
    """(mean, biased variance), each (C,), of all rows of x, which lie in the parts: Chan, Golub and LeVeque's sums."""
    mean, distance, count = np.zeros(x.shape[1]), np.zeros(x.shape[1]), 0
    if parts:
        counts, means, distances = map(np.array, zip(*parts, strict=True))
        count, counts = counts.sum(), counts[:, None]  # (parts, 1)
        mean = (counts * means).sum(axis=0) / count
        distance = (distances + counts * np.square(means - mean)).sum(axis=0)
    if np.isnan(mean).any():  # an infinity is no distance away from its own mean
        mean = rows(x).mean(axis=0, dtype=np.float64)
    distance[np.isnan(distance) & np.isfinite(mean)] = np.inf  # squares beyond the largest number, less such squares
    dtype = wide_dtype(x.dtype)
    return mean.astype(dtype), (distance / max(1, count)).astype(dtype)


def _split(part, together):
    """A part of so many rows that were taken for one, as that many parts."""
    pairs = zip(part.mean.reshape(together, -1), part.distance.reshape(together, -1), strict=True)
    return [Part(part.count, mean, distance) for mean, distance in pairs]


@jit
def _statistics(x, mean, distance):
    """Fill mean (C,) with x's, and distance (C,) with the sum of (x - mean)^2; both float64."""
    count, channels = x.shape
    total, squares, centre = np.empty(channels, real(x)), np.empty(channels, real(x)), np.empty(channels, real(x))
    for start in range(0, count, BLOCK_ROWS):
        block = x[start : start + BLOCK_ROWS]
        n = len(block)
        if start == 0:  # there is no mean of earlier rows yet: this block's own
            total[:] = 0
            for i in range(n):
                for c in range(channels):
                    total[c] += widened(block[i, c])
            for c in range(channels):
                mean[c] = total[c] / n
        for c in range(channels):  # centre in the array's own precision
            centre[c] = mean[c]
        total[:] = 0
        squares[:] = 0
        whole = n // TOGETHER * TOGETHER  # rows in fours; the others follow one by one
        for i in range(0, whole, TOGETHER):
            for c in range(channels):
                plain, square = real(x)(0), real(x)(0)
                for j in range(i, i + TOGETHER):
                    d = widened(block[j, c]) - centre[c]  # small, as the mean is taken off first
                    plain += d
                    square += d * d
                total[c] += plain
                squares[c] += square
        for i in range(whole, n):
            for c in range(channels):
                d = widened(block[i, c]) - centre[c]
                total[c] += d
                squares[c] += d * d
        # this block's mean is `rest` from the centre, `shift` from the mean so far; it has the weight `new` in both
        each, new = 1 / n, n / (start + n)
        for c in range(channels):
            rest = total[c] * each  # the mean of d
            shift = centre[c] + rest - mean[c]
            distance[c] += squares[c] - n * rest * rest + shift * shift * (start * new)
            mean[c] += shift * new
