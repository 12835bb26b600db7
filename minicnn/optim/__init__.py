"""Optimisers and learning-rate schedules, by the names of ``torch.optim``."""

from . import lr_scheduler
from .sgd import SGD, weights_and_biases

__all__ = ["SGD", "lr_scheduler", "weights_and_biases"]
