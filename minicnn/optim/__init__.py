"""Optimisers and learning-rate schedules, by the names of ``torch.optim``."""

from . import lr_scheduler
from .adam import Adam, AdamW
from .groups import weights_and_biases
from .optimizer import Optimizer
from .sgd import SGD

__all__ = ["SGD", "Adam", "AdamW", "Optimizer", "lr_scheduler", "weights_and_biases"]
