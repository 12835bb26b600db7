"""Draw the training curves of several runs into one figure.

    python examples/compare_runs.py runs/resnet20 runs/plain20 runs/resnet56 runs/plain56 --out comparison.png

A run is an output folder of any training example; its name in the figure is that of the folder, or the path as it is
given where several folders have that name.
"""

import argparse
import sys
from collections import Counter
from pathlib import Path

from minicnn import plot
from minicnn.console import say
from minicnn.runlog import LogError, read_log
from minicnn.storage.files import atomic_write
from minicnn.train import exit_code


def names(runs):
    """What each run is called in the figure: {name: folder}."""
    runs = list(dict.fromkeys(runs))
    count = Counter(run.absolute().name for run in runs)
    return {str(run) if count[run.absolute().name] > 1 else run.absolute().name: run for run in runs}


def problem(log):
    """What is wrong with a log.csv; None if it can be drawn."""
    if not log.is_file():
        return f"there is no {log}; give the output folders of runs"
    try:
        rows = read_log(log, ("epoch", "train_top1", "val_top1"))
    except LogError as error:
        return f"{error}; give the output folders of runs"
    return None if rows else f"{log} has no epoch yet; wait until the first one is over, or leave the run out"


def draw(argv=None):
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description="Draw the training curves of several runs into one figure.")
    parser.add_argument("runs", metavar="RUN", nargs="+", type=Path, help="output folders")
    parser.add_argument("--out", default="comparison.png", help="the figure, a PNG")
    args = parser.parse_args(argv)
    logs = {name: run / "log.csv" for name, run in names(args.runs).items()}
    for log in logs.values():
        if message := problem(log):
            parser.error(message)
    try:
        with atomic_write(args.out) as file:
            plot.save_comparison(logs, file)
    except OSError as error:
        parser.error(f"cannot write {args.out}: {error.strerror or error}; choose another --out")
    say(f"drawn: {args.out}")


def main(argv=None):
    """The exit code."""
    return exit_code(draw, argv)


if __name__ == "__main__":
    sys.exit(main())
