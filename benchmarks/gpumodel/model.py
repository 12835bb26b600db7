"""From launches to seconds: each takes as long as the resource that it needs longest, of a GPU that is wholly busy.

    global memory   bytes of its arrays, each read or written once, / (published bandwidth x MEMORY)
    second cache    the sectors that its warps ask for, wasted ones too, / L2 bytes a cycle and multiprocessor
    L1 and shared   wavefronts and lines of 128 bytes, one a cycle and multiprocessor
    issue           instructions of the main loop, over all its rounds, four a cycle and multiprocessor
    arithmetic      multiply-adds and other operations in float32 / peak
    tensor cores    multiply-adds / (peak x TENSOR)

All but the first and the last are those of the multiprocessor with most thread blocks: 133 blocks on 132 take two
rounds. Nothing is added for latency, barriers, the fill and drain of pipelines; nothing is taken away for what the
second cache keeps from one kernel to the next.
"""

from typing import Any, NamedTuple

from minicnn.kernels.cuda.profiler.peaks import GPU, SCHEDULERS
from minicnn.kernels.cuda.profiler.profiles import SECTOR, WARP

from .launches import Launch, Step
from .work import kind, multiply_adds

MEMORY = 0.85  # of the published bandwidth that a copy reaches: 4.3 of 4.8 TB/s measured on an H200, and losses
TENSOR = {90: 0.63}  # of the peak that mma.sync reaches on Hopper (arXiv 2501.12084); others: all of it
HMMA = 2048  # multiply-adds of an instruction of tensor cores on 16-bit numbers: 16 x 8 x 16
L2 = (
    5120 / 108
)  # bytes a cycle of a multiprocessor (NVIDIA A100 architecture whitepaper: 5,120 of 108); others: as many
RESOURCES = "global memory", "second cache", "L1 and shared memory", "issue", "arithmetic", "tensor cores"


class Cost(NamedTuple):
    """What one launch takes."""

    kind: str
    bytes: float  # of global memory
    multiply_adds: int
    seconds: dict[str, float]  # {resource: the least time}

    @property
    def bound(self) -> str:
        """The resource that it needs longest."""
        return max(self.seconds, key=self.seconds.__getitem__)

    @property
    def time(self) -> float:
        """Seconds."""
        return max(self.seconds.values())


def cost(launch: Launch, counts: dict[str, Any] | None, on: GPU) -> Cost:
    """What a launch takes. counts: its kernel's row of kernels.json, or None, where nothing is known but its arrays."""
    products, moved = multiply_adds(launch), _moved(launch, counts)
    through = on.bandwidth * 1e9 * MEMORY
    if counts is None:
        return Cost(kind(launch), sum(moved), products, {"global memory": sum(moved) / through})
    seconds = {"global memory": sum(moved) / through}
    clock = on.clock * 1e9 * on.multiprocessors / _rounds(launch, on)  # cycles of all multiprocessors in a second
    each, times = _times(counts, products, sum(moved))
    seconds["second cache"] = times * each["sectors"] * SECTOR / (L2 * clock)
    seconds["L1 and shared memory"] = times * each["turns"] / clock
    loop = counts["sass"].get(str(_known(on)), {}).get("loop", {})
    if not products:
        arithmetic = times * (counts["warp_fmas"] + counts["warp_others"])
        counted, accesses = times * counts["requests"] + arithmetic, times * counts["global_requests"]
        seconds["issue"] = max(counted, _instructions(loop, ("LDG", "STG"), accesses)) / (SCHEDULERS * clock)
        seconds["arithmetic"] = arithmetic * WARP / (on.lanes * clock)
    elif counts["tensor"]:
        seconds["issue"] = _instructions(loop, ("tensor",), products / HMMA) / (SCHEDULERS * clock)
        seconds["tensor cores"] = products / _peak(on) * _rounds(launch, on)
    else:
        seconds["issue"] = _instructions(loop, ("FFMA",), products / WARP) / (SCHEDULERS * clock)
        seconds["arithmetic"] = products / (on.lanes * clock)
    return Cost(kind(launch), sum(moved), products, seconds)


def predict(step: Step, kernels: dict[str, Any], on: GPU) -> list[Cost]:
    """The cost of each launch of a step."""
    return [cost(launch, kernels.get(launch.name), on) for launch in step.launches]


def _moved(launch, counts):
    """(bytes read, bytes written): an array that a kernel reads or writes at all, wholly and once."""
    read = written = 0
    for name, (size, is_written) in launch.arrays.items():
        like = f"reaches[{int(name[8:-1]) % 3}]" if name.startswith("reaches[") else name  # weights, gradient, velocity
        seen = (counts or {"arrays": {}})["arrays"].get(like, (0, 0, 0))
        reads, writes = seen[:2] if any(seen[:2]) else (not is_written, is_written)
        read, written = read + size * bool(reads), written + size * bool(writes)
    return read, written


def _times(counts, products, moved):
    """(counts, how many times them a launch takes): those of a multiply-add, if it multiplies tiles, or of a run."""
    if not products:
        return counts, moved / max(1, sum(sum(seen[:2]) for seen in counts["arrays"].values()) * SECTOR)
    if "loop" in counts:
        return counts["loop"], products
    return counts, products / max(1, counts["tensor"] or counts["fmas"])


def _instructions(loop, names, needed):
    """Of a main loop that is run until `needed` of those named were executed; 0 if it has none, or is not known."""
    each = sum(loop.get(name, 0) for name in names)
    return needed * sum(loop.values()) / each if each else 0


def _peak(on):
    """Multiply-adds of tensor cores in a second."""
    return on.tensor * 1e12 / 2 * TENSOR.get(on.capability, 1.0)


def _rounds(launch, on):
    """How much longer it takes than if its thread blocks could be shared out evenly."""
    if not launch.blocks:
        return 1.0
    fullest = -(-launch.blocks // on.multiprocessors)
    return fullest * on.multiprocessors / launch.blocks


def _known(on):
    """The architecture in kernels.json whose machine code stands for this GPU's."""
    return max((sm for sm in (75, 80, 90) if sm <= on.capability), default=75)
