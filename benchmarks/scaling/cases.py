"""Which network on which cluster, beside what was published about it; and the two numbers that are fitted.

Goyal et al. tell how long 90 epochs took on 8 GPUs and on 256. Two numbers are chosen so that the model says so, too:
the seconds of a step on a single GPU, which they do not tell, and the jitter of that time from step to step and from
machine to machine. The jitter is then used for all clusters. It is one of machines: the GPUs of one share what disturbs
them, and hardly wait for one another (TensorFlow's ResNet-50: 1,734 pictures/s on 8 GPUs, 99 % of 8 times the 219 on
one).
"""

import functools
import json
import statistics
from pathlib import Path
from typing import NamedTuple

from . import sources
from .collectives import Cluster, Link
from .networks import layers
from .step import How, Work, efficiency, step_seconds

CPU_RESULTS = Path(__file__).parents[1] / "results" / "cpu" / "libraries"  # not measured anew with every kernel


class Case(NamedTuple):
    """published: {GPUs: efficiency}."""

    label: str
    work: Work
    cluster: Cluster
    how: How
    published: dict[int, float]

    def seconds(self, gpus: int, **changes) -> float:
        """Of a step. changes: of `how`."""
        return step_seconds(self.work, self.cluster, gpus, self.how._replace(**changes))

    def efficiency(self, gpus: int, **changes) -> float:
        return efficiency(self.work, self.cluster, gpus, self.how._replace(**changes))


def goyal_work(seconds: float) -> Work:
    return Work(layers("resnet50"), seconds, sources.GOYAL_BACKWARD)


def fit(hours: dict[int, float]) -> tuple[float, float]:
    """(seconds of a step on one GPU, jitter) with which the model takes as long as was published for 8 and 256 GPUs."""
    (few, seconds), (many, seconds_of_many) = ((n, sources.goyal_seconds(n, h)) for n, h in sorted(hours.items()))

    def step(single, gpus, jitter):
        how = sources.HOW["goyal"]._replace(jitter=jitter)
        return step_seconds(goyal_work(single), sources.BIG_BASIN, gpus, how)

    # In one machine there is no jitter, and what its sums add depends on backward alone, whose seconds are known.
    single = seconds - (step(1.0, few, 0.0) - 1.0)
    low, high = 0.0, 0.5
    for _ in range(50):  # the more jitter, the longer a step
        middle = (low + high) / 2
        low, high = (middle, high) if step(single, many, middle) < seconds_of_many else (low, middle)
    return single, low


@functools.cache
def fitted() -> tuple[float, float]:
    return fit(sources.GOYAL_HOURS)


def goyal() -> Case:
    seconds, jitter = fitted()
    how = sources.HOW["goyal"]._replace(jitter=jitter)
    return Case("Goyal: ResNet-50", goyal_work(seconds), sources.BIG_BASIN, how, {})


def published() -> list[Case]:
    """All whose efficiency was published."""
    chainer = sources.CHAINER_SECONDS / sources.CHAINER_STEPS * sources.PUBLISHED["chainer"][1024]
    return [
        _of_speed("Horovod: ResNet-101", "horovod resnet101", sources.HOROVODS),
        _of_speed("Horovod: Inception V3", "horovod inception_v3", sources.HOROVODS),
        _of_speed("Horovod: VGG-16", "horovod vgg16", sources.HOROVODS),
        _case("Chainer: ResNet-50", "chainer", Work.of(layers("resnet50"), chainer), sources.MN_1),
        _of_speed("TensorFlow: VGG-16", "tensorflow vgg16", sources.DGX_1),
        _of_speed("TensorFlow: AlexNet", "tensorflow alexnet", sources.DGX_1),
        _of_speed("NVIDIA: ResNet-50, TF32", "nvidia tf32", sources.DGX_A100),
        _of_speed("NVIDIA: ResNet-50, mixed", "nvidia mixed", sources.DGX_A100),
    ]


def _of_speed(label, key, cluster):
    speed = sources.SPEEDS[key]
    return _case(label, key, Work.of(layers(speed.network), speed.batch / speed.images_per_second), cluster)


def _case(label, key, work, cluster):
    how = sources.HOW[key.split()[0]]._replace(jitter=fitted()[1])
    return Case(label, work, cluster, how, sources.PUBLISHED[key])


def today(network: str, batch: int, cluster: Cluster, bytes_sent: int) -> Case:
    """On A100s. ASSUMED: each network has as many multiply-adds per second as NVIDIA measured of ResNet-50, mixed."""
    known = sources.SPEEDS["nvidia mixed"]
    cost, known_cost = (sum(layer.multiply_adds for layer in layers(name)) for name in (network, known.network))
    seconds = batch * cost / known_cost / known.images_per_second
    how = How(bytes_sent=bytes_sent, jitter=fitted()[1])
    return Case(f"{network}, batch {batch}", Work.of(layers(network), seconds), cluster, how, {})


def on_processors(ethernet: str) -> Case:
    """AlexNet, batch 64, on machines without GPU: as fast as benchmarks/cpu.py has measured, one process a machine.

    Sums begin after backward: MPI gets on with them only while it is called.
    """
    runs = json.loads((CPU_RESULTS / "train_alexnet_b64_t2.json").read_text())["runs"]["minicnn float32 fast"]
    seconds = statistics.median(second for run in runs for second in run["seconds"])
    cluster = Cluster(1, Link(0.0, float("inf")), sources.network(ethernet, hop=sources.HOP_TCP))
    how = How(overlap=False, bucket_bytes=float("inf"), jitter=fitted()[1])
    return Case(f"AlexNet, {ethernet}", Work.of(layers("alexnet"), seconds), cluster, how, {})
