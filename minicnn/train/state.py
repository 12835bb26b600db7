"""The state of a run: everything that the rest of it depends on, and how a trainer goes on from it."""

from pathlib import Path
from typing import Any

from .. import random
from ..console import say
from ..data import DataLoader
from ..nn import Module
from .environment import differences, environment
from .restore import add_parts, check_run, load_together

LOADED = ("optimizer", "schedule", "warmup", "normalize", "scores", "callbacks")  # by methods of their own


def state_of(trainer: Any) -> dict[str, Any]:
    """What a checkpoint holds of this ``Trainer``; no times, so that it repeats."""
    position = {"epoch": trainer.epoch, "batch": trainer.batch, "order": order_of(trainer.train_loader)}
    return {
        "settings": trainer.settings,
        "classes": trainer.classes,
        "environment": environment(trainer.device),
        "position": position,
        "best": trainer.best,
        "scores": trainer.scores.state_dict(),
        "bad_pictures": trainer.train_loader.bad,
        "pictures": trainer.pictures,
        "random": random.get_state(),
        "schedule": trainer.schedule.state_dict(),
        "warmup": trainer.warmup.state_dict(),
        "normalize": trainer.normalize.state_dict(),
        "model": trainer.model.state_dict(),
        "optimizer": trainer.optimizer.state_dict(),
        "callbacks": trainer.callbacks.state_dict(),
    }


def network_of(trainer: Any, model: Module) -> dict[str, Any]:
    """The same for `model`, a network beside the run: it is tested and used as any checkpoint, and no run goes on from
    it."""
    return {**state_of(trainer), "model": model.state_dict(), "optimizer": {}, "callbacks": {}}


def go_on(trainer: Any, state: dict[str, Any], source: Path | str) -> None:
    """Let the trainer continue where the run stood whose state this is; CheckpointError, and nothing is changed, if it
    cannot. source: the checkpoint's path."""
    add_parts(state)
    own = state_of(trainer)  # to compare with, and to go back to
    check_run(state, own, trainer.model, len(trainer.train_loader), source)
    load_together({part: getattr(trainer, part) for part in LOADED}, state, own, source)
    trainer.model.load_state_dict(state["model"])  # it fits: check_run has compared it
    random.set_state(state["random"])
    trainer.train_loader.bad = dict(state["bad_pictures"])
    trainer.epoch, trainer.batch, trainer.best = state["position"]["epoch"], state["position"]["batch"], state["best"]
    if changed := differences(state["environment"], own["environment"]):
        say(f"note: the last bits may differ from an uninterrupted run's: {changed}")


def order_of(loader: DataLoader) -> dict[str, int]:
    """What the order of the training pictures depends on."""
    of_loader = {name: getattr(loader, name) for name in ("batch_size", "seed", "repeats")}
    return {"pictures": len(loader.dataset), **of_loader}
