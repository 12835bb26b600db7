"""The results as tables of Markdown, as docs/scale.md has them."""

from collections.abc import Iterable
from typing import Any

from .results import GPUS, MACHINES, MANY, WAYS

SHOWN = 2, 4, 8, 16, 64, 256, 1024  # of MACHINES


def tables(results: dict[str, Any]) -> list[str]:
    return [make(results) for make in (beside_published, by_gpus, by_network, processors, sums)]


def fitted(results: dict[str, Any]) -> str:
    """The sentence about the two fitted numbers."""
    found = results["fitted"]
    low, high = (f"{100 * jitter:.1f}" for jitter in found["jitter_if_rounded"])
    jitter = f"{100 * found['jitter']:.1f} % of jitter ({low} to {high} %, as the published hours are rounded)"
    return f"Fitted: {found['seconds']:.3f} s for a step on one GPU, and {jitter}."


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    header = list(header)
    lines = ["| " + " | ".join(row) + " |" for row in (header, *rows)]
    return "\n".join([lines[0].replace("|  |", "| |"), "|" + "---|" * len(header), *lines[1:]])


def percent(value: float) -> str:
    return f"{100 * value:.0f} %"


def percents(found: dict[str, list[float]], i: int) -> str:
    """With jitter, and in brackets without."""
    return f"{100 * found['model'][i]:.0f} ({100 * found['without_jitter'][i]:.0f}) %"


def numbers(gpus: Iterable[int]) -> list[str]:
    return [f"{n:,}" for n in gpus]


def beside_published(results: dict[str, Any]) -> str:
    header = ["", "GPUs", "published", "model", "without jitter", "without jitter and overlap"]
    goyal, rows = results["goyal"], []
    for gpus, value in goyal["published"].items():
        model = [f"{goyal[way][goyal['gpus'].index(int(gpus))]:.3f} s" for way in WAYS]
        model[0] += " (fitted)" if gpus in ("8", "256") else ""
        rows.append(["Goyal: ResNet-50, a step", gpus, f"{value:.3f} s", *model])
    for case in results["published"]:
        for i, (gpus, value) in enumerate(case["published"].items()):
            model = [percent(case["at_published"][way][i]) for way in WAYS]
            rows.append([case["label"], f"{int(gpus):,}", percent(value), *model])
    return table(header, rows)


def by_gpus(results: dict[str, Any]) -> str:
    rows = [[label, *(percents(found, i) for i in range(len(GPUS)))] for label, found in results["today"].items()]
    return table(["A100s, efficiency on GPUs", *numbers(GPUS)], rows)


def by_network(results: dict[str, Any]) -> str:
    found = results["networks"]
    rows = [[name, *(percents(column, 0) for column in columns.values())] for name, columns in found.items()]
    return table([f"{MANY} A100s, a machine has", *next(iter(found.values()))], rows)


def processors(results: dict[str, Any]) -> str:
    places = [MACHINES.index(n) for n in SHOWN]
    rows = [[name, *(percents(found, i) for i in places)] for name, found in results["processors"].items()]
    return table(["AlexNet, efficiency on machines", *numbers(SHOWN)], rows)


def sums(results: dict[str, Any]) -> str:
    found = results["sum_of_a_bucket"]
    rows = [[name, *(f"{1000 * value:.2f} ms" for value in values)] for name, values in found.items()]
    return table(["a bucket of 25 MiB, GPUs", *numbers(GPUS)], rows)
