"""python -m minicnn: the command minicnn."""

import sys

from .commands.entry import main

if __name__ == "__main__":
    sys.exit(main(called=("python", "-m", "minicnn")))
