"""What a training run breaks down on, explained: a number that is not finite, a batch that has lost its pictures.

On several ranks the weights are the same, and so all of them find the same number in these; but each has its own rows,
and where a loss is not finite, it is told which rank's rows have made it so.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from ..data import Batch, DataLoader
from ..data.errors import shown
from ..device import array_module, as_array, to_device
from ..distributed import World, world
from ..distributed.agree import on_all_ranks
from ..distributed.ending import marked
from ..gradmode import no_grad
from ..nn import Module
from ..nn.watch import tensors_in, watch
from ..tensor import Tensor


class TrainingError(RuntimeError):
    """Training cannot go on; the message says where it stopped and why."""


def is_finite(tensor: Tensor) -> bool:
    """Whether all its numbers are; on a GPU, waits for them."""
    finite = array_module(tensor.data).isfinite(tensor.data).all()
    return bool(to_device(as_array(finite), "cpu"))


def first_not_finite(model: Module) -> str | None:
    """The name of the first parameter or buffer that holds an infinite number or NaN; None if there is none."""
    return next((name for name, tensor in model.state_dict().items() if not is_finite(tensor)), None)


@np.errstate(all="ignore")
def explain(model: Module, images: Tensor) -> str:
    """One clause that says where the numbers ceased to be finite: a parameter, the input, or a layer's output."""
    if name := first_not_finite(model):
        return f"parameter {name} is not finite; an earlier step was too large"
    layer = _first_layer(model, images)  # in any case: layers that talk to other ranks are run on all of them or none
    if not is_finite(images):
        return "the normalised pictures are not finite"
    if layer:
        return f"the output of {layer} is the first that is not finite"
    largest = max((float(np.abs(p.numpy()).max(initial=0)) for p in model.parameters()), default=0.0)
    return f"every layer's output is finite; the largest weight is {largest:.3g}"


@no_grad()
def _first_layer(model, images):
    """Run the model again and find the first layer whose output is not finite."""
    found = []

    def look(name, layer, x, y):
        if not all(map(is_finite, tensors_in(y))):
            found.append(f"{name} ({type(layer).__name__})")

    with watch(model, look):
        model(images)
    return found[0] if found else None


def whose_loss(model: Module, images: Tensor, names: Sequence[str], own_loss: float, world: World) -> tuple[str, str]:
    """(", rank 2 of 4", why) of the first rank whose own part of the loss is not finite; ("", why) of one process.

    images: the rank's own, normalised; names: what they are called. Every rank calls this, and gets the same."""
    whose = "batch" if world.size == 1 else "rank"
    why = f"{explain(model, images)}. The {whose}'s {len(names)} pictures begin with {', '.join(names[:3])}."
    found = world.gather_values(None if math.isfinite(own_loss) else why)
    rank, why = next(((rank, text) for rank, text in enumerate(found) if text), (0, why))
    return (f", rank {rank} of {world.size}" if world.size > 1 else ""), why


@contextmanager
def explaining_single_pictures(loader: DataLoader, batch: Batch, where: str) -> Iterator[None]:
    """Around the forward pass of a batch. TrainingError for the ValueError of a batch norm that sees one number a
    channel, where unreadable pictures have left a single one of the batch; or, where batch norm is that of all ranks,
    a single one on all of them together: then each raises it."""
    try:
        yield
    except ValueError as error:
        of_ranks = world().gather_values(loader.bad) if marked(error) else [loader.bad]
        path = next((path for bad in of_ranks for path in bad), None)
        if len(batch.labels) > 1 or path is None:
            raise
        why = f"{error}; remove them, the first is {shown(path)}, or choose another --batch-size"
        told = TrainingError(f"{where}: one picture is left of it, as others cannot be read: {why}")
        raise (on_all_ranks(told) if marked(error) else told) from error
