"""Batch norm in as few passes over memory as it can be; mirrors minicnn/ops/batchnorm.py.

x is seen as a matrix (M, C), one row for each pixel, so that the loops over channels run along memory and the C values
of mean, scale, ... stay in the cache. What counts is how often the large arrays cross the bus (e: the bytes of one):

                                      reads              writes             sum
    statistics                        x                                     1e
    forward                           x [residual]       y                  2e [3e]
    sums (grad_weight, grad_bias)     grad_out x [y]     [grad_residual]    2e [4e]
    grad_x                            grad_out x         grad_x             3e

In brackets, what a residual adds in batch_norm_relu_*, which does y = relu(weight * x_hat + bias + residual) and its
gradient in the same passes; the ReLU itself costs no bytes. On their own, the sum and the ReLU would cost 3e + 2e
forward and 3e backward. grad_residual is the gradient behind the ReLU, grad_out where y > 0: the first pass backward
leaves it for the second. Without a residual nobody else wants it, and both passes work out the sign of y again from x.

Statistics in one pass: a block of rows gives the sums of d and d^2, where d is the distance from the mean of the rows
before it (from its own mean, for the first block, which is read twice); (count, mean, squared distances) of two sets of
rows are then those of both (Chan, Golub and LeVeque, 1983). A large mean costs no digits, as it would in
E[x^2] - E[x]^2: where the sum of d^2 is large beside the block's own squared distances, so is the distance between the
two means, which counts in the variance as well. Sums over a block are in the array's own precision (float32 for
bfloat16), in a few additions, those over blocks in double: over millions of rows no small number meets a large sum.
"""

import numpy as np

from minicnn.ops.batchnorm import inverse_std, move_running
from minicnn.precision import takes_bfloat16, wide_dtype

from .machine import memory, threads
from .machine.bfloat16 import bits, narrowed, real, widened
from .machine.jit import jit
from .machine.layout import behind_channels, channels_last, contiguous, rows

TOGETHER = 4  # rows that are added up first, in registers
BLOCK_ROWS = 12 * TOGETHER  # 12 additions in float32, one after the other; many more would lose digits
SHORT = 32  # channels: of shorter rows TOGETHER are taken for one, as a loop along memory should be long


