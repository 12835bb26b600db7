"""Callbacks: what else is to happen at certain moments of a run, without another loop.

    class Print(Callback):
        def on_epoch_end(self, trainer, metrics):
            print(metrics["epoch"], metrics["val_top1"])

    Trainer(..., callbacks=[Print(), EarlyStop(patience=10)])

The names of the moments are Lightning's where it has them:

on_fit_start(trainer)                        log.csv is open; the trainer stands where its checkpoint has stood
on_batch_end(trainer, batch, outcome)        a step is made, by this rank's rows of a batch; outcome: step.py
on_validation_batch(trainer, batch, log_p)   a batch is tested; log-probabilities (N, classes)
on_epoch_end(trainer, metrics)               its row stands in log.csv; schedule and checkpoints come next
on_fit_end(trainer)                          the last epoch is over, and saved
on_exception(trainer, error)                 instead of on_fit_end: the run breaks down, or is stopped (Interrupted)

Of several ranks, rank 0 alone calls them: most write something, and one that writes is enough. Where ``every_rank`` is
True, each rank calls its own at the same moments, and these may send each other arrays; but not while batches are
validated, of which some ranks have one less. Batches of validation that other ranks test are not seen by rank 0.
"""

from collections.abc import Iterable
from typing import Any

from ..console import complain, say
from ..data import Batch
from ..distributed import World
from ..settings import kind_of, whole
from ..types import Array
from .interrupt import Interrupted
from .step import Outcome
from .trouble import TrainingError


class Callback:
    """What callbacks have in common: each method does nothing until a class of one's own overrides it.

    What one raises ends the run as a TrainingError that names it; the checkpoints are those of before. A callback that
    must remember something when the run goes on from a checkpoint has ``state_dict`` and ``load_state_dict``.
    """

    every_rank = False  # whether each of several ranks calls it, or rank 0 alone

    def on_fit_start(self, trainer: Any) -> None:
        """The run begins, or goes on."""

    def on_batch_end(self, trainer: Any, batch: Batch, outcome: Outcome) -> None:
        """A step is made. `batch` has this rank's rows of it; `outcome` is that of the whole batch."""

    def on_validation_batch(self, trainer: Any, batch: Batch, log_p: Array) -> None:
        """A batch is tested: `log_p` (N, classes) are the logarithms of its probabilities, a NumPy array."""

    def on_epoch_end(self, trainer: Any, metrics: dict[str, float]) -> None:
        """An epoch is over, and validated: `metrics` is its row of log.csv, {column: value}."""

    def on_fit_end(self, trainer: Any) -> None:
        """All epochs are over."""

    def on_exception(self, trainer: Any, error: BaseException) -> None:
        """The run ends before its time. Other ranks may be gone: nothing is to be sent here."""

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint is to hold of it: plain values, lists, dicts and arrays."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what ``state_dict`` has returned."""


class EarlyStop(Callback):
    """Stops a run that no longer gets better, after `patience` epochs without a new best top-1 accuracy: that of
    validation, or, without validation, that of training."""

    def __init__(self, patience: int) -> None:
        self.patience = whole("EarlyStop", "patience", patience, at_least=1)
        self.best, self.waited = float("-inf"), 0  # in %, and how many epochs there were since

    def on_fit_start(self, trainer: Any) -> None:
        """A run that was stopped like this is not begun again."""
        self._look(trainer)

    def on_epoch_end(self, trainer: Any, metrics: dict[str, float]) -> None:
        """Whether it was the best one, or one too many."""
        top1 = metrics["val_top1" if "val_top1" in metrics else "train_top1"]
        self.best, self.waited = (top1, 0) if top1 > self.best else (self.best, self.waited + 1)
        self._look(trainer)

    def _look(self, trainer):
        if self.waited >= self.patience:
            trainer.stop(f"no better epoch in {self.waited}")

    def state_dict(self) -> dict[str, Any]:
        """{"best", "waited"}."""
        return {"best": self.best, "waited": self.waited}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on waiting."""
        self.best, self.waited = float(state["best"]), whole("EarlyStop", "waited", state["waited"], at_least=0)


class Callbacks:
    """Those of one trainer, in the order in which they are called."""

    def __init__(self, callbacks: Iterable[Callback], world: World) -> None:
        self.all, self.world = list(callbacks), world
        for each in self.all:
            if not isinstance(each, Callback):
                what = f"{each.__name__} itself" if isinstance(each, type) else f"a {kind_of(each)}"
                raise TypeError(f"Trainer: callbacks holds {what}; give an object of a class that extends Callback")

    def __call__(self, moment: str, trainer: Any, *details: Any) -> None:
        """Call the method of this name of those that have one. TrainingError for what it raises; where rank 0 alone
        calls it, all ranks raise that."""
        for each in self.all:
            if not _has(each, moment):
                continue
            if each.every_rank or moment == "on_validation_batch":  # others may not come to such a batch
                if each.every_rank or self.world.is_main:
                    self._call(each, moment, trainer, *details)
            else:
                self.world.on_rank_0(self._call, each, moment, trainer, *details)
        if self.all and moment in ("on_fit_start", "on_epoch_end"):
            trainer.stop_reason = self.world.share(trainer.stop_reason)

    def _call(self, callback, moment, *arguments):
        try:
            getattr(callback, moment)(*arguments)
        except Interrupted:  # of one that has tested something meanwhile; the checkpoint is written
            raise
        except Exception as error:
            what = f"{_failure(callback, moment, error)}; mend it or leave it out"
            raise TrainingError(f"{what}, and go on from the last checkpoint") from error

    def broken_down(self, trainer: Any, error: BaseException) -> None:
        """on_exception, on the ranks that are still there. What a callback raises here is told in a line: it must not
        take the place of the error that the run ends with."""
        for each in self.all:
            if _has(each, "on_exception") and (each.every_rank or self.world.is_main):
                try:
                    each.on_exception(trainer, error)
                except Exception as another:
                    complain(_failure(each, "on_exception", another))

    def state_dict(self) -> dict[str, Any]:
        """{class: its state} of those that have one; "EarlyStop 2" is the second of its class."""
        named = {name: self._state(each) for name, each in self._named()}
        return {name: state for name, state in named.items() if state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Each goes on from its own. One that is new since then begins here; the state of one that has gone is told."""
        named = dict(self._named())
        for name in state.keys() & named.keys():
            try:
                named[name].load_state_dict(state[name])
            except Exception as error:
                raise ValueError(_failure(named[name], "load_state_dict", error)) from error
        if gone := sorted(state.keys() - named.keys()):
            say(f"note: {', '.join(gone)} of the checkpoint's callbacks {'is' if len(gone) == 1 else 'are'} not there")

    def _state(self, callback):
        try:
            return callback.state_dict()
        except Exception as error:
            raise TrainingError(f"{_failure(callback, 'state_dict', error)}; nothing was saved") from error

    def _named(self):
        seen: dict[str, int] = {}
        for each in self.all:
            kind = type(each).__name__
            seen[kind] = seen.get(kind, 0) + 1
            yield (kind if seen[kind] == 1 else f"{kind} {seen[kind]}"), each


def _has(callback, moment):
    return getattr(type(callback), moment) is not getattr(Callback, moment)


def _failure(callback, moment, error):
    why = f"{type(error).__name__}: {error}".partition("\n")[0]
    return f"the callback {type(callback).__name__} has failed in {moment}, {why}"
