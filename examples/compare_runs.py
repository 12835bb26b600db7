"""Draw the training curves of several runs into one figure.

    python examples/compare_runs.py runs/resnet20 runs/plain20 runs/resnet56 runs/plain56 --out comparison.png

A run is an output folder of any training example; its name in the figure is that of the folder.
"""

import argparse
import sys
from pathlib import Path

from minicnn import plot


def main(argv=None):
    parser = argparse.ArgumentParser(description="Draw the training curves of several runs into one figure.")
    parser.add_argument("runs", metavar="RUN", nargs="+", type=Path, help="output folders")
    parser.add_argument("--out", default="comparison.png", help="the figure, a PNG")
    args = parser.parse_args(argv)
    logs = {run.name: run / "log.csv" for run in args.runs}
    for log in logs.values():
        if not log.is_file():
            parser.error(f"there is no {log}; give the output folders of runs")
    plot.save_comparison(logs, args.out)
    print(f"drawn: {args.out}")


if __name__ == "__main__":
    sys.exit(main())