@takes_bfloat16
def batch_norm_statistics(x, running, momentum, eps):
    """(mean, inv_std) of the batch, each (C,); `running`, a pair or None, moves towards it, in place."""
    mean, var = mean_and_variance(x)
    move_running(running, mean, var, x.size // x.shape[1], momentum)
    return mean, inverse_std(var, eps)


def batch_norm_running_statistics(running_mean, running_var, eps):
    """(mean, inv_std) for evaluation, each (C,); the mean is a copy."""
    return running_mean.copy(), inverse_std(running_var, eps)


def mean_and_variance(x):
    """(mean, biased variance), each (C,), over everything but the channels; zeros for an empty batch."""
    matrix, folded = _folded(_rows(x))
    channels = x.shape[1]
    chunks = _chunks(matrix)
    means, distances = np.zeros((2, len(chunks), folded * channels))  # of each chunk: (folded*C,), float64
    threads.run(lambda i: _statistics(matrix[slice(*chunks[i])], means[i], distances[i]), len(chunks))
    mean, distance, count = np.zeros(channels), np.zeros(channels), 0
    for (start, stop), *of_chunk in zip(chunks, means, distances, strict=True):
        for some_mean, some_distance in zip(*(a.reshape(folded, channels) for a in of_chunk), strict=True):
            shift, more = some_mean - mean, stop - start
            mean += shift * (more / (count + more))  # Chan, Golub and LeVeque: both sets of rows
            distance += some_distance + shift * shift * (count * more / (count + more))
            count += more
    if np.isnan(mean).any():  # an infinity is no distance away from its own mean
        mean = rows(x).mean(axis=0, dtype=np.float64)
    distance[np.isnan(distance) & np.isfinite(mean)] = np.inf  # squares beyond the largest number, less such squares
    dtype = wide_dtype(x.dtype)
    return mean.astype(dtype), (distance / max(1, count)).astype(dtype)


@takes_bfloat16
def batch_norm_forward(x, weight, bias, mean, inv_std):
    """y = weight * (x - mean) * inv_std + bias."""
    return _forward(x, weight, bias, mean, inv_std, None, -np.inf)


@takes_bfloat16
def batch_norm_relu_forward(x, weight, bias, mean, inv_std, residual):
    """y = max(weight * (x - mean) * inv_std + bias + residual, 0); residual: an array like x, or None."""
    return _forward(x, weight, bias, mean, inv_std, residual, 0)


@takes_bfloat16
def batch_norm_grad_weight_bias(grad_out, x, mean, inv_std):
    """(grad_weight, grad_bias), each (C,): the sums of grad_out * x_hat and of grad_out."""
    return _grad_weight_bias(grad_out, x, None, None, mean, inv_std, None, None)


@takes_bfloat16
def batch_norm_grad_x(grad_out, x, weight, mean, inv_std, sums):
    """grad_x; `sums` is (grad_weight, grad_bias) in training, None in evaluation."""
    return _gradient(grad_out, x, mean, inv_std, _scale(inv_std, weight), None, sums)


@takes_bfloat16
def batch_norm_relu_backward(grad_out, x, y, weight, bias, statistics, training, residual):
    """(grad_x, grad_weight, grad_bias, grad_residual) of ``batch_norm_relu_forward``, whose result was y.

    statistics: (mean, inv_std); training: whether they depend on x; residual: whether there was one (else None of it).
    """
    mean, inv_std = statistics
    scale, shift = _scale(inv_std, weight), _shift(mean, bias)
    if residual:  # the first pass writes the gradient behind the ReLU, the second reads it
        behind = memory.empty_images(x.shape, x.dtype)
        sums = _grad_weight_bias(grad_out, x, y, behind, mean, inv_std, None, None)
        grad_x = _gradient(behind, x, mean, inv_std, scale, None, sums if training else None)
        return grad_x, *sums, behind
    sums = _grad_weight_bias(grad_out, x, None, None, mean, inv_std, scale, shift)
    return _gradient(grad_out, x, mean, inv_std, scale, shift, sums if training else None), *sums, None


def _forward(x, weight, bias, mean, inv_std, residual, floor):
    last = channels_last(x)
    y = memory.empty(last.shape, x.dtype)
    matrix, out = (bits(array).reshape(-1, x.shape[1]) for array in (last, y))  # (M, C)
    vectors = contiguous(mean), _scale(inv_std, weight), _shift(mean, bias)
    added, floor = _rows(residual), wide_dtype(x.dtype).type(floor)

    def work(start, stop):
        _normalise(matrix[start:stop], *vectors, _slice(added, start, stop), floor, out[start:stop])

    threads.run_chunks(work, len(matrix), _least(matrix))
    return behind_channels(y)


def _grad_weight_bias(grad_out, x, y, behind, mean, inv_std, scale, shift):
    """The sums for the gradient behind the ReLU, which is written into `behind` where y is given.

    Without y, but with scale and shift, the sign of y is worked out from x; without these, there was no ReLU.
    """
    arrays = [_rows(array) for array in (grad_out, x, y, behind)]  # (M, C), or None
    folded = _folded(arrays[1])[1]
    arrays = [None if array is None else _folded(array)[0] for array in arrays]  # (M/folded, folded*C)
    vectors = [None if vector is None else np.tile(vector, folded) for vector in (mean, scale, shift)]
    chunks = _chunks(arrays[1])
    sums = np.zeros((len(chunks), 2, folded * x.shape[1]))  # of each chunk, product and plain
    threads.run(lambda i: _sums(*(_slice(a, *chunks[i]) for a in arrays), *vectors, sums[i]), len(chunks))
    grad_weight, grad_bias = sums.sum(axis=0).reshape(2, folded, -1).sum(axis=1)  # over chunks, then rows that were one
    return (grad_weight * inv_std).astype(inv_std.dtype), grad_bias.astype(inv_std.dtype)


def _gradient(grad_out, x, mean, inv_std, scale, shift, sums):
    """grad_x; with `shift` it is that of a ReLU behind, too. Without sums, mean and inv_std do not depend on x."""
    last, matrix = channels_last(grad_out), _rows(x)
    grad_x = memory.empty(last.shape, x.dtype)
    g, out = (bits(array).reshape(matrix.shape) for array in (last, grad_x))  # (M, C)
    along = offset = None
    if sums is not None:  # training: what reaches x by way of inv_std and of the mean
        count = max(1, len(matrix))
        along, offset = inv_std * sums[0] / count, sums[1] / count
    vectors = contiguous(mean), scale, along, offset, shift

    def work(start, stop):
        own = slice(start, stop)
        _grad_x(g[own], matrix[own], *vectors, out[own])

    threads.run_chunks(work, len(matrix), _least(matrix))
    return behind_channels(grad_x)


def _scale(inv_std, weight):
    return contiguous(inv_std) if weight is None else inv_std * weight


def _shift(mean, bias):
    return np.zeros_like(mean) if bias is None else contiguous(bias)


def _rows(x):
    """(M, C), bfloat16 as its bits; None stays None."""
    return None if x is None else bits(rows(x))


def _folded(matrix):
    """(The matrix, short rows TOGETHER in one if they are that many, how many are in one)."""
    count, channels = matrix.shape
    folded = TOGETHER if channels < SHORT and count % TOGETHER == 0 else 1  # rows in one
    return matrix.reshape(count // folded, folded * channels), folded


def _slice(matrix, start, stop):
    return None if matrix is None else matrix[start:stop]


def _least(matrix):
    return threads.LEAST // matrix.shape[1]


def _chunks(matrix):
    return threads.chunks(len(matrix), _least(matrix))


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


@jit
def _normalise(x, mean, scale, shift, residual, floor, y):
    """y = max((x - mean) * scale + shift + residual, floor), matrices (M, C); floor: 0 for a ReLU, or -inf."""
    for i in range(len(x)):
        for c in range(len(mean)):
            v = (widened(x[i, c]) - mean[c]) * scale[c] + shift[c]
            if residual is not None:
                v += widened(residual[i, c])
            y[i, c] = narrowed(floor if v < floor else v, y)  # NaN stays


@jit
def _sums(grad_out, x, y, behind, mean, scale, shift, sums):
    """Add to sums (2, C) float64: the sums of g * (x - mean) and of g, the gradient behind the ReLU."""
    count, channels = x.shape
    product, plain = np.empty(channels, real(x)), np.empty(channels, real(x))
    for start in range(0, count, BLOCK_ROWS):
        product[:] = 0
        plain[:] = 0
        stop = min(start + BLOCK_ROWS, count)
        whole = stop - (stop - start) % TOGETHER
        for i in range(start, whole, TOGETHER):  # four rows for each time that the sums are read and written
            for c in range(channels):
                along, total = real(x)(0), real(x)(0)
                for j in range(i, i + TOGETHER):
                    g, d = _behind_relu(grad_out, x, y, behind, mean, scale, shift, (j, c))
                    total += g
                    along += g * d
                plain[c] += total
                product[c] += along
        for i in range(whole, stop):  # the last rows one by one: a loop of fewer than four would be slower for all
            for c in range(channels):
                g, d = _behind_relu(grad_out, x, y, behind, mean, scale, shift, (i, c))
                plain[c] += g
                product[c] += g * d
        for c in range(channels):
            sums[0, c] += product[c]
            sums[1, c] += plain[c]


@jit(forceinline=True)
def _behind_relu(grad_out, x, y, behind, mean, scale, shift, place):
    """(The gradient behind the ReLU, if there was one, and the distance from the mean) at (row, channel)."""
    i, c = place
    g, d = widened(grad_out[i, c]), widened(x[i, c]) - mean[c]
    # which arguments are None is known when this is compiled: no branch is left in the loop
    if y is not None:
        g = real(x)(0) if widened(y[i, c]) <= 0 else g
        behind[i, c] = narrowed(g, behind)
    elif shift is not None:  # the sign of y once more, from x
        g = real(x)(0) if d * scale[c] + shift[c] <= 0 else g
    return g, d


@jit
def _grad_x(grad_out, x, mean, scale, along, offset, shift, grad_x):
    """grad_x = (g - offset - (x - mean) * along) * scale; in evaluation, without sums, g * scale."""
    for i in range(len(x)):
        for c in range(len(mean)):
            g, d = _behind_relu(grad_out, x, None, None, mean, scale, shift, (i, c))
            if along is not None:  # training
                g = g - offset[c] - d * along[c]
            grad_x[i, c] = narrowed(g * scale[c], grad_x)
