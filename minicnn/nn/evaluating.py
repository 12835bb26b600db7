"""A look at what a network says, which leaves its modes as they were."""

import contextlib
from collections.abc import Iterator

from ..gradmode import no_grad
from .module import Module


@contextlib.contextmanager
def evaluating(model: Module) -> Iterator[None]:
    """``with evaluating(model): model(x)``: no gradients, every module in evaluation mode; afterwards as before."""
    with keeping_modes(model), no_grad():
        model.eval()
        yield


@contextlib.contextmanager
def keeping_modes(model: Module) -> Iterator[None]:
    """Afterwards every module is in its own mode again, training or evaluation, also where these differ."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
