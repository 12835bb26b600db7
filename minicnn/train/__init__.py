"""Training: the loop, what it is watched by, and how it stops.

trainer.py      the loop and the state of a run           evaluate.py     testing: crops, scales, ensembles
meters.py       averages, top-k                           segmentation.py the same for classes of pixels
log.py          log.csv                                   trouble.py      what a run breaks down on
interrupt.py    Ctrl-C, SIGTERM                           restore.py      a checkpoint's weights into a model
exit.py         the exit code of a program that trains    environment.py, gpu.py  what the last bits depend on
statistics.py   batch norm's, for changed weights         loss.py         cross entropy, auxiliary heads
step.py         how a batch becomes a step: in parts      unreadable.py   pictures that cannot be read, told once
batch_step.py   what is done with one batch               one_step.py, graphed.py  all of it at once, on a GPU
warmup.py       of the learning rate, batch by batch      folder.py       the files of a run: rank 0 writes
callbacks.py    what else is to happen, and when          tensorboard.py, eventfile.py  TensorBoard's files
state.py        what is saved of a run                    ema.py          an average of the weights, tested beside them
find_lr.py      a test of learning rates                keep_best.py    the networks of the best epochs

Read in this order. Checkpoints are ``minicnn.storage``'s, the command line is ``minicnn.cli``'s.
"""

from ..errors import SettingError
from ..storage.checkpoint import CheckpointError, is_checkpoint, load_checkpoint, save_checkpoint
from .callbacks import Callback, EarlyStop
from .ema import ModelEma
from .evaluate import Classifier, evaluate
from .exit import exit_code
from .find_lr import LearningRates, find_lr
from .interrupt import Interrupted
from .keep_best import KeepBest
from .statistics import update_bn
from .tensorboard import TensorBoard
from .trainer import Trainer
from .trouble import TrainingError

__all__ = [
    "Callback", "CheckpointError", "Classifier", "EarlyStop", "Interrupted", "KeepBest", "LearningRates",
    "ModelEma", "SettingError", "TensorBoard", "Trainer", "TrainingError", "evaluate", "exit_code", "find_lr",
    "is_checkpoint", "load_checkpoint", "save_checkpoint", "update_bn",
]  # fmt: skip
