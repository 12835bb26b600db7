"""Optimisers, schedules and the rates they give, for tests of schedules."""

import numpy as np

from minicnn import nn
from minicnn.optim import SGD
from minicnn.optim.lr_scheduler import (
    CosineAnnealingLR,
    LinearWarmup,
    MultiStepLR,
    OneCycleLR,
    ReduceLROnPlateau,
    StepLR,
)

METRICS = [5, 4, 4.1, 4.2, 3.9999, 4, 4.3, 3, 2, 2.5, 2.5, 2.4, 2.6, 2.2]
KINDS = {c.__name__: c for c in (StepLR, MultiStepLR, CosineAnnealingLR, OneCycleLR, ReduceLROnPlateau, LinearWarmup)}


def optimizer(lrs=(0.5, 0.2)):
    return SGD([{"params": [nn.Parameter(np.ones(1))], "lr": lr} for lr in lrs], lr=0.1)


def rates(optimizer, schedule, metrics=METRICS):
    """The lr of every group, after each period."""
    seen = []
    for metric in metrics:
        schedule.step(metric)
        seen.append([group["lr"] for group in optimizer.param_groups])
    return np.array(seen)


def warmup(opt, after=None):
    return LinearWarmup(opt, periods=4, start_factor=0.2, after=after)


def warmup_then_steps(opt):
    return warmup(opt, StepLR(opt, step_size=2, gamma=0.5))


def warmup_then_plateau(opt):
    return warmup(opt, ReduceLROnPlateau(opt, factor=0.5, patience=0))
