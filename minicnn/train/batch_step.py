"""What a ``Trainer`` does with one batch: one step downhill, on this rank's rows, with the sum of all ranks' gradients.

on the processor, or on several ranks, or in parts     in one process on a GPU
forward, backward: for each part                       forward, backward, the optimiser's step: all asked for
wait for the loss; is it finite?                       wait for the loss; is it finite? If not, the optimiser's
the optimiser's step                                   kernel has left the weights as they were
"""

import functools
from collections.abc import Callable
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np

from ..data import Batch, DataLoader, Normalize
from ..data.errors import shown
from ..device import to_device
from ..distributed import DataParallel, world
from ..nn import Module
from ..nn.utils import clip_grad_norm_
from ..optim import Optimizer
from ..tensor import Tensor
from .graphed import GraphedStep
from .interrupt import Interrupt
from .loss import LossFunction, classification_loss, numbers_of
from .one_step import one_step
from .step import Outcome, Steps, parts_of
from .trouble import Finite, explaining_single_pictures


class Feed(NamedTuple):
    """Where the pictures of a network come from."""

    loader: DataLoader
    normalize: Normalize
    device: str
    mix: Callable[..., Any] | None = None  # mix(images, labels, rng) -> (images, targets): data/mix.py

    def images(self, batch: Batch) -> Tensor:
        """A batch as the network takes it: float32 (N, 3, H, W) on the device."""
        pixels = to_device(batch.images, self.device)  # uint8 (N, 3, H, W): a quarter of the bytes to copy
        return Tensor(self.normalize(pixels))

    def training(self, batch: Batch) -> tuple[Tensor, np.ndarray]:
        """What the network is trained on: the pictures, and labels (N,), or probabilities (N, classes) where pictures
        are mixed: with others of these rows, by the same draw for all parts of the batch."""
        images = self.images(batch)
        if self.mix is None:
            return images, batch.labels
        mixed, targets = self.mix(images.data, batch.labels, self.loader.mixing_rng(batch))
        return Tensor(mixed), targets

    def with_names(self, batch: Batch) -> tuple[Tensor, list[str]]:
        """The same, and what its pictures are called."""
        return self.images(batch), [shown(self.loader.name(i)) for i in batch.indices]


class BatchStep:
    """``with BatchStep(...) as step:`` goes around a run's steps, and ``step(batch, ...)`` makes one.

    steps    in which parts a batch is worked on (step.py)
    finite   what holds the losses to finite numbers
    loss     in place of cross entropy (loss.py)
    graph    replay the step as a CUDA graph (graphed.py)
    """

    def __init__(
        self,
        model: Module,
        optimizer: Optimizer,
        feed: Feed,
        steps: Steps,
        finite: Finite,
        loss: LossFunction | None = None,
        graph: bool = False,
    ) -> None:
        self.model, self.optimizer, self.feed, self.steps, self.finite = model, optimizer, feed, steps, finite
        self.loss = loss
        self.parallel = DataParallel(model, steps.shards, steps.send)
        whole = world().size == 1 and steps.parts(1) == 1 and steps.shards is None
        self.at_once = feed.device == "cuda" and whole
        together = model, optimizer, loss
        one = functools.partial(one_step, *together, clip_grad_norm=steps.clip_grad_norm)
        self.one_step = GraphedStep(*together) if graph else one

    def __enter__(self) -> "BatchStep":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.parallel.close()

    def __call__(self, batch: Batch, where: str, interrupt: Interrupt) -> Outcome:
        """The weights, a little downhill. where: for messages; interrupt: the run's, to be told to all ranks.

        TrainingError, and the weights are what they were, if the loss is not finite.
        """
        return self._at_once(batch, where, interrupt) if self.at_once else self._in_parts(batch, where, interrupt)

    def _in_parts(self, batch, where, interrupt):
        self.optimizer.zero_grad()  # now, so that memory holds no old gradients during the forward pass
        parts = parts_of(batch, self.steps)  # one, unless --accumulate or --shards makes more
        own_loss = 0.0
        with self.parallel.in_parts([len(part.labels) for part in parts]) as count:
            for number, part in enumerate(parts):
                with self.parallel.part(number):
                    loss, *others = self._gradients(part, count, where)
                    self.parallel.report(loss, *others, interrupt.requested)
                own_loss += loss
        outcome = Outcome(count, *self.parallel.totals)  # sums over all ranks, as each .grad is now
        self._check_loss(outcome.total, own_loss, batch, where)  # now, before the optimiser spoils the weights
        if count:  # else no rank could read any picture, and it is no step: one process does not even get such a batch
            if self.steps.clip_grad_norm is not None:
                clip_grad_norm_(self.model.parameters(), self.steps.clip_grad_norm)
            self.optimizer.step()  # the weights, a little downhill
        return outcome

    def _at_once(self, batch, where, interrupt):
        """The whole step is asked for before the host waits for the loss, so that the GPU never runs dry."""
        images, targets = self.feed.training(batch)
        with explaining_single_pictures(self.feed.loader, batch, where):
            losses = self.one_step(images.data, targets)
        outcome = Outcome(len(targets), *numbers_of(losses, targets), interrupt.requested)
        self._check_loss(outcome.total, outcome.total, batch, where)
        return outcome

    def _gradients(self, part, count, where):
        """The gradients of some rows, of a batch of `count` on all ranks. Returns what they add to the batch's loss,
        with auxiliary heads and without, and to the pictures whose label has the highest score, or one of the five."""
        if not count:
            return 0.0, 0.0, 0, 0
        images, targets = self.feed.training(part)
        with explaining_single_pictures(self.feed.loader, part, where):
            outputs = self.model(images)  # forward: scores (N, classes); more of them if it has auxiliary heads
        losses = classification_loss(outputs, targets, count, self.loss)  # these rows' share of the mean: ()
        losses.total.backward()  # the gradient of every parameter
        return numbers_of(losses, targets)  # a GPU is waited for here, and nowhere else in the step

    def _check_loss(self, loss, own_loss, batch, where):
        """TrainingError unless the loss of a batch is finite. own_loss: what this rank's rows add to it."""
        lr = self.optimizer.param_groups[0]["lr"]
        self.finite.check_loss(loss, own_loss, where, lr, lambda: self.feed.with_names(batch))
