"""The networks of the best epochs, as files: to be tested together, or in case the very best one was luck.

The mean of what several of a run's networks say is often right more often than any of them (Huang et al., "Snapshot
ensembles: train 1, get M for free", ICLR 2017): ``--ensemble runs/NAME/checkpoint_epoch*.npz``.
"""

from typing import Any

from ..settings import real, whole
from .callbacks import Callback
from .state import network_of

KEPT = "checkpoint_epoch*.npz"


def kept_name(epoch: int) -> str:
    """Of the file of an epoch."""
    return KEPT.replace("*", str(epoch))


class KeepBest(Callback):
    """A callback of a ``Trainer``: keeps checkpoint_epoch7.npz and its like, of the `count` epochs with the highest
    top-1: that of validation, or, without validation, that of training. Of equal ones, the earlier are kept.

    They are networks like any others to whatever reads checkpoints; a run goes on from its checkpoint_last.npz.
    """

    every_rank = True

    def __init__(self, count: int) -> None:
        self.count = whole("KeepBest", "count", count)
        self.best: list[tuple[float, int]] = []  # (top-1 in %, epoch), the best first

    def on_epoch_end(self, trainer: Any, metrics: dict[str, float]) -> None:
        """Whether it is one of the best; then another one may go."""
        epoch = int(metrics["epoch"])
        top1 = metrics["val_top1" if "val_top1" in metrics else "train_top1"]
        ranked = sorted([*self.best, (top1, epoch)], key=lambda pair: (-pair[0], pair[1]))
        self.best, too_many = ranked[: self.count], ranked[self.count :]
        if (top1, epoch) in self.best:
            trainer.files.save(kept_name(epoch), lambda: network_of(trainer, trainer.model))
        for _, other in too_many:  # after that: there are never too few
            trainer.files.remove(kept_name(other))

    def state_dict(self) -> dict[str, Any]:
        """Which they are."""
        return {"best": [list(pair) for pair in self.best]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there. ValueError or TypeError, and nothing is changed, for anything else."""
        self.best = [(real("KeepBest", "top1", top1), whole("KeepBest", "epoch", n)) for top1, n in state["best"]]
