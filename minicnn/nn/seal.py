"""seal: a network whose weights stay as they are, so that the processor's kernels keep what they make of them."""

from typing import TypeVar

import numpy as np

from ..immutable import immutable, is_writeable
from ..settings import flag, kind_of
from .module import Module

M = TypeVar("M", bound=Module)


def seal(model: M, sealed: bool = True) -> M:
    """Freeze a network (``model.freeze()``), and put its parameters and buffers into memory that nobody can write to.

        model = minicnn.seal(model.eval())
        with minicnn.no_grad():
            scores = model(picture)

    A convolution rearranges its weights before it multiplies by them: of one small picture, that takes as long as the
    products. Of a sealed network the processor's fast tier does it once, and keeps the result with the weight: up to 4
    times as many bytes for a filter of 3 x 3 taps, 2.6 for 5 x 5, as many for others, and none for fully connected
    layers. That memory goes with the network.

    Whatever would change a weight is an error, but ``weight.data = array`` gives it another one. Copies
    (``copy.deepcopy``, pickle) and networks that are moved or converted (``to``) are frozen, but no longer sealed.
    sealed=False: every array that is read-only becomes one that can be written to; ``freeze(False)`` has them trained.
    On a GPU nothing is kept, and arrays there stay as they are. Returns the model.
    """
    if not isinstance(model, Module):
        raise TypeError(f"seal: takes a Module, not a {kind_of(model)}")
    if flag("seal", "sealed", sealed):
        return _exchange(model.freeze(), immutable)
    return _exchange(model, lambda array: array if is_writeable(array) else np.array(array))


def _exchange(model, convert):
    """The model with other arrays, all made before the first one is exchanged. Gradients are no part of its state."""
    tensors = [*model.parameters(), *model.buffers()]
    for tensor, array in [(tensor, convert(tensor.data)) for tensor in tensors]:
        tensor.data = array
    return model
