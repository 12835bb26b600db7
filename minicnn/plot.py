"""Pictures of a run: the curves of its log, the filters it has learnt, and the pictures it has learnt from.

Each is a PNG, written to a path or to a file that is open for writing bytes.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np

from .runlog import LogError, read_log
from .sheet import sheet
from .types import Array

File: TypeAlias = str | Path | BinaryIO

LOSS_COLUMNS, TOP1_COLUMNS = ("train_loss", "val_loss"), ("train_top1", "val_top1")


def save_curves(log_csv: str | Path, path: File) -> None:
    """Loss, top-1 accuracy and learning rate over the epochs of a log.csv, with the best epoch marked, as a PNG."""
    log = _Log(log_csv, ("lr", *LOSS_COLUMNS, *TOP1_COLUMNS))
    canvas, panels = _panels(("loss (nats)", "top-1 accuracy (%)", "learning rate"))
    best = {"loss": "best epoch: {}, {:.3f}", "top1": "best epoch: {}, {:.2f} %"}
    for axes, quantity in zip(panels, best, strict=False):
        for split, name in (("train", "training"), ("val", "validation")):
            log.draw(axes, f"{split}_{quantity}", name)
        log.ring_best(axes, quantity, best[quantity])
        axes.legend()
    log.draw(panels[2], "lr", "learning rate")
    if all(float(row["lr"]) > 0 for row in log.rows):
        panels[2].set_yscale("log")
    _print(canvas, path)


def save_comparison(logs: Mapping[str, str | Path], path: File) -> None:
    """Top-1 accuracy in training and in validation over the epochs of several runs, {name: log.csv}, each with its best
    epoch marked, as a PNG."""
    canvas, panels = _panels(("training top-1 (%)", "validation top-1 (%)"))
    for name, log_csv in logs.items():
        log = _Log(log_csv, TOP1_COLUMNS)
        for axes, split in zip(panels, ("train", "val"), strict=True):
            log.draw(axes, f"{split}_top1", name)
        log.ring_best(panels[1] if log.watched == "val" else panels[0], "top1")
    panels[0].legend()
    panels[1].set_title("ring: a run's best epoch", fontsize="small", loc="right")
    _print(canvas, path)


class _Log:
    """The rows of a log.csv; LogError if it has no epoch, or not these columns."""

    def __init__(self, path, columns):
        self.rows = read_log(path, ("epoch", *columns))
        if not self.rows:
            raise LogError(f"{path} has no epoch yet; wait until the first one is over")
        self.watched = "val" if any(row["val_top1"] for row in self.rows) else "train"  # by what checkpoint_best goes
        top1 = {int(row["epoch"]): float(row[f"{self.watched}_top1"] or "-inf") for row in self.rows}
        self.best = max(top1, key=top1.__getitem__)  # the first of equal ones

    def draw(self, axes, column, name):
        points = [(int(row["epoch"]), float(row[column])) for row in self.rows if row[column]]
        if points:
            axes.plot(*zip(*points, strict=True), marker=".", label=name)
            axes.set_xlim(left=0)

    def ring_best(self, axes, quantity, label=None):
        """A ring around the best epoch's point on the curve that was drawn last, of `quantity`.

        label: for the legend, with {} for the epoch and {} for the value.
        """
        value = next(row[f"{self.watched}_{quantity}"] for row in self.rows if int(row["epoch"]) == self.best)
        if value:
            said = label and label.format(self.best, float(value))
            style = {"facecolors": "none", "edgecolors": axes.lines[-1].get_color(), "linewidths": 2, "zorder": 3}
            axes.scatter([self.best], [float(value)], s=100, label=said, **style)


def _print(canvas, file):
    canvas.print_png(file if hasattr(file, "write") else str(file))


def _panels(labels):
    """A canvas, and axes over the epochs side by side, one for each label of a y axis."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # slow to import, and only needed here
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(12, 3.6), layout="constrained")
    panels = figure.subplots(1, len(labels))
    for axes, label in zip(panels, labels, strict=True):
        axes.set_xlabel("epoch")
        axes.set_ylabel(label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
    return FigureCanvasAgg(figure), panels


def save_filters(weight: Any, path: File, zoom: int = 6, labels: Iterable[str] | None = None, title: str = "") -> None:
    """The filters (OC, C, KH, KW) of a convolution, side by side, as a PNG of `zoom` pixels per weight.

    Each is stretched to the full range of brightness on its own. Three channels are red, green and blue (as the first
    layer sees them); of any other number the mean over the channels is shown in grey. labels, title: see save_pictures.
    """
    filters = np.asarray(weight)
    if filters.ndim != 4 or filters.dtype.kind not in "iuf" or not filters.size:
        what = f"got {filters.dtype} {filters.shape}"
        raise ValueError(f"save_filters: weight must be numbers (OC, C, KH, KW), as a convolution's are; {what}")
    if filters.shape[1] != 3:
        filters = np.repeat(filters.mean(axis=1, keepdims=True), 3, axis=1)
    low, high = (bound(filters, axis=(1, 2, 3), keepdims=True) for bound in (np.min, np.max))
    pixels = np.rint(255 * (filters - low) / np.maximum(high - low, 1e-12)).astype(np.uint8)
    save_pictures(pixels, path, zoom, labels, title)


def save_pictures(
    pictures: Array, path: File, zoom: int = 1, labels: Iterable[str] | None = None, title: str = ""
) -> None:
    """Pictures of one size, uint8 (N, 3, H, W), in a grid as a PNG of `zoom` x `zoom` pixels for each of theirs.

    labels: what stands beneath each of them, shortened to its width; title: what stands above all.
    """
    sheet(pictures, zoom, labels, title).save(path, format="PNG")
