"""Whole training steps, forward, loss, backward, update: minicnn's, and PyTorch's of the same networks in several ways.

PyTorch: strict float32, TF32 or bfloat16 (autocast: "AMP"); NCHW or channels-last; eager, compiled (torch.compile), or
captured in a CUDA graph, the whole step with its update, and replayed.
"""

import contextlib
import functools
import gc
from typing import NamedTuple

import numpy as np

import minicnn
from minicnn import functional, models, nn, tier
from minicnn.device import array_module
from minicnn.kernels.cuda.precision import precision
from minicnn.optim import SGD

from .libraries import Unavailable, our_kernels, pytorch
from .timing import free, set_tf32

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


class Way(NamedTuple):
    """precision "fp32", "TF32" or "AMP bf16"; layout "NCHW" or "channels-last"; run "eager", "graph" or "compiled"."""

    precision: str
    layout: str
    run: str

    def __str__(self):
        return f"PyTorch {self.run}, {self.layout}, {self.precision}"


WAYS = (
    Way("fp32", "NCHW", "eager"),
    Way("TF32", "NCHW", "eager"),
    Way("fp32", "channels-last", "eager"),
    Way("TF32", "channels-last", "eager"),
    Way("AMP bf16", "channels-last", "eager"),
    Way("fp32", "NCHW", "graph"),
    Way("TF32", "channels-last", "graph"),
    Way("AMP bf16", "channels-last", "graph"),
    Way("AMP bf16", "NCHW", "eager"),
)
COMPILED = (  # apart: each takes long to begin
    Way("AMP bf16", "channels-last", "compiled"),
    Way("TF32", "channels-last", "compiled"),
    Way("fp32", "NCHW", "compiled"),
)


def pictures(network):
    """Random pictures, N(0, 1), and labels."""
    rng = np.random.default_rng(0)
    images = rng.standard_normal((network.batch, 3, network.size, network.size), np.float32)
    return images, rng.integers(0, CLASSES, network.batch)


def items(tiny):
    """(name, function) of each network; the functions return {"ms": [...], "peak_bytes", "pool_bytes", ...}."""
    clock = our_kernels("fast")
    return [
        (f"{network}, minicnn, {PRECISIONS[name]}", functools.partial(measure, clock, network, name, tiny))
        for name in PRECISIONS
        for network in (TINY if tiny else NETWORKS)
    ]


def items_of_torch(tiny, ways):
    """The same of each network and way of PyTorch."""
    torch, device, clock = pytorch()
    try:
        import torchvision  # noqa: F401 (an optional package: the networks)
    except ImportError as error:
        why = f"torchvision, which has the networks to compare with, cannot be imported ({error})"
        raise Unavailable(why) from None
    return [
        (f"{network}, {way}", functools.partial(measure_torch, torch, clock, network, way, device))
        for way in ways
        for network in (TINY if tiny else NETWORKS)
    ]


def figures_of(clock, step, peak_memory):
    """step() makes one step and returns the loss; peak_memory has the most memory that was in use, as it ends."""
    first = step().item()
    sampled = clock.steps(step, SECONDS)
    with peak_memory as memory:
        last = step().item()
    finite = bool(np.isfinite([first, last]).all())
    return {**sampled._asdict(), **memory, "first_loss": first, "last_loss": last, "finite": finite}


def step_of(model, optimizer, cross_entropy, images, labels, context):
    """A function that makes one step and returns the loss, in either library."""

    def step():
        optimizer.zero_grad()
        with context():
            loss = cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


# minicnn


def measure(clock, network, name, tiny):
    """The raw times of training steps, and the most memory that was in use."""
    minicnn.manual_seed(0)
    with tier("fast"), precision(PRECISIONS[name]):
        model = (two_layers(network) if tiny else models.create(network.name, CLASSES)).to("cuda").train()
        images, labels = (minicnn.Tensor(array).to("cuda") for array in pictures(network))
        optimizer, context = SGD(model.parameters(), **SETTINGS), contextlib.nullcontext
        step = step_of(model, optimizer, functional.cross_entropy, images, labels, context)
        figures = figures_of(clock, step, peak_memory(array_module(images.data)))
    free()
    return {"network": network.name, "batch": network.batch, "precision": name, **figures}


def two_layers(network):
    """What takes a network's place on the emulated GPU."""
    layers = nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(4 * network.size**2, CLASSES)
    return nn.Sequential(*layers)


@contextlib.contextmanager
def peak_memory(library):
    """Bytes of CuPy's pool inside: the most in use (`peak_bytes`), and what the pool holds (`pool_bytes`)."""
    memory = {"peak_bytes": None, "pool_bytes": None}
    if library is np:
        yield memory
        return
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
        yield memory
        library.cuda.Device().synchronize()
    memory |= {"peak_bytes": hook.most, "pool_bytes": pool.total_bytes()}


# PyTorch


def measure_torch(torch, clock, network, way, device):
    """The same as `measure`."""
    if device == "cpu" and way.run != "eager":
        return {"skipped": f"{way.run}: only on a GPU"}
    flags = set_tf32(torch, way.precision == "TF32")
    if way.run == "compiled":
        torch._dynamo.reset()
    figures = figures_of(clock, torch_step(torch, network, way, device), peak_memory_of_torch(torch, way, device))
    gc.collect()  # memory of this network is no part of the next one's peak
    torch.cuda.empty_cache()
    return {"network": network.name, "batch": network.batch, **way._asdict(), "flags": flags, **figures}


def torch_step(torch, network, way, device):
    """A function that makes one step and returns the loss, on the device."""
    import torchvision

    torch.manual_seed(0)
    layout = torch.channels_last if way.layout == "channels-last" else torch.contiguous_format
    with torch.device(device):
        model = getattr(torchvision.models, network.name)(num_classes=CLASSES).to(memory_format=layout).train()
    images, labels = (torch.from_numpy(array).to(device) for array in pictures(network))
    optimizer = torch.optim.SGD(model.parameters(), **SETTINGS)
    # bfloat16 needs no scaling of the loss; a graph must not hold casts that were cached outside it
    half, cached = way.precision == "AMP bf16", way.run != "graph"
    context = functools.partial(torch.autocast, device, torch.bfloat16, enabled=half, cache_enabled=cached)
    forward, loss = torch.compile(model) if way.run == "compiled" else model, torch.nn.functional.cross_entropy
    step = step_of(forward, optimizer, loss, images.to(memory_format=layout), labels, context)
    return captured(torch, step) if way.run == "graph" else step


def captured(torch, step):
    """The step as a CUDA graph: a function that replays it."""
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        for _ in range(3):  # whatever is made at the first step is made before the capture
            step()
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        loss = step()

    def replay():
        graph.replay()
        return loss

    return replay


@contextlib.contextmanager
def peak_memory_of_torch(torch, way, device):
    """Bytes that PyTorch allocated at most inside (a replay allocates nothing), and that it holds from the GPU."""
    memory = {"peak_bytes": None, "pool_bytes": None}
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    yield memory
    if device == "cuda":
        memory["peak_bytes"] = None if way.run == "graph" else torch.cuda.max_memory_allocated()
        memory["pool_bytes"] = torch.cuda.max_memory_reserved()
