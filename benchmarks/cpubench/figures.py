"""Medians, ratios and tables of what turns.py has run: {side: [{"seconds": [...], "peak_mib": ...} of each round]}."""

import statistics

NAN = float("nan")


def rate(runs, batch_size):
    """Images per second: the batch over the median of all timed steps of all rounds."""
    return batch_size / statistics.median(t for run in runs for t in run["seconds"])


def best_rate(runs, batch_size):
    """Images per second of the best step: other programs may have disturbed the rest."""
    return batch_size / min(t for run in runs for t in run["seconds"])


def peak(runs):
    """MiB."""
    return statistics.median(run["peak_mib"] for run in runs)


def precision_of(side):
    """The second word of a side's name."""
    return side.split()[1]


def best_of_pytorch(runs, precision):
    """The name of the fastest of PyTorch's sides in this precision, or None."""
    theirs = [side for side in runs if side.startswith(f"torch {precision}")]
    return max(theirs, key=lambda side: rate(runs[side], 1), default=None)


def table(runs, batch_size):
    """Lines: images/s and peak memory of each side, and their ratios to the fastest of PyTorch's in its precision."""
    yield f"{'':36}{'images/s':>10}{'of PyTorch':>12}{'peak MiB':>10}{'of PyTorch':>12}"
    for side in runs:
        best = best_of_pytorch(runs, precision_of(side))
        speed, memory = rate(runs[side], batch_size), peak(runs[side])
        ratios = (speed / rate(runs[best], batch_size), memory / peak(runs[best])) if best else (NAN, NAN)
        yield f"{side:36}{speed:>10.2f}{ratios[0]:>12.2f}{memory:>10.0f}{ratios[1]:>12.2f}"
    for precision in dict.fromkeys(map(precision_of, runs)):
        if best := best_of_pytorch(runs, precision):
            yield f"PyTorch's best in {precision}: {best.partition(precision)[2].strip()}"
