"""The training loop: epochs of batches; after each epoch validation, schedule, log and checkpoints.

    for each epoch:  for each batch:  forward, loss, backward, step          train_epoch, train_batch (batch_step.py)
                     validation                                              validate
                     log, schedule, checkpoints                              log_epoch, schedule.step, save_epoch

A run that is killed at any moment and resumed from ``checkpoint_last.npz`` ends in the same bits as one that was not:
its state (state.py) is everything that the rest of the run depends on, and it is saved at the end of every epoch, every
`checkpoint_every` batches and when the run is asked to stop. The order of writing matters: the row of the log first,
which resuming takes back if need be, then the best checkpoint, then the last, which says that the epoch is over.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ..clock import Clock
from ..console import say
from ..data import Batch, DataLoader
from ..distributed import Watchdog, world
from ..distributed.agree import agree
from ..nn import Module
from ..optim import Optimizer
from ..optim.lr_scheduler import LinearWarmup, Schedule
from ..progress import Progress
from .batch_step import BatchStep, Feed
from .callbacks import Callback, Callbacks
from .environment import one_thread
from .evaluate import Classifier, evaluate, show_on
from .folder import RunFolder
from .interrupt import Interrupt, Interrupted
from .log import epoch_line, log_row
from .loss import LossFunction, check_loss
from .meters import Scores
from .state import go_on, order_of, state_of
from .step import ALL_AT_ONCE, Outcome, Steps, check_graph, check_steps, check_whole
from .trouble import Finite
from .unreadable import Teller, share_unreadable
from .warmup import Warmup

LAST, BEST = "checkpoint_last.npz", "checkpoint_best.npz"


class Trainer:
    """Trains any model that turns pictures into scores, one per class.

    model, optimizer, schedule    the schedule is stepped after each epoch, with the top-1 error in % as its metric, or,
                                  with schedule_each="batch", after each batch, without a metric
    warmup                        stepped after each batch besides: the two multiply (warmup.py)
    train_loader, val_loader      ``minicnn.data.DataLoader``s; without val_loader (None) the training error is watched
    normalize                     fitted; uint8 batch -> float32 batch
    loss                          what is minimised: loss(scores, targets), of Tensors, is the mean over pictures; None:
                                  cross entropy, which validation's always is. Of auxiliary heads, too (loss.py)
    mix                           mixes a batch's pictures and labels in training, behind the normaliser: mix(images,
                                  labels, rng) -> (images, probabilities), such as ``minicnn.data.MixUp``. Pictures are
                                  mixed with others of their part of the batch (step.py)
    callbacks                     what else happens at certain moments, ``Callback``s (callbacks.py)
    folder                        an existing folder that log.csv and the checkpoints are written into
    settings, classes, pictures   kept in the checkpoints: plain values (the architecture and its settings), names, and
                                  ``minicnn.data.record.record`` of the pictures
    print_every                   batches between two lines of progress, where there is no terminal for a bar
    checkpoint_every              batches between two checkpoints within an epoch; 0: only at its end
    steps                         how a batch is worked on (step.py)
    graph                         on a GPU: capture the step as a CUDA graph, and replay it (graphed.py)

    Started by mpiexec, each process makes the same Trainer: it trains on its rows of each batch, and tests its batches.
    Rank 0 writes, and what is written has no rank in it: a checkpoint goes on with any number of them.
    """

    def __init__(
        self,
        model: Module,
        optimizer: Optimizer,
        schedule: Schedule,
        train_loader: DataLoader,
        val_loader: DataLoader | None,
        normalize: Any,
        *,
        folder: Path | str,
        epochs: int,
        schedule_each: str = "epoch",
        warmup: LinearWarmup | None = None,
        loss: LossFunction | None = None,
        mix: Callable[..., Any] | None = None,
        callbacks: Sequence[Callback] = (),
        device: str = "cpu",
        settings: dict[str, Any] | None = None,
        classes: Iterable[str] = (),
        pictures: dict[str, Any] | None = None,
        print_every: int = 10,
        checkpoint_every: int = 0,
        steps: Steps = ALL_AT_ONCE,
        graph: bool = False,
    ) -> None:
        self.model, self.optimizer, self.schedule, self.warmup = model, optimizer, schedule, Warmup(warmup)
        self.train_loader, self.val_loader, self.normalize = train_loader, val_loader, normalize
        self.folder, self.epochs, self.schedule_each, self.device = Path(folder), epochs, schedule_each, device
        self.settings, self.classes, self.pictures = dict(settings or {}), list(classes), dict(pictures or {})
        self.print_every, self.checkpoint_every, self.loss, self.mix = print_every, checkpoint_every, loss, mix
        self.world, self.steps, self.graph, self.interrupt = world(), steps, graph, Interrupt()
        self.watchdog = Watchdog(steps.timeout, self.world)  # not watching yet
        self.callbacks = Callbacks(callbacks, self.world)
        check_whole(model)
        check_loss(loss)
        check_steps(steps, train_loader.batch_size, self.world.size, device)
        check_graph(graph, steps, self.world.size, device, optimizer)
        self.epoch = self.batch = 0  # how many epochs are over, and how many batches of the present one
        self.scores = Scores()  # of the present epoch
        self.best: dict[str, Any] | None = None  # {"epoch", "top1"}
        self.stop_reason: str | None = None  # why no further epoch is wanted, if that is so
        self.files = RunFolder(self.folder, self.world)
        self.finite, self.teller = Finite(model, self.files, LAST), Teller()  # of numbers; of unreadable pictures

    # The loop

    def fit(self) -> None:
        """Train until `epochs` epochs are over, from wherever the trainer stands.

        Raises TrainingError when a number is not finite, the checkpoints being those of before, and Interrupted after
        Ctrl-C or SIGTERM, with a new checkpoint to go on from.
        """
        with self.running():
            while not self.is_over:
                self.train_epoch()
                val = self.validate()
                top1 = self.log_epoch(val)  # in %
                if self.schedule_each == "epoch":
                    self.schedule.step(100 - top1)  # its metric: the error in %
                self.save_epoch(top1)

    @contextmanager
    def running(self) -> Iterator[None]:
        """``with trainer.running():`` goes around the loop: log.csv is open, the first signal asks the run to stop, and
        no other run has the folder."""
        with ExitStack() as stack:
            self.interrupt = stack.enter_context(Interrupt())
            agree("the run", self._in_common(), self.world)
            feed = Feed(self.train_loader, self.normalize, self.device, self.mix)
            step = BatchStep(self.model, self.optimizer, feed, self.steps, self.finite, self.loss, self.graph)
            self.step = stack.enter_context(step)
            stack.enter_context(self.files.taken(self.epoch))  # by ranks that agree
            if self.steps.shards is not None:
                stack.enter_context(one_thread())  # on any number of ranks
            part, self.train_loader.part = self.train_loader.part, self.world.part
            stack.callback(setattr, self.train_loader, "part", part)
            stack.enter_context(self.watchdog)
            self.clock = Clock()
            try:
                self._call("on_fit_start")
                yield
                self._call("on_fit_end")
            except BaseException as error:
                self.callbacks.broken_down(self, error)
                raise

    def _in_common(self):
        """What every rank's run must have in common, beside the model."""
        position = {"epoch": self.epoch, "batch": self.batch, "epochs": self.epochs, "steps": self.steps, "lr": self.lr}
        validated = {"validation pictures": len(self.val_loader.dataset) if self.val_loader else 0}
        return {**self.settings, **order_of(self.train_loader), **validated, "device": self.device, **position}

    def train_epoch(self) -> None:
        """The present epoch from `self.batch` on: a step for each batch."""
        self.model.train()  # validate has turned evaluation mode on
        self.epoch_clock = Clock()
        loader, title = self.train_loader, f"epoch {self.epoch + 1}/{self.epochs}"
        with Progress(title, len(loader), self.batch, self.print_every) as progress:
            self.watchdog.step(f"{title}, batch {self.batch + 1}")
            for batch in loader.epoch(self.epoch, start=self.batch):  # a resumed epoch goes on in its middle
                outcome = self.train_batch(batch)
                self.scores.add(outcome.sums())
                self.batch = batch.position + 1  # batches of this epoch that are over
                for clock in (self.epoch_clock, self.clock):  # the epoch's, and that of the time left
                    clock.update(outcome.pictures)
                progress.update(self.batch, *self.describe())
                self._call("on_batch_end", batch, outcome)
                self.stop_if_asked(outcome.stop)  # between two steps: a checkpoint of now is whole
                if self.checkpoint_every and self.batch % self.checkpoint_every == 0:
                    self.save(LAST)
                self.watchdog.step(f"{title}, batch {self.batch + 1}")  # which includes reading it
        self.images_per_second = self.epoch_clock.images_per_second  # validation is not to count

    def train_batch(self, batch: Batch) -> Outcome:
        """One step downhill, and the learning rate of the next one."""
        outcome = self.step(batch, self._where(batch.position + 1), self.interrupt)
        if outcome.pictures:
            if self.schedule_each == "batch":  # ResNet's milestones are counted in steps
                self.schedule.step()
            self.warmup.step()
        return outcome

    def validate(self) -> Scores | None:
        """Loss, top-1 and top-5 of the validation set, or None without one."""
        if self.val_loader is None:
            return None
        self.watchdog.step("the first batch of validation")
        with Progress("validation", len(self.val_loader), every=self.print_every) as progress:
            show = show_on(progress)

            def after_batch(position, scores):
                show(position, scores)
                self.watchdog.step(f"validation after batch {position + 1}")
                return self.interrupt.requested

            def each(batch, log_p):
                self._call("on_validation_batch", batch, log_p)

            classifier = Classifier(self.model, self.normalize)
            scores = evaluate([classifier], self.val_loader, self.device, after_batch, each=each)
        asked = self.world.sum(np.array(float(self.interrupt.requested)))  # how many ranks
        self.stop_if_asked(float(asked))  # a run that is stopped here validates again
        return scores

    def log_epoch(self, val: Scores | None) -> float:
        """A row of log.csv and a line on the screen. Returns the top-1 in % that is watched: that of validation, or,
        without validation, that of training."""
        self.watchdog.step(f"the end of epoch {self.epoch + 1}")
        share_unreadable(self.loaders, self.world)
        watched = (self.scores if val is None else val).values()  # what the schedule and the best checkpoint go by
        self.finite.check(self._where(self.batch), self.lr, watched["loss"])  # before it is in the log
        times = self.epoch_clock.seconds, self.train_loader.wait_seconds, self.images_per_second
        row = log_row(self.epoch + 1, self.lr, self.scores, val, times)
        self.files.add_row(row)
        say(epoch_line(f"epoch {self.epoch + 1}/{self.epochs}", self.scores, val, self.lr, row["seconds"]))
        self.teller.tell(self.loaders)
        self._call("on_epoch_end", row)
        return watched["top1"]

    def save_epoch(self, top1: float) -> None:
        """The epoch is over: its checkpoints. top1: what ``log_epoch`` has returned."""
        self.epoch, self.batch, self.scores = self.epoch + 1, 0, Scores()  # now a checkpoint says: over
        if self.best is None or top1 > self.best["top1"]:  # the first of equal ones stays the best
            self.best = {"epoch": self.epoch, "top1": top1}
            self.save(BEST)
        self.save(LAST)  # after the best one: a run that is killed between the two repeats the epoch

    @property
    def loaders(self) -> list[DataLoader]:
        """Of the training pictures, and of those to validate on if there are any."""
        return [loader for loader in (self.train_loader, self.val_loader) if loader is not None]

    @property
    def lr(self) -> float:
        """The learning rate in force, of the first parameter group."""
        return self.optimizer.param_groups[0]["lr"]

    def describe(self) -> tuple[str, ...]:
        """What is to be said about the epoch so far, the most important first."""
        batches_left = (self.epochs - self.epoch) * len(self.train_loader) - self.batch  # of the whole run
        left, _ = self.clock.texts(batches_left)
        _, speed = self.epoch_clock.texts(0)
        waiting = 100 * self.train_loader.wait_seconds / self.epoch_clock.seconds
        # waiting: in %; if it is large, decoding pictures takes longer than the steps
        return left, speed, *self.scores.texts(), f"lr {self.lr:.3g}", f"waiting for data {waiting:.0f} %"

    def _call(self, moment, *details):
        self.callbacks(moment, self, *details)

    # Stopping

    def stop(self, why: str) -> None:
        """Begin no further epoch; for callbacks. Of several ranks, rank 0's word counts for all, from the end of the
        epoch on. ``stop_reason`` keeps why."""
        if self.stop_reason is None:
            self.stop_reason = why
            say(f"this was the last epoch: {why}")

    @property
    def is_over(self) -> bool:
        """Whether no epoch is left: all are over, or a callback has stopped the run."""
        return self.epoch >= self.epochs or self.stop_reason is not None

    def stop_if_asked(self, ranks: float) -> None:
        """If a signal has come to some ranks: a checkpoint, and Interrupted, on all of them."""
        if ranks or (self.world.size == 1 and self.interrupt.requested):  # one process stops as soon as it can
            self.save(LAST)
            raise Interrupted(self.folder / LAST, self.interrupt.signal)  # the program prints how to go on

    def _where(self, batch):
        return f"epoch {self.epoch + 1}, batch {batch}"

    # The state of the run

    def save(self, name: str) -> None:
        """A checkpoint of this name in the folder. TrainingError, and none is written, if a number is not finite."""
        self.finite.check(self._where(self.batch), self.lr)
        share_unreadable(self.loaders, self.world)
        self.files.save(name, self.state_dict)

    def state_dict(self) -> dict[str, Any]:
        """Everything that the rest of the run depends on, and what it was made with; no times, so that it repeats."""
        return state_of(self)

    def load_state_dict(self, state: dict[str, Any], source: Path | str = "the checkpoint") -> None:
        """Continue where the run stood whose state this is. source: its path.

        Raises CheckpointError, and nothing is changed, if a part of it is missing or built otherwise than this
        trainer's, or if it is of another model, of other classes or, within an epoch, of other batches.
        """
        go_on(self, state, source)
