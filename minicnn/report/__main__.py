"""Make a run's report.html again: python -m minicnn.report RUN_DIR ..."""

import argparse
import sys

from ..console import say
from ..train.exit import exit_code
from .files import write_report


def main() -> None:
    """Write the page of each folder that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m minicnn.report", description=__doc__.partition(":")[0])
    parser.add_argument("folders", metavar="RUN_DIR", nargs="+", help="the folder of a run")
    for folder in parser.parse_args().folders:
        say(write_report(folder))


if __name__ == "__main__":
    sys.exit(exit_code(main))
