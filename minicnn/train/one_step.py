"""A training step of one process, asked for as a whole: on a GPU the host is far ahead of it."""

from typing import Any

from ..nn import Module
from ..optim import Optimizer
from ..tensor import Tensor
from ..types import Array
from .loss import Losses, LossFunction, classification_loss


def one_step(model: Module, optimizer: Optimizer, loss: LossFunction | None, images: Array, labels: Any) -> Losses:
    """Forward, backward and the optimiser's step, asked for one behind the other; the host waits for nothing.

    Where the loss is not finite the weights stay what they are.
    """
    optimizer.zero_grad()  # now, so that memory holds no old gradients during the forward pass
    losses = classification_loss(model(Tensor(images)), labels, loss=loss)
    losses.total.backward()
    optimizer.step(loss=losses.total)
    return losses
