"""The mathematics of the table: no GPU and no array library but NumPy."""

import math
import statistics

import numpy as np


def summary(samples):
    """Median and quartiles of times, as {"median", "low", "high"}; None where there are none."""
    if not samples:
        return None
    low, median, high = statistics.quantiles(samples * (1 + (len(samples) == 1)), n=4, method="inclusive")
    return {"median": median, "low": low, "high": high}


def spread(samples):
    """The distance between the quartiles, as a part of the median."""
    s = summary(samples)
    return (s["high"] - s["low"]) / s["median"]


def have_figures(rows):
    """Those of the rows that were measured."""
    return [row for row in rows if "error_text" not in row and "skipped" not in row]


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


def covers(host_ms, cover_ms, most):
    """How often to write the cover: for twice as long as the processor takes to launch what is to be timed."""
    return max(1, min(most, math.ceil(2 * host_ms / cover_ms)))


def how_many(seconds, each_ms, fewest, most):
    """How many samples fit."""
    return max(fewest, min(most, int(1000 * seconds / each_ms)))
