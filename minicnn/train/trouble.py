"""What a training run breaks down on, explained: a number that is not finite, a batch that has lost its pictures.

On several ranks the weights are the same, and so all of them find the same number in these; but each has its own rows,
and where a loss is not finite, it is told which rank's rows have made it so.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import numpy as np

from ..data import Batch, DataLoader
from ..data.errors import shown
from ..device import array_module, as_array, to_device
from ..distributed import world
from ..distributed.ending import marked, on_all_ranks
from ..gradmode import no_grad
from ..nn import Module
from ..nn.watch import tensors_in, watch
from ..tensor import Tensor
from .folder import RunFolder


class TrainingError(RuntimeError):
    """Training cannot go on; the message says where it stopped and why."""


def is_finite(tensor: Tensor) -> bool:
    """Whether all its numbers are; on a GPU, waits for them."""
    finite = array_module(tensor.data).isfinite(tensor.data).all()
    return bool(to_device(as_array(finite), "cpu"))


def first_not_finite(named: Iterable[tuple[str, Tensor]]) -> str | None:
    """The name of the first tensor that holds an infinite number or NaN; None if there is none."""
    return next((name for name, tensor in named if not is_finite(tensor)), None)


@np.errstate(all="ignore")
def explain(model: Module, images: Tensor) -> str:
    """One clause that says where the numbers ceased to be finite: a parameter, the input, or a layer's output."""
    # of the parameters alone: the batch itself has moved the running statistics by now
    if name := first_not_finite(model.named_parameters()):
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


class Finite:
    """Holds a run to finite numbers; all ranks raise the same TrainingError.

    checkpoint: the name of the one, among the run's files, to go back to. where, lr: for messages, what the run is at.
    """

    def __init__(self, model: Module, files: RunFolder, checkpoint: str) -> None:
        self.model, self.files, self.checkpoint = model, files, checkpoint

    def check(self, where: str, lr: float, loss: float = 0.0) -> None:
        """TrainingError unless the loss and everything that would be saved of the model are finite."""
        name = first_not_finite(self.model.state_dict().items())
        if name or not math.isfinite(loss):
            what = f"parameter {name} is not finite" if name else f"the validation loss is {loss}"
            raise self._error(f"{where}, lr {lr:.3g}: {what}.")

    def check_loss(
        self, loss: float, own_loss: float, where: str, lr: float, rows: Callable[[], tuple[Tensor, list[str]]]
    ) -> None:
        """TrainingError unless the loss of a batch is finite. own_loss: what this rank's rows add to it; rows() are
        their pictures, normalised, and what these are called."""
        if not math.isfinite(loss):
            rank, why = self._whose(own_loss, *rows())
            raise self._error(f"the loss is {loss} in {where}{rank}, at lr {lr:.3g}: {why}.")

    def _whose(self, own_loss, images, names):
        """(", rank 2 of 4", why) of the first rank whose part of the loss is not finite; ("", why) of one process."""
        ranks = self.files.world
        whose = "batch" if ranks.size == 1 else "rank"
        why = f"{explain(self.model, images)}. The {whose}'s {len(names)} pictures begin with {', '.join(names[:3])}"
        found = ranks.gather_values(None if math.isfinite(own_loss) else why)
        rank, why = next(((rank, text) for rank, text in enumerate(found) if text), (0, why))
        return (f", rank {rank} of {ranks.size}" if ranks.size > 1 else ""), why

    def _error(self, what):
        saved = self.files.has(self.checkpoint)
        advice = f"The checkpoints in {self.files.path} are those of before; try" if saved else "Try"
        return on_all_ranks(TrainingError(f"{what} {advice} a smaller --lr."))


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
