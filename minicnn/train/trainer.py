"""The training loop: epochs of batches; after each epoch validation, schedule, log and checkpoints.

    for each epoch:  for each batch:  forward, loss, backward, step          train_epoch, train_batch
                     validation                                              validate
                     log, schedule, checkpoints                              end_epoch

A run that is killed at any moment and resumed from ``checkpoint_last.npz`` ends in the same bits as one that was not:
the state below is everything that the rest of the run depends on, and it is saved at the end of every epoch, every
`checkpoint_every` batches and when the run is asked to stop. The order of writing matters: the row of the log first,
which resuming takes back if need be, then the best checkpoint, then the last, which says that the epoch is over.
"""

import math
from pathlib import Path

from .. import functional as F
from .. import random
from ..console import say
from ..data.errors import shown
from ..device import to_device
from ..progress import Progress
from ..storage.checkpoint import CheckpointError, save_checkpoint
from ..storage.files import sweep
from ..storage.lock import locked
from ..tensor import Tensor
from .environment import differences, environment
from .evaluate import Classifier, evaluate
from .interrupt import Interrupt, Interrupted
from .log import Log
from .meters import Clock, Scores, duration
from .nonfinite import TrainingError, explain, first_not_finite
from .restore import check_model, check_values, fits, missing_parts, reading, unusable

CHECKED = ("position", "scores", "random", "schedule", "normalize", "optimizer")  # before any of them is loaded
LOADED = ("optimizer", "schedule", "normalize", "scores")  # by methods of their own
LAST, BEST = "checkpoint_last.npz", "checkpoint_best.npz"


