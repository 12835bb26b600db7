"""A training step of one process, asked for as a whole: on a GPU the host is far ahead of it."""

from typing import Any

from ..nn import Module
from ..nn.utils import clip_grad_norm_
from ..optim import Optimizer
from ..tensor import Tensor
from ..types import Array
from .loss import Losses, LossFunction, classification_loss


def one_step(
    model: Module,
    optimizer: Optimizer,
    loss: LossFunction | None,
    images: Array,
    labels: Any,
    clip_grad_norm: float | None = None,
) -> Losses:
    """Forward, backward and the optimiser's step, asked for one behind the other; the host waits for nothing.

    Where the loss is not finite the weights stay what they are. clip_grad_norm: the most that the norm of all gradients
    together may be.
    """
    optimizer.zero_grad()  # now, so that memory holds no old gradients during the forward pass
    losses = classification_loss(model(Tensor(images)), labels, loss=loss)
    losses.total.backward()
    if clip_grad_norm is not None:
        clip_grad_norm_(model.parameters(), clip_grad_norm)
    optimizer.step(loss=losses.total)
    return losses
