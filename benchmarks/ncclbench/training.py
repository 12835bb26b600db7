"""Whole steps of data parallelism: are they those of one process, and how much slower than those of a GPU by itself."""

import numpy as np
from cpubench import sides

import minicnn
from minicnn import functional as F
from minicnn import models, nn, tier
from minicnn.device import full, to_device, to_host
from minicnn.distributed import DataParallel, World, world
from minicnn.distributed.buckets import BYTES, in_buckets
from minicnn.optim import SGD
from minicnn.precision import precision

from .clock import together
from .sums import digest

STEPS = 5
NETWORKS = [("resnet50", 64), ("alexnet", 128)]  # and their pictures on each GPU
PRECISIONS = "float32", "bfloat16"  # of products
TINY = [("small", 2)]
CLASSES = 1000


def small(num_classes):
    """For emulated GPUs."""
    conv = nn.Conv2d(3, 4, 3, padding=1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 8 * 8, num_classes))


def created(name, num_classes):
    minicnn.manual_seed(0)
    return small(num_classes) if name == "small" else models.create(name, num_classes)


def step_of(net, parallel, images, labels, lr):
    """A function that makes one training step."""
    optimizer = SGD(net.parameters(), **(sides.SGD | {"lr": lr}))

    def step():
        optimizer.zero_grad()
        with parallel.step(len(labels)) as count:
            loss = F.cross_entropy(net(images), labels, reduction="sum") / count
            loss.backward()
        optimizer.step()

    return step


# Is it right?


def checks(tiny):
    """(name, function): each returns {"error", "same_bits", "ok"}."""
    name = "small" if tiny else "resnet18"
    for dtype, send, tolerance in (("float64", "float32", 1e-9), ("float32", "bfloat16", None)):
        what = f"{name} in {dtype}, sent as {send if dtype == 'float32' else dtype}: {STEPS} steps against one process"
        yield what, lambda d=dtype, s=send, t=tolerance: as_one_process(name, d, s, t)


def as_one_process(name, dtype, send, tolerance):
    """The weights after some steps on this rank's rows, with batch norm over ranks, beside those of all rows at once.

    tolerance: of the largest difference, relative to the largest weight; None: it is only told."""
    w = world()
    rng, rows, side = np.random.default_rng(0), 4 * w.size + 1, 8 if name == "small" else 64
    images = rng.standard_normal((rows, 3, side, side)).astype(dtype)
    labels = rng.integers(0, 10, rows)
    mine = slice(w.rank * rows // w.size, (w.rank + 1) * rows // w.size)
    weights = []
    with tier("fast"):
        for own, part in ((World(), slice(None)), (w, mine)):
            net = created(name, 10).to(np.dtype(dtype)).to("cuda").train()
            if own is w:
                nn.SyncBatchNorm.convert_sync_batchnorm(net)
            parallel = DataParallel(net, send=send if own is w else "float32", world=own)
            given = minicnn.Tensor(to_device(images[part], "cuda")), to_device(labels[part], "cuda")
            step = step_of(net, parallel, *given, lr=0.05)
            for _ in range(STEPS):
                step()
            weights.append(to_host(*(tensor.data for tensor in (*net.parameters(), *net.buffers()))))
    largest = max(np.abs(array).max() for array in weights[0])
    error = max(float(np.abs(a - b).max() / largest) for a, b in zip(*weights, strict=True))
    same = len(set(w.gather_values(digest(weights[1])))) == 1
    worst = max(w.gather_values(error))
    ok = same and bool(np.isfinite(worst) if tolerance is None else worst <= tolerance)
    return {"error": worst, "tolerance": tolerance, "same_bits": same, "ok": ok}


# How fast is it?


def speeds(tiny):
    """(name, function of seconds): each returns the times of one network's steps.

    alone     a GPU by itself, all of them at the same time
    sums      the sums of the gradients without anything else
    """
    for name, batch in TINY if tiny else NETWORKS:
        for digits in PRECISIONS:
            what = f"{name}, {batch} pictures a GPU, products in {digits}"
            yield what, lambda seconds, n=name, b=batch, d=digits: speed(n, b, d, seconds)


def speed(name, batch, digits, seconds):
    """Milliseconds of a step: of each GPU alone, and of all, with gradients sent as float32 and as bfloat16."""
    settings = {"batch_size": batch} | ({"size": 8} if name == "small" else {})
    images, labels = sides.batch(settings)
    images, labels = minicnn.Tensor(to_device(images, "cuda")), to_device(labels, "cuda")
    with tier("fast"), precision(digits):
        steps = {}
        for way, own, send in (("alone", World(), "float32"), *((s, world(), s) for s in ("float32", "bfloat16"))):
            net = created(name, CLASSES).to("cuda").train()
            parallel = DataParallel(net, send=send, world=own)
            steps[way] = step_of(net, parallel, images, labels, sides.SGD["lr"])
        arrays = [
            full(group[0].data, (sum(p.data.size for p in group),), 0)
            for group in in_buckets(list(net.parameters()), BYTES)
        ]
        for send in ("float32", "bfloat16"):
            steps[f"sums, {send}"] = lambda send=send: sums_of(arrays, send)
        times = together(steps, seconds)
    return {"network": name, "batch": batch, "precision": digits, "ms": times, **shares(times)}


def sums_of(arrays, send):
    for sum_ in [world().start_sum(array, send) for array in arrays]:
        sum_.wait()


def shares(times):
    """Of each way to send: the efficiency, the part of a step that is not hidden, and the part of the sums that is."""
    medians = {name: float(np.median(ms)) for name, ms in times.items() if ms}
    found = {}
    for send in ("float32", "bfloat16") if medians else ():
        longer = medians[send] - medians["alone"]
        found[send] = {
            "efficiency": medians["alone"] / medians[send],
            "not_hidden_ms": longer,
            "not_hidden": longer / medians[send],
            "sums_hidden": 1 - longer / medians[f"sums, {send}"],
        }
    return found
