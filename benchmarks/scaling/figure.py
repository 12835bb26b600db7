"""The results as a figure: lines are the model's, rings what was published."""

import json
from pathlib import Path
from typing import Any

from .results import GPUS, MACHINES

WAYS = {"model": "model", "without_jitter": "without jitter", "without_overlap": "without jitter and overlap"}

# Colours of Okabe and Ito, "Color Universal Design", 2008, which people who are colour-blind can tell apart. Each has a
# line and a marker of its own, so that the figure can be read in grey, too.
STYLES = (
    ("#000000", "-", "o"), ("#0072B2", "--", "s"), ("#D55E00", "-.", "^"), ("#009E73", ":", "D"),
    ("#CC79A7", (0, (6, 1, 1, 1, 1, 1)), "v"),
)  # fmt: skip


def draw(results: dict[str, Any], path: Path) -> None:
    """A PNG, in whose text "Description" the results are, too."""
    from matplotlib.figure import Figure  # slow to import, and only needed here

    figure = Figure(figsize=(10, 11.5), layout="constrained")
    panels = goyal, horovod, chainer, today, processors, sums
    for axes, panel in zip(figure.subplots(3, 2).flat, panels, strict=True):
        place = (0.3, 0.42) if panel is today else "best"  # where no line is
        panel(axes, results)
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter("{x:.0f}")
        axes.title.set_fontsize("medium")
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(loc=place, fontsize="small", framealpha=0.9, edgecolor="none", handlelength=3.5)
    figure.savefig(path, dpi=120, metadata={"Description": json.dumps(results)})


def goyal(axes: Any, results: dict[str, Any]) -> None:
    found, published = results["goyal"], results["goyal"]["published"]
    for number, (way, label) in enumerate(WAYS.items()):
        line(axes, found["gpus"], found[way], number, label)
    rings(axes, published, list(published.values()), 0, "published (8 and 256: fitted)")
    axes.set_title("ResNet-50, Goyal et al.: P100, 50 Gb/s for 8 GPUs")
    axes.set(xlabel="GPUs", ylabel="seconds of a step", ylim=(0.2, 0.3))


def horovod(axes: Any, results: dict[str, Any]) -> None:
    for number, case in enumerate(case for case in results["published"] if case["label"].startswith("Horovod")):
        name, published = case["label"].removeprefix("Horovod: "), case["published"]
        line(axes, GPUS, shares(case["curve"]["model"]), number, name)
        rings(axes, published, shares(published.values()), number, f"{name}, published")
    axes.set_title("Horovod: Pascal, 25 Gb/s for 4 GPUs")
    efficiency(axes, "GPUs", 40)


def chainer(axes: Any, results: dict[str, Any]) -> None:
    (case,) = (case for case in results["published"] if case["label"].startswith("Chainer"))
    for number, way in enumerate(("model", "without_jitter")):
        line(axes, GPUS, shares(case["curve"][way]), number, WAYS[way])
    rings(axes, case["published"], shares(case["published"].values()), 0, "published")
    axes.set_title("ResNet-50, Chainer: P100, 2 x 56 Gb/s for 8 GPUs")
    efficiency(axes, "GPUs", 40)


def today(axes: Any, results: dict[str, Any]) -> None:
    for number, (label, found) in enumerate(results["today"].items()):
        line(axes, GPUS, shares(found["model"]), number, label)
    axes.set_title("A100, batch 256 and 128 (no published points)")
    efficiency(axes, "GPUs", 0)


def processors(axes: Any, results: dict[str, Any]) -> None:
    for number, (name, found) in enumerate(results["processors"].items()):
        line(axes, MACHINES, shares(found["model"]), number, name)
    axes.set_title("AlexNet on machines without GPU (no published points)")
    efficiency(axes, "machines", 40)


def sums(axes: Any, results: dict[str, Any]) -> None:
    for number, (name, values) in enumerate(results["sum_of_a_bucket"].items()):
        line(axes, GPUS, [1000 * value for value in values], number, name)
    axes.set_title("the sum of a bucket of 25 MiB, A100, HDR")
    axes.set(xlabel="GPUs", ylabel="milliseconds", ylim=(0, None))


def line(axes: Any, x: Any, y: Any, number: int, label: str) -> None:
    color, dashes, _ = STYLES[number]
    axes.plot(x, y, color=color, linestyle=dashes, label=label)


def rings(axes: Any, x: Any, y: Any, number: int, label: str) -> None:
    color, _, marker = STYLES[number]
    look = {"facecolors": "none", "edgecolors": color, "linewidths": 1.5, "zorder": 3}
    axes.scatter([int(n) for n in x], y, s=50, marker=marker, label=label, **look)


def shares(values: Any) -> list[float]:
    return [100 * value for value in values]


def efficiency(axes: Any, of_what: str, least: float) -> None:
    axes.set(xlabel=of_what, ylabel="efficiency (%)", ylim=(least, 102))
