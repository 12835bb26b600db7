"""find_lr: which learning rates a network takes, found out in a hundred steps.

The rate grows by the same factor from step to step, from one that changes next to nothing to one at which the loss runs
away. In between it falls fastest somewhat below the rate of the lowest loss; a tenth of that rate is a good beginning.

Source    Smith, "Cyclical learning rates for training neural networks", WACV 2017, section 3.3
"""

import contextlib
import copy
import math
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from .. import random
from ..nn import Module
from ..nn.evaluating import keeping_modes
from ..optim import Optimizer
from ..settings import real, whole
from ..tensor import Tensor
from ..types import Array
from .loss import LossFunction, classification_loss

SMOOTH = 0.9  # of the mean of the losses so far, what it keeps of itself
RUNAWAY = 4.0  # times the lowest loss: no need to go on


class LearningRates(NamedTuple):
    """What has been tried, until the loss ran away: ``plt.semilogx(found.rates, found.losses)``."""

    rates: Array  # float64 (K,), of the first parameter group
    losses: Array  # float64 (K,), of the batch before the step of this rate, smoothed

    @property
    def suggestion(self) -> float:
        """A tenth of the rate at which the loss is lowest."""
        return float(self.rates[self.losses.argmin()]) / 10


def find_lr(
    model: Module,
    optimizer: Optimizer,
    loader: Iterable[tuple[Tensor, Tensor]],
    loss: LossFunction | None = None,
    *,
    low: float = 1e-6,
    high: float = 10.0,
    steps: int = 100,
) -> LearningRates:
    """Train for at most so many steps, while the rate grows from `low` to `high`, and take all of it back.

    loader: (pictures, labels), from the beginning again where it has fewer batches than steps; loss: loss(scores,
    labels), the mean over the pictures; None: cross entropy, with the auxiliary heads of networks that have them.
    Groups of parameters keep the ratios of their rates.

    Afterwards, and after any error, weights, statistics, gradients, modes, the optimiser, random numbers and the
    loader's next epoch are what they were. ValueError if the loader is empty, or the loss is not finite at once.
    """
    low = real("find_lr", "low", low, above=0)
    high = real("find_lr", "high", high, above=low)
    steps = whole("find_lr", "steps", steps, at_least=2)
    before = [group["lr"] for group in optimizer.param_groups]
    if not before[0] > 0:
        raise ValueError(f"find_lr: the first group's lr is {before[0]}; ratios of rates need one above 0")
    rates = np.geomspace(low, high, steps)
    losses: list[float] = []
    mean = 0.0
    with _taken_back(model, optimizer, loader):
        model.train()
        for rate, (images, labels) in zip(rates, _again_and_again(loader), strict=False):
            total = classification_loss(model(images), labels.numpy(), loss=loss).total
            value = total.item()
            mean = SMOOTH * mean + (1 - SMOOTH) * value
            smoothed = mean / (1 - SMOOTH ** (len(losses) + 1))  # the first ones weigh more
            if not math.isfinite(smoothed):
                break
            losses.append(smoothed)
            if smoothed > RUNAWAY * min(losses):
                break
            optimizer.zero_grad()
            total.backward()
            for group, own in zip(optimizer.param_groups, before, strict=True):
                group["lr"] = float(rate) * own / before[0]
            optimizer.step()
    if not losses:
        raise ValueError(f"find_lr: the loss is {value} before the first step; look at the pictures and the weights")
    return LearningRates(rates[: len(losses)], np.array(losses))


def _again_and_again(loader):
    while True:
        is_empty = True
        for batch in loader:
            is_empty = False
            yield batch
        if is_empty:
            raise ValueError("find_lr: the loader has no batches; with drop_last, it has fewer pictures than a batch")


@contextlib.contextmanager
def _taken_back(model: Module, optimizer: Optimizer, loader: Any) -> Iterator[None]:
    """After the block all that training changes is as before it."""
    tensors = [*model.parameters(), *model.buffers()]
    values = [tensor.data.copy() for tensor in tensors]
    gradients = [(parameter, parameter.grad) for parameter in model.parameters()]
    kept, drawn, epoch = copy.deepcopy(optimizer.state_dict()), random.get_state(), getattr(loader, "next_epoch", None)
    for parameter, _ in gradients:
        parameter.grad = None  # else the old one would be overwritten
    try:
        with keeping_modes(model):
            yield
    finally:
        for tensor, value in zip(tensors, values, strict=True):
            tensor.data[...] = value
            tensor.version.count += 1  # a graph that has saved it will notice
        for parameter, gradient in gradients:
            parameter.grad = gradient
        optimizer.load_state_dict(kept)
        random.set_state(drawn)
        if epoch is not None:
            loader.next_epoch = epoch
