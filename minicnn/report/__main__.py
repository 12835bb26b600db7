"""Make a run's report.html again: minicnn report RUN_DIR ..., or python -m minicnn.report RUN_DIR ..."""

import argparse
import sys
from collections.abc import Sequence

from .. import calling
from ..console import say
from ..train.exit import exit_code
from .files import write_report

EXAMPLE = "for example:\n  {} runs/resnet18-sample-1"


def main(argv: Sequence[str] | None = None) -> None:
    """Write the page of each folder that the command line (None: the process's) names."""
    prog = calling.prog() or "python -m minicnn.report"
    raw = argparse.RawDescriptionHelpFormatter
    what = (__doc__ or "").partition(":")[0]
    parser = argparse.ArgumentParser(prog, description=what, epilog=EXAMPLE.format(prog), formatter_class=raw)
    parser.add_argument("folders", metavar="RUN_DIR", nargs="+", help="the folder of a run")
    for folder in parser.parse_args(argv).folders:
        say(write_report(folder))


if __name__ == "__main__":
    sys.exit(exit_code(main))
