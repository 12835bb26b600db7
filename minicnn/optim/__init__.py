"""Optimisers and learning-rate schedules, by the names of ``torch.optim``."""

from typing import TYPE_CHECKING

from ..absent import absent
from . import lr_scheduler
from .adam import Adam, AdamW
from .groups import by_weight_decay, weights_and_biases
from .lars import LARS
from .optimizer import Optimizer
from .rmsprop import RMSprop
from .sgd import SGD

__all__ = [
    "LARS", "SGD", "Adam", "AdamW", "Optimizer", "RMSprop", "by_weight_decay", "lr_scheduler", "weights_and_biases",
]  # fmt: skip


if not TYPE_CHECKING:  # a type checker would take every name for one that is there

    def __getattr__(name):
        raise absent("optim", name)
