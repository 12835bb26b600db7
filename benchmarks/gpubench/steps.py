"""Whole training steps: forward, loss, backward, update. The same networks, batches and settings as steps_torch.py."""

import functools
from typing import NamedTuple

import numpy as np

import minicnn
from minicnn import functional, models, nn, tier
from minicnn.device import array_module
from minicnn.kernels.cuda.precision import precision
from minicnn.optim import SGD

from .checking import free
from .clock import Clock, CupyEvents, NoClock
from .settings import require_kernels

SECONDS = 1.0  # of timed steps, for each network
SETTINGS = {"lr": 0.01, "momentum": 0.9, "weight_decay": 5e-4}
CLASSES = 1000
PRECISIONS = {"fp32": "float32", "TF32": "tf32", "AMP bf16": "bfloat16"}  # PyTorch's name for the nearest: ours


class Network(NamedTuple):
    """name as in minicnn.models and in torchvision.models; pictures (batch, 3, size, size)."""

    name: str
    batch: int
    size: int = 224

    def __str__(self):
        return f"{self.name}, batch {self.batch}"


NETWORKS = (Network("alexnet", 128), Network("resnet18", 128), Network("resnet50", 64))
TINY = (Network("resnet18", 2, 8),)


def networks(settings):
    return TINY if settings.tiny else NETWORKS


def pictures(network):
    """Random pictures, N(0, 1), and labels."""
    rng = np.random.default_rng(0)
    images = rng.standard_normal((network.batch, 3, network.size, network.size), np.float32)
    return images, rng.integers(0, CLASSES, network.batch)


def items(settings):
    """(name, function) of each network; the functions return {"ms": [...], "peak_bytes", "pool_bytes", ...}."""
    require_kernels("fast")
    clock = NoClock() if settings.emulated else Clock(CupyEvents())
    return [
        (f"{network}, minicnn, {PRECISIONS[name]}", functools.partial(measure, clock, network, name, settings.tiny))
        for name in PRECISIONS
        for network in networks(settings)
    ]


def measure(clock, network, name, tiny):
    """The raw times of training steps, and the most memory that was in use."""
    with tier("fast"), precision(PRECISIONS[name]):
        step, loss, probe = prepare(network, tiny)
        first = loss()
        sampled = clock.steps(step, SECONDS)
        last, memory = loss(), peak_memory(step, probe)
    del step, loss, probe
    free()
    losses = {"first_loss": first, "last_loss": last, "finite": bool(np.isfinite([first, last]).all())}
    described = {"network": network.name, "batch": network.batch, "precision": name}
    return {**described, **sampled._asdict(), **memory, **losses}


def prepare(network, tiny):
    """(a function that makes one step, one that makes a step and returns the loss, an array on the device)."""
    minicnn.manual_seed(0)
    model = (two_layers(network) if tiny else models.create(network.name, CLASSES)).to("cuda").train()
    optimizer = SGD(model.parameters(), **SETTINGS)
    images, labels = (minicnn.Tensor(array).to("cuda") for array in pictures(network))

    def step():
        optimizer.zero_grad()
        loss = functional.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        return loss

    return step, lambda: step().item(), images.data


def two_layers(network):
    """What takes a network's place on the emulated GPU."""
    layers = nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(4 * network.size**2, CLASSES)
    return nn.Sequential(*layers)


def peak_memory(step, probe):
    """Bytes of CuPy's pool during one step: the most in use (`peak_bytes`), and what the pool holds (`pool_bytes`)."""
    library = array_module(probe)
    if library is np:
        step()
        return {"peak_bytes": None, "pool_bytes": None}
    pool = library.get_default_memory_pool()

    class Peak(library.cuda.MemoryHook):
        name = "peak"
        used = most = pool.used_bytes()

        def malloc_postprocess(self, **kwargs):
            self.used += kwargs["mem_size"]
            self.most = max(self.most, self.used)

        def free_postprocess(self, **kwargs):
            self.used -= kwargs["mem_size"]

    with Peak() as hook:
        step()
        library.cuda.Device().synchronize()
    return {"peak_bytes": hook.most, "pool_bytes": pool.total_bytes()}
