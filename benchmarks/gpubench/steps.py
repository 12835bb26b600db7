"""Whole training steps, forward, loss, backward, update: minicnn's, and PyTorch's of the same networks in several ways.

PyTorch: strict float32, TF32 or bfloat16 (autocast: "AMP"); NCHW or channels-last; eager, compiled (torch.compile), or
captured in a CUDA graph, the whole step with its update, and replayed.
"""

import contextlib
import gc
from functools import partial

import numpy as np
from cpubench import sides

import minicnn
from minicnn import functional, models, nn, tier
from minicnn.emulated import emulating
from minicnn.optim import SGD
from minicnn.precision import precision

from .clock import our_kernels, pytorch
from .timing import set_tf32

SECONDS = 1.0  # of timed steps, for each network
CLASSES = 1000
LARGE = 40 << 30  # bytes of a GPU's memory from which on ResNet-50 has a batch of 256
PRECISIONS = {"float32": "fp32", "tf32": "TF32", "bfloat16": "AMP bf16"}  # {ours: PyTorch's nearest}
WAYS = ["eager, NCHW, fp32", "eager, NCHW, TF32", "eager, channels-last, fp32", "eager, channels-last, TF32"]
WAYS += ["eager, channels-last, AMP bf16", "graph, NCHW, fp32", "graph, channels-last, TF32"]
WAYS += ["graph, channels-last, AMP bf16", "eager, NCHW, AMP bf16"]
# apart: each takes long to begin
COMPILED = ["compiled, channels-last, AMP bf16", "compiled, channels-last, TF32", "compiled, NCHW, fp32"]


def networks(tiny, memory):
    """What is trained, on a GPU of so many bytes; where it is `tiny`, a batch of two small pictures."""
    if tiny:
        sizes = {"alexnet": 64, "resnet18": 4, "resnet50": 4}  # AlexNet takes none smaller
        return [{"model": model, "batch_size": 2, "size": size} for model, size in sizes.items()]
    batches = {"alexnet": 128, "resnet18": 128, "resnet50": 256 if memory >= LARGE else 64}
    return [{"model": model, "batch_size": n} for model, n in batches.items()]


def items(language, tiny):
    """(name, function) of each network; the functions return {"ms": [...], "peak_bytes", "pool_bytes", ...}."""
    clock, found = our_kernels(language), networks(tiny, memory_of_cupy())
    if language == "fast":
        return in_turn(partial(measure, clock, language, tiny), found, "minicnn,", PRECISIONS)
    few = [network for network in found if network["model"] != "resnet50"]  # which takes long there
    return in_turn(partial(measure, clock, language, tiny), few, "minicnn in Numba,", ["float32"])


def items_of_torch(ways, tiny):
    """The same of each network and way of PyTorch."""
    import torchvision  # noqa: F401 (an optional package, the networks: now, not at the first measurement)

    torch, device, clock = pytorch()
    memory = torch.cuda.mem_get_info()[1] if device == "cuda" else 0
    return in_turn(partial(measure_torch, torch, device, clock), networks(tiny, memory), "PyTorch", ways)


def in_turn(function, found, library, ways):
    """Each network in one way, then in the next."""
    return [
        (f"{network['model']}, batch {network['batch_size']}, {library} {way}", partial(function, network, way))
        for way in ways
        for network in found
    ]


def memory_of_cupy():
    """The bytes of the GPU's memory; 0 of an emulated one."""
    if emulating():
        return 0
    import cupy  # an optional package

    return cupy.cuda.runtime.memGetInfo()[1]


def network_of(model, language, tiny):
    """The network; where it is `tiny`, one of its kinds of layers that the emulator or the simulator runs in time."""
    if not tiny:
        return models.create(model, CLASSES)
    if model != "alexnet" and language == "fast":
        return models.cifar_resnet(8)
    stem = [nn.Conv2d(3, 4, 11, stride=16, padding=4), nn.ReLU(inplace=True), nn.LocalResponseNorm(3, alpha=1.0)]
    return nn.Sequential(*stem, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Dropout(0.5), nn.Linear(16, 10))


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


