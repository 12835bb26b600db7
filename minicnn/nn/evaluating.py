"""A look at what a network says, which leaves it as it was."""

import contextlib
from collections.abc import Iterator

from ..gradmode import no_grad
from .module import Module


@contextlib.contextmanager
def evaluating(model: Module) -> Iterator[None]:
    """``with evaluating(model): model(x)``: no gradients, every module in evaluation mode; afterwards each in its own
    mode again, also where these differ."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with no_grad():
            yield
    finally:
        for module, mode in modes:
            module.training = mode