class Trainer:
    """Trains any model that turns pictures into scores, one per class.

    model, optimizer, schedule    the schedule is stepped after each epoch, with the top-1 error in % as its metric, or,
                                  with schedule_each="batch", after each batch, without a metric
    train_loader, val_loader      ``minicnn.data.DataLoader``s; without val_loader (None) the training error is watched
    normalize                     fitted; uint8 batch -> float32 batch
    folder                        an existing folder that log.csv and the checkpoints are written into
    settings, classes, pictures   kept in the checkpoints: plain values (the architecture and its settings), names, and
                                  ``minicnn.data.record.record`` of the pictures
    print_every                   batches between two lines of progress, where there is no terminal for a bar
    checkpoint_every              batches between two checkpoints within an epoch; 0: only at its end
    """

    def __init__(
        self,
        model,
        optimizer,
        schedule,
        train_loader,
        val_loader,
        normalize,
        *,
        folder,
        epochs,
        schedule_each="epoch",
        device="cpu",
        settings=None,
        classes=(),
        pictures=None,
        print_every=10,
        checkpoint_every=0,
        tensorboard=False,
    ):
        self.model, self.optimizer, self.schedule = model, optimizer, schedule
        self.train_loader, self.val_loader, self.normalize = train_loader, val_loader, normalize
        self.folder, self.epochs, self.schedule_each, self.device = Path(folder), epochs, schedule_each, device
        self.settings, self.classes, self.pictures = dict(settings or {}), list(classes), dict(pictures or {})
        self.print_every, self.checkpoint_every, self.tensorboard = print_every, checkpoint_every, tensorboard
        self.epoch = self.batch = 0  # how many epochs are over, and how many batches of the present one
        self.scores = Scores()  # of the present epoch
        self.best = None  # {"epoch", "top1"}
        self.row = {}  # of the log, the latest
        self.told = set()  # unreadable pictures that the user has been told of

    def fit(self):
        """Train until `epochs` epochs are over, from wherever the trainer stands.

        Raises TrainingError when a number is not finite, the checkpoints being those of before, and Interrupted after
        Ctrl-C or SIGTERM, with a new checkpoint to go on from.
        """
        with locked(self.folder), Interrupt() as self.interrupt:
            sweep(self.folder)
            self.log = Log(self.folder, self.epoch, self.tensorboard)
            self.clock = Clock()
            while self.epoch < self.epochs:
                clock = Clock()
                speed = self.train_epoch(clock)
                val = self.validate()
                self.end_epoch(val, {"seconds": clock.seconds, **speed})

    def train_epoch(self, clock):
        """The present epoch from `self.batch` on. Returns how fast it went."""
        self.model.train()
        loader, title = self.train_loader, f"epoch {self.epoch + 1}/{self.epochs}"
        with Progress(title, len(loader), self.batch, self.print_every) as progress:
            for batch in loader.epoch(self.epoch, start=self.batch):
                loss, scores = self.train_batch(batch)
                self.scores.update(loss, scores, batch.labels)
                self.batch = batch.position + 1
                for each in (clock, self.clock):
                    each.update(len(batch.labels))
                progress.update(self.batch, self.describe(clock))
                self.stop_if_asked()
                if self.checkpoint_every and self.batch % self.checkpoint_every == 0:
                    self.save(LAST)
        return {"data_seconds": loader.wait_seconds, "images_per_second": clock.images_per_second}

    def train_batch(self, batch):
        """One step downhill. Returns the loss, a float, and the scores, an array (N, classes).

        Pictures go to the device as bytes. On a GPU all of forward and backward is under way before the loss is asked
        for, which is the one time that the step waits.
        """
        self.optimizer.zero_grad()
        images = Tensor(self.normalize(to_device(batch.images, self.device)))
        scores = self.scores_of(images, batch)
        loss = F.cross_entropy(scores, batch.labels)
        loss.backward()
        value, predicted = loss.item(), scores.numpy()
        if not math.isfinite(value):
            self.stop_at(batch, value, images)
        self.optimizer.step()
        if self.schedule_each == "batch":
            self.schedule.step()
        return value, predicted

    def scores_of(self, images, batch):
        """What the model makes of the batch. TrainingError if unreadable pictures have left a single one of it, and the
        model has a batch norm that sees one number a channel then."""
        try:
            return self.model(images)
        except ValueError as error:
            if len(batch.labels) > 1 or not self.train_loader.bad:
                raise
            path = next(iter(self.train_loader.bad))
            raise TrainingError(
                f"epoch {self.epoch + 1}, batch {batch.position + 1}: one picture is left of it, as others cannot be "
                f"read: {error}; remove them, the first is {shown(path)}, or choose another --batch-size"
            ) from error

    def validate(self):
        """The ``Scores`` of the validation set, or None without one."""
        if self.val_loader is None:
            return None
        with Progress("validation", len(self.val_loader), every=self.print_every) as progress:

            def after_batch(position, scores):
                progress.update(position + 1, str(scores))
                self.stop_if_asked()

            return evaluate([Classifier(self.model, self.normalize)], self.val_loader, self.device, after_batch)

    def end_epoch(self, val, times):
        """Log, schedule and checkpoints."""
        watched = self.scores if val is None else val
        loss, top1 = watched.values()["loss"], watched.values()["top1"]
        self.check_finite(loss)
        self.row = {"epoch": self.epoch + 1, "lr": self.lr}
        for name, scores in (("train", self.scores), ("val", val)):
            self.row |= {f"{name}_{key}": value for key, value in scores.values().items()} if scores else {}
        self.row |= times
        self.log.add(self.row)
        say(
            f"epoch {self.epoch + 1}/{self.epochs}  train: {self.scores}"
            + (f"   val: {val}" if val else "")
            + f"   lr {self.lr:.3g}  {duration(times['seconds'])}"
        )
        self.tell_bad_pictures()
        if self.schedule_each == "epoch":
            self.schedule.step(100 - top1)
        self.epoch, self.batch, self.scores = self.epoch + 1, 0, Scores()
        if self.best is None or top1 > self.best["top1"]:
            self.best = {"epoch": self.epoch, "top1": top1}
            self.save(BEST)
        self.save(LAST)

    @property
    def lr(self):
        """The learning rate in force, of the first parameter group."""
        return self.optimizer.param_groups[0]["lr"]

    def describe(self, clock):
        """One line about the epoch so far."""
        batches_left = (self.epochs - self.epoch) * len(self.train_loader) - self.batch
        waiting = 100 * self.train_loader.wait_seconds / clock.seconds
        return (
            f"{self.scores}  lr {self.lr:.3g}  {clock.images_per_second:.0f} images/s  "
            f"waiting for data {waiting:.0f} %  {duration(self.clock.left(batches_left))} left"
        )

    # Stopping

    def stop_if_asked(self):
        if self.interrupt.requested:
            self.save(LAST)
            raise Interrupted(self.folder / LAST, self.interrupt.signal)

    def stop_at(self, batch, loss, images):
        paths = [shown(self.train_loader.dataset.samples[i][0]) for i in batch.indices[:3]]
        raise TrainingError(
            f"the loss is {loss} in epoch {self.epoch + 1}, batch {batch.position + 1}, at lr {self.lr:.3g}: "
            f"{explain(self.model, images)}. {self.advice} The batch's {len(batch.indices)} pictures begin with "
            f"{', '.join(paths)}"
        )

    def check_finite(self, loss=0.0):
        name = first_not_finite(self.model)
        if name or not math.isfinite(loss):
            what = f"parameter {name} is not finite" if name else f"the validation loss is {loss}"
            raise TrainingError(f"epoch {self.epoch + 1}, batch {self.batch}, lr {self.lr:.3g}: {what}. {self.advice}")

    @property
    def advice(self):
        before = (
            f"The checkpoints in {self.folder} are those of before; try" if (self.folder / LAST).exists() else "Try"
        )
        return f"{before} a smaller --lr."

    def tell_bad_pictures(self):
        for loader in filter(None, (self.train_loader, self.val_loader)):
            for path, reason in loader.bad.items():
                if path not in self.told:
                    say(f"skipped an unreadable picture: {shown(path)}: {reason}")
                    self.told.add(path)

    # The state of the run

    def save(self, name):
        self.check_finite()
        save_checkpoint(self.folder / name, self.state_dict())

    def state_dict(self):
        """Everything that the rest of the run depends on, and what it was made with; no times, so that it repeats."""
        return {
            "settings": self.settings,
            "classes": self.classes,
            "environment": environment(self.device),
            "position": {"epoch": self.epoch, "batch": self.batch, "order": self.order()},
            "best": self.best,
            "scores": self.scores.state_dict(),
            "bad_pictures": self.train_loader.bad,
            "pictures": self.pictures,
            "random": random.get_state(),
            "schedule": self.schedule.state_dict(),
            "normalize": self.normalize.state_dict(),
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }

    def load_state_dict(self, state, source="the checkpoint"):
        """Continue where the run stood whose state this is. source: its path.

        Raises CheckpointError, and nothing is changed, if a part of it is missing or built otherwise than this
        trainer's, or if it is of another model, of other classes or, within an epoch, of other batches.
        """
        own = self.state_dict()
        for part in missing_parts(state):
            raise unusable(source, part, "it is missing or of another kind")
        for part in CHECKED:
            if not fits(state[part], own[part]):
                raise unusable(source, part, "it is not built like this run's")
        check_values(state, source)
        position = state["position"]
        if position["batch"] > len(self.train_loader):
            raise unusable(source, "position", f"an epoch has {len(self.train_loader)} batches")
        if position["batch"] and position["order"] != self.order():
            raise CheckpointError(
                f"{source} lies within an epoch of other batches ({position['order']}) than now ({self.order()}); "
                "resume with the same pictures, batch size and seed"
            )
        check_model(self.model, state, self.classes, source)
        try:
            for part in LOADED:
                with reading(source, part):
                    getattr(self, part).load_state_dict(state[part])
        except CheckpointError:
            for part in LOADED:
                getattr(self, part).load_state_dict(own[part])
            raise
        self.model.load_state_dict(state["model"])
        random.set_state(state["random"])
        self.train_loader.bad = dict(state["bad_pictures"])
        self.epoch, self.batch, self.best = position["epoch"], position["batch"], state["best"]
        if changed := differences(state["environment"], environment(self.device)):
            say(f"note: the last bits may differ from an uninterrupted run's: {changed}")

    def order(self):
        """What the order of the training pictures depends on."""
        loader = self.train_loader
        return {"pictures": len(loader.dataset), "batch_size": loader.batch_size, "seed": loader.seed}
