"""The mean over seeds, and how far the seeds lie apart."""

import statistics
from collections.abc import Sequence


def mean(values: Sequence[float]) -> float:
    """Their mean."""
    return statistics.fmean(values)


def spread(values: Sequence[float]) -> float:
    """The standard deviation of one of them (not of their mean), with n - 1 below; 0 for a single one."""
    return statistics.stdev(values) if len(values) > 1 else 0.0


def with_spread(values: Sequence[float], digits: int = 1) -> str:
    """ "9.1 ± 0.4", the mean and the spread; of a single one, "9.1"."""
    text = f"{mean(values):.{digits}f}"
    return f"{text} ± {spread(values):.{digits}f}" if len(values) > 1 else text


def seeds(values: Sequence[float]) -> str:
    """ "3 seeds", "1 seed": how many there are."""
    return f"{len(values)} seed{'s' * (len(values) != 1)}"
