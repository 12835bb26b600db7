"""The callback that gathers, while a run validates, what its report shows, and writes the report at its end.

Nothing is tested twice: predictions are those of the last validation, and of its pictures those of the surest mistakes
are kept. What is left for the end is a look into the network with a dozen pictures.
"""

from itertools import chain
from typing import Any

import numpy as np

from ..console import say
from ..data import Batch
from ..data.errors import shown
from ..device import to_device
from ..nn.flow import flow
from ..sheet import as_pictures
from ..train.callbacks import Callback
from ..train.environment import environment
from ..train.step import Outcome
from ..types import Array
from .files import save_found, write_report
from .images import stretched
from .look import feature_maps, first_filters, grad_cam

MISTAKES = 12  # that are shown


class Report(Callback):
    """A callback that writes report.npz and report.html into the run's folder, at its end.

    A fault in it is a line on the screen, and the run goes on. Of several ranks, all gather, and rank 0 writes.
    """

    every_rank = True

    def __init__(self) -> None:
        self.is_over = True  # the validation whose predictions these are
        self.epochs = 0  # that this process has trained
        self.predictions: list[tuple[Array, Array, Array]] = []  # labels, guesses, how sure, of each batch
        self.mistakes: list[dict[str, Any]] = []  # the surest come first
        self.example: Array | None = None  # a picture as it enters the normaliser: (1, C, H, W)
        self.fault: str | None = None  # why there will be no report

    def on_batch_end(self, trainer: Any, batch: Batch, outcome: Outcome) -> None:
        """A picture to look at, where there will be none of validation."""
        if self.example is None and len(batch.images):
            self.example = batch.images[:1].copy()

    def on_validation_batch(self, trainer: Any, batch: Batch, log_p: Array) -> None:
        """What the network makes of these pictures; those that it gets wrong."""
        try:
            self._gather(trainer, batch, log_p)
        except Exception as error:  # the run shall go on
            self.fault = self.fault or reason(error)

    def _gather(self, trainer, batch, log_p):
        if self.is_over:
            self.is_over, self.predictions, self.mistakes = False, [], []
        if batch.position == 0:
            self.example = batch.images[:1].copy()
        guesses = log_p.argmax(axis=1)
        sure = np.exp(log_p[np.arange(len(guesses)), guesses]).astype(np.float32)
        self.predictions.append((batch.labels.copy(), guesses, sure))
        least = self.mistakes[-1]["sure"] if len(self.mistakes) == MISTAKES else -1.0
        for i in np.flatnonzero((guesses != batch.labels) & (sure > least)):
            mistake = {"sure": float(sure[i]), "label": int(batch.labels[i]), "guess": int(guesses[i])}
            name = shown(trainer.val_loader.name(batch.indices[i]))
            self.mistakes.append({**mistake, "name": name, "image": batch.images[i].copy()})
        self.mistakes = surest(self.mistakes)

    def on_epoch_end(self, trainer: Any, metrics: dict[str, float]) -> None:
        """The next batch of validation will begin another one."""
        self.is_over, self.epochs = True, self.epochs + 1

    def on_fit_end(self, trainer: Any) -> None:
        """The report, unless there was nothing to do."""
        if not self.epochs:
            return
        of_ranks = trainer.world.gather_values((self.predictions, self.mistakes, self.fault))
        if trainer.world.is_main:
            all_predictions, all_mistakes, faults = zip(*of_ranks, strict=True)
            fault = next(filter(None, faults), None) or self._write(trainer, all_predictions, all_mistakes)
            if fault:
                say(f"note: there is no report.html: {fault}")

    def _write(self, trainer, predictions, mistakes):
        """Both files, of what all ranks have gathered. Returns why not, if so: the run itself is whole."""
        try:
            found = gathered(trainer, [*chain(*predictions)], surest([*chain(*mistakes)]), self.example)
            save_found(trainer.folder, found)
            write_report(trainer.folder, found)
        except Exception as error:
            return reason(error)
        return None


def surest(mistakes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those that are to be shown; of equally sure ones, by their names."""
    return sorted(mistakes, key=lambda mistake: (-mistake["sure"], mistake["name"]))[:MISTAKES]


def gathered(trainer: Any, predictions: list, mistakes: list[dict[str, Any]], example: Array | None) -> dict[str, Any]:
    """All that the page shows beside log.csv: plain values and arrays, for ``save_checkpoint``. A part that cannot be
    made is None, and {part: why} stands in "trouble"."""
    model, trouble = trainer.model, {}

    def attempt(part, make):
        try:
            return make()
        except Exception as error:
            trouble[part] = reason(error)
            return None

    def ready(images):
        return trainer.normalize(to_device(images, trainer.device))

    found = {
        "settings": trainer.settings,
        "classes": trainer.classes,
        "environment": environment(trainer.device),
        "best": trainer.best,
        "parameters": sum(parameter.size for parameter in model.parameters()),
        "filters": attempt("filters", lambda: list(first_filters(model.state_dict()) or ()) or None),
        "predictions": [np.concatenate(each) for each in zip(*predictions, strict=True)] or None,
        "mistakes": attempt("mistakes", lambda: _shown_mistakes(mistakes)),
        "heat": attempt("heat", lambda: _heat(model, mistakes, ready)) if mistakes else None,
        "example": None if example is None else as_pictures(_one_view(example)),
        "maps": attempt("maps", lambda: _maps(model, ready(_one_view(example)))),
        "steps": attempt("steps", lambda: [list(step) for step in flow(model, ready(_one_view(example)))]),
        "trouble": trouble,
    }
    return found


def reason(error: Exception) -> str:
    """An error as part of a line."""
    return f"{type(error).__name__}: {error}".partition("\n")[0]


def _one_view(images):
    return images[:, 0] if images.ndim == 5 else images


def _shown_mistakes(mistakes):
    pictures = [as_pictures(_one_view(mistake["image"][None])) for mistake in mistakes]
    return [
        {**mistake, "image": None if picture is None else picture[0]}
        for mistake, picture in zip(mistakes, pictures, strict=True)
    ]


def _heat(model, mistakes, ready):
    """[name of the module, uint8 (N, h, w)]"""
    images = _one_view(np.stack([mistake["image"] for mistake in mistakes]))
    name, heat = grad_cam(model, ready(images), [mistake["guess"] for mistake in mistakes])
    return [name, np.rint(255 * heat).astype(np.uint8)]


def _maps(model, image):
    return [[name, np.stack([stretched(each) for each in maps])] for name, maps in feature_maps(model, image)]
