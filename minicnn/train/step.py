"""How a batch becomes a step: in which parts it is worked on, and what comes of it.

a batch of 128, one process                 all of it at once
--accumulate 4                              4 x 32 rows, one after the other: a quarter of the memory
mpiexec -n 2                                64 rows on each of two ranks
mpiexec -n 2, --accumulate 4                4 x 16 rows on each
--shards 4, on 1, 2 or 4 ranks              4 x 32 rows, of which a rank has its share: the same bits on all three;
                                            each has one thread, or as many as MINICNN_THREADS says
"""

from typing import NamedTuple

import numpy as np

from ..data import Batch
from ..device import current_tier
from ..errors import SettingError
from ..nn import Module
from ..nn.split import is_split
from ..optim import Optimizer
from ..precision import current_precision


class Steps(NamedTuple):
    """The settings of a ``Trainer``'s steps."""

    accumulate: int = 1  # parts in which a rank works on its rows, one after the other
    shards: int | None = None  # a power of two: the parts of every batch, on however many ranks (distributed/sums.py)
    send: str = "float32"  # or "bfloat16": gradients on their way between GPUs
    timeout: float = 0.0  # seconds that a step may take before the job ends; 0: any time
    clip_grad_norm: float | None = None  # the most that the norm of all gradients together may be

    def parts(self, ranks: int) -> int:
        """In how many parts each of so many ranks works on its rows."""
        return self.accumulate if self.shards is None else self.shards // ranks


ALL_AT_ONCE = Steps()


class Outcome(NamedTuple):
    """What came of a step, over all ranks."""

    pictures: int
    total: float  # the mean loss, with auxiliary heads: what was minimised
    loss: float  # the same without them
    top1: float  # how many pictures were classified right
    top5: float
    stop: float  # how many ranks were asked to stop

    def sums(self) -> np.ndarray:
        """As ``Scores.sums`` has them."""
        return np.array([self.loss * self.pictures, 100 * self.top1, 100 * self.top5, self.pictures], np.float64)


def check_steps(steps: Steps, batch_size: int, ranks: int, device: str) -> None:
    """SettingError unless a batch of so many rows can be worked on like this by so many ranks, on that device."""
    if ranks > batch_size:
        what = f"a batch of {batch_size} cannot be shared out to {ranks} ranks"
        raise SettingError(f"{what}; start fewer, or choose a larger --batch-size, which is that of all ranks together")
    if steps.send != "float32" and device == "cpu":
        what = f"--send {steps.send} is for gradients that go from GPU to GPU"
        raise SettingError(f"{what}, and this network is on the processor; leave it out, or choose --device cuda")
    if steps.shards is None:
        return
    if steps.send != "float32":
        raise SettingError(f"--shards keeps every bit of the sums, --send {steps.send} does not; leave one out")
    if steps.accumulate > 1:
        raise SettingError("--shards and --accumulate both say in which parts a batch is worked on; leave one out")
    if steps.shards & (steps.shards - 1):
        raise SettingError(f"--shards must be a power of two, not {steps.shards}")
    if steps.shards % ranks:
        what = f"--shards {steps.shards} cannot be shared out to {ranks} ranks"
        raise SettingError(f"{what}; start 1, 2, 4, ... ranks, or choose as many shards at least")
    if steps.shards > batch_size:
        raise SettingError(f"--shards {steps.shards} cannot be made of a batch of {batch_size}; choose fewer")


def check_graph(graph: bool, steps: Steps, ranks: int, device: str, optimizer: Optimizer | None = None) -> None:
    """SettingError where a step that is worked on like this, of this optimiser, cannot be captured as a CUDA graph."""
    if not graph:
        return
    by, replayed = type(optimizer).__name__, optimizer is None or optimizer.replayed
    reasons = {
        "it is the GPU's work that is captured: choose --device cuda": device != "cuda",
        "kernels in CUDA C++ are captured, Numba's are not: choose --tier fast": current_tier() != "fast",
        "a graph is captured in one process; start one": ranks > 1,
        "a graph is of a batch as a whole; leave --accumulate and --shards out": steps.parts(1) > 1 or steps.shards,
        "clipped gradients come between two launches; leave --clip-grad-norm out": steps.clip_grad_norm is not None,
        f"a step of {by} is more than launches; take SGD, Adam or AdamW": not replayed,
    }
    for reason, holds in reasons.items():
        if holds:
            raise SettingError(f"--cuda-graph (graph=True): {reason}")


def check_precision(device: str, tier: str) -> None:
    """SettingError where the present precision is one that only a GPU's fast kernels have."""
    name = current_precision()
    if name in ("tf32", "float16") and (device, tier) != ("cuda", "fast"):
        what = f"--precision {name} rounds factors of products on device 'cuda', tier 'fast'"
        raise SettingError(
            f"{what}; this is {device!r}, tier {tier!r}: leave it out, or choose bfloat16, which every device has"
        )


def check_whole(model: Module) -> None:
    """ValueError unless every rank has the whole network: rank 0 writes what it has itself, and each tests batches of
    its own."""
    if is_split(model):
        what = "Trainer: each rank has a part of the network, and rank 0 would write its own part alone"
        raise ValueError(f"{what}; train it in a loop of your own (docs/scale.md)")


def parts_of(batch: Batch, steps: Steps) -> list[Batch]:
    """The parts in which this rank works on its rows of a batch, one after the other. Some may be empty."""
    _, ranks = batch.part
    return batch.cut(steps.parts(ranks))
