"""The mathematics of the table: no GPU and no array library but NumPy."""

import math
import statistics

import numpy as np


def summary(samples):
    """Median and quartiles of times, as {"median", "low", "high"}; None where there are none."""
    if not samples:
        return None
    if len(samples) == 1:
        return dict.fromkeys(("median", "low", "high"), samples[0])
    low, median, high = statistics.quantiles(samples, n=4, method="inclusive")
    return {"median": median, "low": low, "high": high}


def spread(samples):
    """The distance between the quartiles, as a part of the median."""
    s = summary(samples)
    return (s["high"] - s["low"]) / s["median"]


def gigabytes_per_second(number_of_bytes, milliseconds):
    return number_of_bytes / milliseconds / 1e6


def teraflops(operations, milliseconds):
    """TFLOP/s: 1e12 operations a second."""
    return operations / milliseconds / 1e9


def product_operations(rows, columns, depth):
    """Of a matrix product: a multiplication and an addition for each of rows * columns * depth."""
    return 2 * rows * columns * depth


def conv_operations(x_shape, weight_shape, out_size):
    """Of a convolution as its sums stand there, and of each of its two large gradients; groups are in weight_shape."""
    return 2 * x_shape[0] * math.prod(out_size) * math.prod(weight_shape)


def relative_error(value, expected):
    """max |value - expected| / max |expected|; infinite where a number is missing or NaN, or the shapes differ.

    Integers must be equal: 0 or infinite.
    """
    value, expected = np.asarray(value), np.asarray(expected)
    if value.shape != expected.shape:
        return math.inf
    if expected.dtype.kind in "iub":
        return 0.0 if np.array_equal(value, expected) else math.inf
    if expected.size == 0:
        return 0.0
    worst, scale = np.abs(value.astype(np.float64) - expected).max(), np.abs(expected).max()
    error = float(worst / scale) if scale > 0 else float(worst)
    return error if math.isfinite(error) else math.inf


def shares_of_time(left, weights):
    """Seconds for the first of the parts to come, of these weights; what the parts before did not use is shared out."""
    return left * weights[0] / sum(weights)


def covers(host_ms, cover_ms, most):
    """How often to write the cover: for twice as long as the processor takes to launch what is to be timed."""
    return max(1, min(most, math.ceil(2 * host_ms / cover_ms)))


def how_many(seconds, each_ms, fewest, most):
    """How many samples fit."""
    return max(fewest, min(most, int(1000 * seconds / each_ms)))
