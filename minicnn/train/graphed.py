"""A training step as a CUDA graph: Python asks for some hundred launches once, and then for all of them by one call.

    step 1, 2    run as always: kernels are compiled, the optimiser makes what it keeps
    step 3       is captured, and replayed at once
    step 4 ...   pictures and labels are copied to where the captured step reads them; the optimiser writes its numbers
                 (learning rates) where its kernel reads them; dropout's count goes on; one call replays the rest

A batch of another size, such as an epoch's last one, runs as always. The numbers are those of a run without a graph, to
the last bit. Normalising stays outside: what it does depends on the pictures' kind, and it is three launches.
"""

from typing import Any

import numpy as np

from .. import random
from ..capture import write
from ..cudagraph import CudaGraph
from ..device import current_tier, full, to_device
from ..nn import Module
from ..optim import Optimizer
from ..precision import current_precision
from ..tensor import Tensor
from ..types import Array
from .loss import Losses
from .one_step import one_step

PREPARATIONS = 2  # steps before one is captured


class GraphedStep:
    """``one_step`` of one model and optimiser on device "cuda", by a graph from the third batch of a size on."""

    def __init__(self, model: Module, optimizer: Optimizer) -> None:
        self.model, self.optimizer = model, optimizer
        self._steps_of: dict[Any, int] = {}  # {shape of a batch: how many there were}
        self._captured: Captured | None = None

    def __call__(self, images: Array, labels: np.ndarray) -> Losses:
        """The losses of this step. images: normalised, on the GPU; labels: on the host."""
        key = images.shape
        if self._captured is not None and self._captured.fits(images):
            return self._captured.replay(images, labels)
        done = self._steps_of[key] = self._steps_of.get(key, 0) + 1
        if done > PREPARATIONS and key == max(self._steps_of, key=self._steps_of.__getitem__):
            self._captured = Captured(self.model, self.optimizer, images, labels)
            return self._captured.losses
        return one_step(self.model, self.optimizer, images, labels)


class Captured:
    """A step that is captured, for batches of one size, and has run once."""

    def __init__(self, model: Module, optimizer: Optimizer, images: Array, labels: np.ndarray) -> None:
        self.optimizer, self.graph = optimizer, CudaGraph()
        self.images, self.labels = full(images, images.shape, 0), to_device(np.zeros(len(labels), np.int64), "cuda")
        self._put(images, labels)
        self.held, self.first_call = [*model.parameters(), *model.buffers()], random.dropout_calls()
        with self.graph.capturing():
            self.losses = one_step(model, optimizer, self.images, Tensor(self.labels))
        self.calls = random.dropout_calls() - self.first_call  # how often a step draws
        self.parameters = [p for p in model.parameters() if p.grad is not None]
        self.grads = [p.grad for p in self.parameters]  # what the graph writes
        self.settings, self.state = self._settings(), self._state()
        self.graph.replay()

    def fits(self, images: Array) -> bool:
        """Whether a replay is this batch's step: it is as large, what the model holds lies where it lay, and the same
        of it is trained, in the same numbers."""
        if images.shape != self.images.shape or self.settings != self._settings():
            return False
        pairs = zip(self._state(), self.state, strict=True)
        return all(array is then and trained == was for (array, trained), (then, was) in pairs)

    def replay(self, images: Array, labels: np.ndarray) -> Losses:
        """This batch's step."""
        self._put(images, labels)
        for parameter, grad in zip(self.parameters, self.grads, strict=True):
            parameter.grad = grad  # a batch of another size had others
        write(
            self.graph.calls, [(random.dropout_calls() - self.first_call) % 2**64]
        )  # the count may have been set back
        with self.graph.renewing():
            self.optimizer.step(loss=self.losses.total)
        self.graph.replay()
        random.set_dropout_calls(random.dropout_calls() + self.calls)
        return self.losses

    def _settings(self):
        return random.dropout_key(), current_precision(), current_tier()

    def _state(self):
        """[(array, whether it is trained)] of parameters and buffers."""
        return [(tensor.data, tensor.requires_grad) for tensor in self.held]

    def _put(self, images, labels):
        self.images[...] = images
        write(self.labels, labels)
