"""All that the program has to say, as numbers: what tables.py prints, figure.py draws and --json writes."""

from collections.abc import Sequence
from typing import Any

from . import cases, sources
from .cases import Case
from .collectives import ring, tree
from .step import BUCKET_BYTES

GPUS = 8, 16, 32, 64, 128, 256, 512, 1024
MACHINES = 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024  # without GPUs
MANY = 256  # GPUs of the table of networks
DIGITS = 5  # of each number, so that it is the same on every processor
ROUNDED = {8: 0.5, 256: 0.02}  # by so many hours GOYAL_HOURS may differ from the truth

WAYS = {  # what of Case.how is changed
    "model": {},
    "without_jitter": {"jitter": 0.0},
    "without_overlap": {"jitter": 0.0, "overlap": False},
}
TODAY = {  # {label: network, batch of a GPU, bytes sent of each gradient}
    "ResNet-50": ("resnet50", 256, 4),
    "ResNet-50, bfloat16": ("resnet50", 256, 2),
    "AlexNet": ("alexnet", 128, 4),
    "AlexNet, bfloat16": ("alexnet", 128, 2),
}
CURVES = (  # those of TODAY that are followed over all GPUS
    ("ResNet-50", "8 x InfiniBand HDR"), ("AlexNet", "8 x InfiniBand HDR"), ("ResNet-50", "100 Gb/s Ethernet"),
    ("AlexNet, bfloat16", "100 Gb/s Ethernet"), ("AlexNet", "100 Gb/s Ethernet"),
)  # fmt: skip
NETWORKS = {  # {what a machine has: (name, ports)}
    "8 x InfiniBand NDR": ("InfiniBand NDR", 8),
    "8 x InfiniBand HDR": ("InfiniBand HDR", 8),
    "8 x InfiniBand EDR": ("InfiniBand EDR", 8),
    "100 Gb/s Ethernet": ("100 Gb/s Ethernet", 1),
    "25 Gb/s Ethernet": ("25 Gb/s Ethernet", 1),
    "10 Gb/s Ethernet": ("10 Gb/s Ethernet", 1),
}
ETHERNETS = "100 Gb/s Ethernet", "25 Gb/s Ethernet", "10 Gb/s Ethernet"


def results() -> dict[str, Any]:
    single, jitter = cases.fitted()
    found = {
        "fitted": {"seconds": single, "jitter": jitter, "jitter_if_rounded": [if_rounded(1, -1), if_rounded(-1, 1)]},
        "goyal": goyal(cases.goyal()),
        "published": [beside(case) for case in cases.published()],
        "today": {f"{label}, {network}": efficiencies(today(label, network), GPUS) for label, network in CURVES},
        "networks": {
            network: {label: efficiencies(today(label, network), [MANY]) for label in TODAY} for network in NETWORKS
        },
        "processors": {name: efficiencies(cases.on_processors(name), MACHINES) for name in ETHERNETS},
        "sum_of_a_bucket": {f.__name__: [f(BUCKET_BYTES, n, sources.DGX_A100) for n in GPUS] for f in (ring, tree)},
    }
    return rounded(found)


def today(label: str, between: str) -> Case:
    network, batch, bytes_sent = TODAY[label]
    cluster = sources.DGX_A100._replace(between=sources.network(*NETWORKS[between]))
    return cases.today(network, batch, cluster, bytes_sent)


def if_rounded(*signs: int) -> float:
    """The jitter that is fitted if the hours on 8 and on 256 GPUs were longer (1) or shorter (-1) than told."""
    pairs = zip(sources.GOYAL_HOURS.items(), signs, strict=True)
    return cases.fit({gpus: hours + sign * ROUNDED[gpus] for (gpus, hours), sign in pairs})[1]


def goyal(case: Case) -> dict[str, Any]:
    """Seconds of a step, published and by the model, which is asked for the published numbers of GPUs, too."""
    published = {gpus: sources.goyal_seconds(gpus, hours) for gpus, hours in sources.GOYAL_HOURS.items()}
    published |= {gpus: published[8] * longer for gpus, longer in sources.GOYAL_LONGER.items()}
    gpus = sorted({*GPUS, *published})
    model = {way: [case.seconds(n, **changes) for n in gpus] for way, changes in WAYS.items()}
    return {"gpus": gpus, "published": published, **model}


def beside(case: Case) -> dict[str, Any]:
    """Efficiencies of a published case: at the published numbers of GPUs, and as a curve."""
    at, curve = efficiencies(case, list(case.published)), efficiencies(case, GPUS)
    return {"label": case.label, "published": case.published, "at_published": at, "curve": curve}


def efficiencies(case: Case, gpus: Sequence[int]) -> dict[str, list[float]]:
    return {way: [case.efficiency(n, **changes) for n in gpus] for way, changes in WAYS.items()}


def rounded(found: Any) -> Any:
    """With DIGITS digits of each number, and in the types that JSON has."""
    if isinstance(found, dict):
        return {str(key): rounded(value) for key, value in found.items()}
    if isinstance(found, list):
        return [rounded(value) for value in found]
    return float(f"{found:.{DIGITS}g}") if isinstance(found, float) else found