def figures_of(clock, step, peak_memory):
    """The times of steps, the first and the last loss, and what peak_memory finds of the memory of the last step."""
    first = step().item()
    times = clock.steps(step, SECONDS)
    last, peak_bytes, pool_bytes = peak_memory(lambda: step().item())
    losses = {"first_loss": first, "last_loss": last, "finite": bool(np.isfinite([first, last]).all())}
    return {**times, **losses, "peak_bytes": peak_bytes, "pool_bytes": pool_bytes}


def measure(clock, language, tiny, network, name):
    """The raw times of training steps, and the most memory that was in use."""
    if not emulating():
        import cupy  # an optional package

        cupy.get_default_memory_pool().free_all_blocks()  # of the network before
    minicnn.manual_seed(0)
    with tier(language), precision(name):
        net = network_of(network["model"], language, tiny).to("cuda").train()
        images, labels = sides.batch(network)
        images, labels = (minicnn.Tensor(array).to("cuda") for array in (images, labels % 10 if tiny else labels))
        optimizer = SGD(net.parameters(), **sides.SGD)
        step = step_of(net, optimizer, functional.cross_entropy, images, labels, contextlib.nullcontext)
        figures = figures_of(clock, step, peak_memory)
    about = {"network": network["model"], "batch": network["batch_size"], "precision": PRECISIONS[name]}
    return {**about, "language": language, **figures}


def peak_memory(step):
    """(what step() returns, the most bytes of CuPy's pool that were in use, the bytes that the pool holds)."""
    if emulating():
        return step(), None, None
    import cupy  # an optional package

    pool = cupy.get_default_memory_pool()

    class Peak(cupy.cuda.MemoryHook):
        name = "peak"
        most = pool.used_bytes()

        def malloc_postprocess(self, **kwargs):
            self.most = max(self.most, pool.used_bytes())

    with Peak() as hook:
        loss = step()
    return loss, hook.most, pool.total_bytes()


def measure_torch(torch, device, clock, network, way):
    """The same as `measure`."""
    run, layout, name = way.split(", ")
    if device == "cpu" and run != "eager":
        return {"skipped": f"{run}: only on a GPU"}
    flags = set_tf32(torch, name == "TF32")
    step = torch_step(torch, device, network, run, layout, name)
    figures = figures_of(clock, step, partial(torch_peak_memory, torch, device))
    if run == "graph":
        figures["peak_bytes"] = None  # a replay allocates nothing
    del step
    gc.collect()  # memory of this network is no part of the next one's peak
    torch.cuda.empty_cache()
    about = {"network": network["model"], "batch": network["batch_size"], "precision": name, "layout": layout}
    return {**about, "run": run, "flags": flags, **figures}


def torch_step(torch, device, network, run, layout, name):
    """A function that makes one step and returns the loss, on the device."""
    import torchvision

    torch.manual_seed(0)
    order = torch.channels_last if layout == "channels-last" else torch.contiguous_format
    with torch.device(device):
        net = getattr(torchvision.models, network["model"])(num_classes=CLASSES).to(memory_format=order).train()
    images, labels = (torch.from_numpy(array).to(device) for array in sides.batch(network))
    optimizer = torch.optim.SGD(net.parameters(), **sides.SGD)
    # bfloat16 needs no scaling of the loss; a graph must not hold casts that were cached outside it
    half, cached = name == "AMP bf16", run != "graph"
    context = partial(torch.autocast, device, torch.bfloat16, enabled=half, cache_enabled=cached)
    if run == "compiled":
        torch._dynamo.reset()
        net = torch.compile(net)
    loss = torch.nn.functional.cross_entropy
    step = step_of(net, optimizer, loss, images.to(memory_format=order), labels, context)
    return captured(torch.cuda, step) if run == "graph" else step


def captured(cuda, step):
    """The step as a CUDA graph: a function that replays it."""
    aside = cuda.Stream()
    aside.wait_stream(cuda.current_stream())
    with cuda.stream(aside):
        for _ in range(3):  # whatever is made at the first step is made before the capture
            step()
    cuda.current_stream().wait_stream(aside)
    graph = cuda.CUDAGraph()
    with cuda.graph(graph):
        loss = step()

    def replay():
        graph.replay()
        return loss

    return replay


def torch_peak_memory(torch, device, step):
    """As peak_memory, of PyTorch's."""
    if device == "cpu":
        return step(), None, None
    torch.cuda.reset_peak_memory_stats()
    loss = step()
    return loss, torch.cuda.max_memory_allocated(), torch.cuda.max_memory_reserved()
