"""Training: the loop, what it is watched by, and what it leaves on the disk.

Read in this order:

    trainer.py      the loop and the state of a run           evaluate.py     testing: crops, scales, ensembles
    meters.py       averages, top-k, the clock                nonfinite.py    where a loss stopped being a number
    checkpoint.py   one file that is right or refused         restore.py      its weights into a model
    log.py          log.csv, progress, TensorBoard            files.py        whole files or none
    interrupt.py    Ctrl-C, SIGTERM                           environment.py  what the last bits depend on
    lock.py         one run to a folder                       npz.py          arrays of a file that anybody has made

and, for programs with a command line, experiment.py (what happens), arguments.py, setting.py, pictures.py,
known.py, output.py, leftovers.py, testing.py.
"""

from .arguments import make_parser
from .checkpoint import CheckpointError, is_checkpoint, load_checkpoint, save_checkpoint
from .evaluate import Classifier, evaluate
from .experiment import Recipe, exit_code, main, run
from .interrupt import Interrupted
from .nonfinite import TrainingError
from .setting import SettingError
from .trainer import Trainer

__all__ = [
    "CheckpointError",
    "Classifier",
    "Interrupted",
    "Recipe",
    "SettingError",
    "Trainer",
    "TrainingError",
    "evaluate",
    "exit_code",
    "is_checkpoint",
    "load_checkpoint",
    "main",
    "make_parser",
    "run",
    "save_checkpoint",
]
