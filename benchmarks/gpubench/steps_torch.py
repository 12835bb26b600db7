"""PyTorch's training steps of the same networks, in its several ways.

Strict float32, TF32 or bfloat16 (autocast: "AMP"); NCHW or channels-last; eager, compiled (torch.compile), or captured
in a CUDA graph, the whole step with its update, and replayed.
"""

import contextlib
import functools
import gc
from typing import NamedTuple

from .clock import Clock, NoClock, TorchEvents
from .settings import Unavailable, require_torch
from .steps import CLASSES, SECONDS, SETTINGS, networks, pictures
from .timing_torch import set_tf32


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


def items(settings, compiled):
    """(name, function) of each network and way; the functions return {"ms": [...], "peak_bytes", "pool_bytes", ...}."""
    torch = require_torch(settings)
    try:
        import torchvision  # noqa: F401 (an optional package: the networks)
    except ImportError as error:
        raise Unavailable(
            f"torchvision, which has the networks to compare with, cannot be imported ({error})"
        ) from None
    torch.backends.cudnn.benchmark = True
    clock, device = (NoClock(), "cpu") if settings.emulated else (Clock(TorchEvents()), "cuda")
    return [
        (f"{network}, {way}", functools.partial(measure, clock, network, way, device))
        for way in (COMPILED if compiled else WAYS)
        for network in networks(settings)
    ]


def measure(clock, network, way, device):
    """The raw times of training steps, and the most memory that was in use."""
    import torch

    if device == "cpu" and way.run != "eager":
        return {"skipped": f"{way.run}: only on a GPU"}
    flags = set_tf32(torch, way.precision == "TF32")
    torch._dynamo.reset() if way.run == "compiled" else None
    step = prepare(torch, network, way, device)
    first = step().item()
    sampled = clock.steps(step, SECONDS)
    memory = {"peak_bytes": None, "pool_bytes": None}
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    last = step().item()
    if device == "cuda":
        peak = None if way.run == "graph" else torch.cuda.max_memory_allocated()  # a replay allocates nothing
        memory = {"peak_bytes": peak, "pool_bytes": torch.cuda.max_memory_reserved()}
    described = {"network": network.name, "batch": network.batch, **way._asdict(), "flags": flags}
    del step
    release(torch, device)
    return {**described, **sampled._asdict(), **memory, "first_loss": first, "last_loss": last}


def prepare(torch, network, way, device):
    """A function that makes one step and returns the loss, on the device."""
    import torchvision

    torch.manual_seed(0)
    memory = torch.channels_last if way.layout == "channels-last" else torch.contiguous_format
    with torch.device(device):
        model = getattr(torchvision.models, network.name)(num_classes=CLASSES).to(memory_format=memory).train()
    images, labels = (torch.from_numpy(array).to(device) for array in pictures(network))
    images = images.to(memory_format=memory)
    optimizer = torch.optim.SGD(model.parameters(), **SETTINGS)
    forward = torch.compile(model) if way.run == "compiled" else model

    def step():
        optimizer.zero_grad(set_to_none=True)
        with autocast(torch, way, device):
            loss = torch.nn.functional.cross_entropy(forward(images), labels)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return captured(torch, step) if way.run == "graph" else step


def autocast(torch, way, device):
    """bfloat16 needs no scaling of the loss; and a graph must not hold casts that were cached outside it."""
    if way.precision != "AMP bf16":
        return contextlib.nullcontext()
    return torch.autocast(device, torch.bfloat16, cache_enabled=way.run != "graph")


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


def release(torch, device):
    """Memory of the network before is no part of the next one's peak."""
    gc.collect()
    if device == "cuda":
        torch.cuda.empty_cache()
