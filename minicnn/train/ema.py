"""The moving average of a network's weights: it forgets single steps, and is often right more often than any of them.

    average = decay * average + (1 - decay) * weights         every `every` batches; the first time, and in the first
                                                              epochs if so asked: average = weights

Batch norms' running statistics are averaged, too. The average takes no part in training: it is tested after each epoch,
beside the network, and its best state is kept as checkpoint_ema.npz, which is a network like any other to whatever
reads checkpoints; as torchvision's reference trainer does it.

Source    Polyak and Juditsky, "Acceleration of stochastic approximation by averaging", 1992; Tarvainen and Valpola,
          "Mean teachers are better role models", NIPS 2017 (exponential)
"""

import copy
from typing import Any

import numpy as np

from ..console import say
from ..data import Batch
from ..nn import Module
from ..settings import real, whole
from ..variable import Variable, is_float
from .callbacks import Callback
from .evaluate import Classifier, evaluate
from .meters import Scores
from .state import network_of
from .step import Outcome

AVERAGED = "checkpoint_ema.npz"


class ModelEma(Callback):
    """A callback of a ``Trainer``, before those that count epochs. `model`: the network; ``.model``: its average.

    decay           what the average keeps of itself
    every           batches, counted within an epoch, between two averages
    copied_epochs   the first epochs, in which weights are copied and not averaged: those of warm-up, say

    Of several ranks each has its own, the same on all.
    """

    every_rank = True

    def __init__(self, model: Module, decay: float = 0.9999, every: int = 1, copied_epochs: int = 0) -> None:
        self.decay = real("ModelEma", "decay", decay, at_least=0, below=1)
        self.every = whole("ModelEma", "every", every)
        self.copied_epochs = whole("ModelEma", "copied_epochs", copied_epochs, at_least=0)
        self.model = copy.deepcopy(model).eval()
        self.count = 0  # averages since the last copy
        self.best: float | None = None  # top-1 in %

    def update(self, model: Module) -> None:
        """Average the present weights and statistics of `model` in."""
        for mean, new in zip(_tensors(self.model), _tensors(model), strict=True):
            if self.count == 0 or not is_float(mean.data.dtype):
                mean.data[...] = new.data
            else:
                mean.data[...] = self.decay * mean.data + (1 - self.decay) * new.data
            mean.version.count += 1
        self.count += 1

    def on_batch_end(self, trainer: Any, batch: Batch, outcome: Outcome) -> None:
        """One average, if it is time."""
        if outcome.pictures and batch.position % self.every == 0:
            self.update(trainer.model)
            if trainer.epoch < self.copied_epochs:
                self.count = 0

    def on_epoch_end(self, trainer: Any, metrics: dict[str, float]) -> None:
        """Test the average; if it is the best one so far, or there is nothing to test it on, save it."""
        if trainer.val_loader is not None:
            scores = self._tested(trainer)
            say(f"{'':<{len(f'epoch {trainer.epoch + 1}/{trainer.epochs}')}}  average of the weights: val: {scores}")
            top1 = scores.values()["top1"]
            if self.best is not None and top1 <= self.best:  # the first of equal ones stays the best
                return
            self.best = top1
        trainer.files.save(AVERAGED, lambda: network_of(trainer, self.model))

    def _tested(self, trainer) -> Scores:
        def after_batch(position, scores):
            trainer.watchdog.step(f"validation of the average after batch {position + 1}")
            return trainer.interrupt.requested

        scores = evaluate([Classifier(self.model, trainer.normalize)], trainer.val_loader, trainer.device, after_batch)
        asked = trainer.world.sum(np.array(float(trainer.interrupt.requested)))  # how many ranks
        trainer.stop_if_asked(float(asked))  # a run that is stopped here validates again
        return scores

    def state_dict(self) -> dict[str, Any]:
        """The average, of how many, and how good the best one was."""
        return {"model": self.model.state_dict(), "count": self.count, "best": self.best}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on with it. ValueError or TypeError, and nothing is changed, for that of another network."""
        count = whole("ModelEma", "count", state["count"], at_least=0)
        best = None if state["best"] is None else real("ModelEma", "best", state["best"])
        self.model.load_state_dict(state["model"])
        self.count, self.best = count, best


def _tensors(model: Module) -> list[Variable]:
    return [*model.parameters(), *model.buffers()]
