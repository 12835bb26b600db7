"""The model's figures of a step: as JSON, and as the table that is printed."""

from collections import Counter
from typing import Any

from minicnn.kernels.cuda.profiler.peaks import GPU

from .launches import Step
from .model import predict
from .work import KINDS

CASES = ("alexnet", 128), ("resnet50", 256)
PRECISIONS = "float32", "bfloat16"
GPUS = "H100", "A100", "T4"


def summary(step: Step, kernels: dict[str, Any], on: GPU) -> dict[str, Any]:
    """What is predicted of a step: launches, bytes, multiply-adds, milliseconds; by kinds of kernels, too."""
    kinds: dict[str, dict[str, Any]] = {}
    for cost in predict(step, kernels, on):
        row = kinds.setdefault(
            cost.kind,
            {"launches": 0, "gigabytes": 0.0, "tera_multiply_adds": 0.0, "milliseconds": 0.0, "bounds": Counter()},
        )
        row["launches"] += 1
        row["gigabytes"] += cost.bytes / 1e9
        row["tera_multiply_adds"] += cost.multiply_adds / 1e12
        row["milliseconds"] += 1e3 * cost.time
        row["bounds"][cost.bound] += 1e3 * cost.time
    digits = {"gigabytes": 2, "tera_multiply_adds": 4, "milliseconds": 3}
    for row in kinds.values():
        row.update({name: round(row[name], n) for name, n in digits.items()})
        row["bounds"] = {bound: round(ms, 3) for bound, ms in row["bounds"].most_common() if ms >= 0.0005}
    total = {name: sum(row[name] for row in kinds.values()) for name in ("launches", *digits)}
    total.update({name: round(total[name], n) for name, n in digits.items()})
    return {
        "network": step.network, "batch": step.batch, "precision": step.precision, "gpu": on.name, **total,
        "kinds": {kind: kinds[kind] for kind in KINDS if kind in kinds},
    }  # fmt: skip


def name(found: dict[str, Any]) -> str:
    """By which a summary is known in the results."""
    return f"{found['network']} {found['precision']} {found['gpu']}"


def printed(found: dict[str, Any], host: float | None) -> str:
    """A summary as text. host: milliseconds that Python takes to launch the step, where it was measured."""
    head = f"{'PREDICTED, not measured':26} {'launches':>8} {'GB':>8} {'TFLOP':>8} {'ms':>9}  bound by"
    title = f"{found['network']}, batch {found['batch']}, {found['precision']}: one training step on {found['gpu']}"
    rows = [
        _row(kind, row, ", ".join(f"{b} {ms:.2f}" for b, ms in row["bounds"].items()))
        for kind, row in found["kinds"].items()
    ]
    step = max(found["milliseconds"], host or 0.0)
    rate = 1e3 * found["batch"] / found["milliseconds"]
    ends = [_row("all", found, "")]
    ends.append(f"as a CUDA graph: {found['milliseconds']:.1f} ms, {rate:.0f} pictures a second")
    if host is not None:
        who = "the host" if host > found["milliseconds"] else "the GPU"
        ends.append(
            f"launched one by one: {step:.1f} ms; {who} is slower (the host takes {host:.1f} ms for the launches)"
        )
    return "\n".join([title, head, *rows, *ends])


def _row(kind, row, bounds):
    flop = 2 * row["tera_multiply_adds"]
    return f"{kind:26} {row['launches']:8} {row['gigabytes']:8.2f} {flop:8.3f} {row['milliseconds']:9.2f}  {bounds}"
