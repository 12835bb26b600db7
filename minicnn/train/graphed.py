"""A training step as a CUDA graph: Python asks for some hundred launches once, and then for all of them by one call.

    step 1, 2    run as always: kernels are compiled, the optimiser makes what it keeps
    step 3       is captured, and replayed at once
    step 4 ...   pictures and labels are copied to where the captured step reads them; the optimiser writes its numbers
                 (learning rates) where its kernel reads them; dropout's count goes on; one call replays the rest

A batch of another size, such as an epoch's last one, runs as always. Where something else has changed than numbers in
memory (situation.py: a frozen layer, the precision, a hook, ...) it begins anew with step 1. The numbers are those of a
run without a graph, to the last bit. Normalising stays outside: what it does depends on the pictures' kind, and it is
three launches.
"""

from typing import Any

import numpy as np

from .. import random
from ..capture import CaptureError, write
from ..cudagraph import CudaGraph
from ..device import full, to_device
from ..nn import Module
from ..ops.labels import checked_labels, checked_probabilities
from ..optim import Optimizer
from ..tensor import Tensor
from ..types import Array
from .loss import Losses, LossFunction
from .one_step import one_step
from .situation import is_same, numbers_on_the_host, situation

PREPARATIONS = 2  # steps before one is captured


class GraphedStep:
    """``one_step`` of one model, optimiser and loss on device "cuda", by a graph from the third batch of a size on."""

    def __init__(self, model: Module, optimizer: Optimizer, loss: LossFunction | None = None) -> None:
        self.model, self.optimizer, self.loss = model, optimizer, loss
        self._steps_of: dict[Any, int] = {}  # {shape of a batch: how many there were in this situation}
        self._situation: list[Any] | None = None  # behind the last step
        self._captured: Captured | None = None

    def __call__(self, images: Array, labels: np.ndarray) -> Losses:
        """The losses of this step. images: normalised, on the GPU; labels: on the host. CaptureError, and nothing is
        changed, for a step that cannot be captured."""
        if self._situation and not is_same(self._situation, situation(self.model, self.optimizer)):
            self._captured = None
            self._steps_of.clear()
        key = images.shape, images.dtype
        done = self._steps_of[key] = self._steps_of.get(key, 0) + 1
        if self._captured is not None and self._captured.key == key:
            return self._captured.replay(images, labels)
        if done > PREPARATIONS and key == max(self._steps_of, key=self._steps_of.__getitem__):
            self._captured = None  # before another one needs memory
            self._captured = Captured(self.model, self.optimizer, self.loss, images, labels)
            losses = self._captured.losses
        else:
            losses = one_step(self.model, self.optimizer, self.loss, images, labels)
        self._situation = situation(self.model, self.optimizer)
        return losses


class Captured:
    """A step that is captured, for batches of one size, and has run once."""

    def __init__(
        self, model: Module, optimizer: Optimizer, loss: LossFunction | None, images: Array, labels: np.ndarray
    ) -> None:
        self.key, self.optimizer, self.graph = (images.shape, images.dtype), optimizer, CudaGraph()
        self.images, self.labels = full(images, images.shape, 0), to_device(np.zeros_like(labels), "cuda")
        self.first_call = random.dropout_calls()
        before, kept = numbers_on_the_host(model), {p: dict(state) for p, state in optimizer.state.items()}
        try:
            with self.graph.capturing():
                self.losses = one_step(model, optimizer, loss, self.images, Tensor(self.labels))
            _check_host(before, numbers_on_the_host(model))
            self._put(images, labels)
        except BaseException as error:  # nothing has run: what the host has counted and kept of it goes, too
            random.set_dropout_calls(self.first_call)
            optimizer.state.clear()
            optimizer.state.update(kept)
            optimizer.zero_grad()
            if isinstance(error, CaptureError):
                raise CaptureError(f"{error}; or train without a graph: leave out graph=True, --cuda-graph") from error
            raise
        self.calls = random.dropout_calls() - self.first_call  # how often a step draws
        trained = [p for group in optimizer.param_groups for p in group["params"]]
        self.grads = [(p, p.grad) for p in dict.fromkeys([*model.parameters(), *trained])]  # the graph writes them
        self.graph.replay()

    def replay(self, images: Array, labels: np.ndarray) -> Losses:
        """This batch's step."""
        self._put(images, labels)
        for parameter, grad in self.grads:
            parameter.grad = grad  # a batch of another size had others
        write(self.graph.calls, [(random.dropout_calls() - self.first_call) % 2**64])  # it may have been set back
        with self.graph.renewing():
            self.optimizer.step(loss=self.losses.total)
        self.graph.replay()
        random.set_dropout_calls(random.dropout_calls() + self.calls)
        return self.losses

    def _put(self, images, labels):
        check = checked_labels if labels.ndim == 1 else checked_probabilities
        of_rows = check("cross_entropy", self.losses.scores, labels, None, -100, "sum")  # not too late here
        self.images[...] = images
        write(self.labels, of_rows["target"])


def _check_host(before, after):
    """CaptureError where a step has changed a number of a layer: a replay would not."""
    for name, value in after.items():
        if name not in before or before[name] != value:
            what = f"CudaGraph: a step sets {name} from {before.get(name)!r} to {value!r} on the host"
            raise CaptureError(f"{what}, which a replay does not do; keep it in a buffer on the GPU")
