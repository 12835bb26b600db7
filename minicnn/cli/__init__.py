"""Programs that train: from the command line to the output folder.

experiment.py   what happens, in order           arguments.py   the flags that the programs share
pictures.py     which pictures, how changed      known.py       whether a run's pictures are still the same
feasible.py     whether the settings can work    testing.py     testing checkpoints instead of training
output.py       the folder of a run              leftovers.py   what a run has left that never came to anything
"""

from .arguments import make_parser
from .experiment import Recipe, main, run

__all__ = ["Recipe", "main", "make_parser", "run"]
