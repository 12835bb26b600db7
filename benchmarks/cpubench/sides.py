"""The sides of a comparison, and what their steps share: random pictures N(0, 1) and labels, no dropout.

A side is a library, in a precision, in one of its ways: SIDES["torch bfloat16 channels-last compiled"]. Its module has

    step = prepare(settings, **options)      step() trains on one batch, or predicts one; returns a number
    texts = describe(settings)               {name: text}: versions, and the settings that speed depends on

settings: model, batch_size, threads, task ("train" or "infer"), and size, where the pictures are not 224 x 224; for
describe(), threads and library. A module imports its library, and is imported by its own side only (worker.py).
"""

import contextlib
import importlib.util
import os
import shutil
from typing import NamedTuple

import numpy as np

TASKS = ("train", "infer")
SGD = {"lr": 0.01, "momentum": 0.9, "weight_decay": 5e-4}
ENVIRONMENT = ("ONEDNN_", "DNNL_", "OMP_", "KMP_", "MKL_", "OPENBLAS_", "ATEN_", "TORCH", "MINICNN_", "XLA_")


class LeftOut(Exception):
    """A side cannot run here; the text says why, and the others go on."""


class Side(NamedTuple):
    """Where a side's functions are, and how they are called."""

    module: str
    options: dict  # of prepare()
    library: str  # what must be installed
    tasks: tuple[str, ...] = TASKS


def _sides():
    for precision in ("float32", "bfloat16"):
        for way, tasks in (("fast", TASKS), ("fused", TASKS[1:]), ("plain", TASKS)):
            options = {"precision": precision, "way": way}
            yield f"minicnn {precision} {way}", Side("minicnn_side", options, "minicnn", tasks)
        for layout in ("NCHW", "channels-last"):
            for compiled in (False, True):
                options = {"precision": precision, "layout": layout, "compiled": compiled}
                name = f"torch {precision} {layout}{' compiled' if compiled else ''}"
                yield name, Side("torch_side", options, "torch")
    yield "onnxruntime float32", Side("onnxruntime_side", {}, "onnxruntime", TASKS[1:])
    for library in ("jax", "tinygrad", "chainer"):
        yield f"{library} float32", Side("described_side", {"library": library}, library)


SIDES = dict(_sides())


def there_is(library):
    """Whether a library is installed, and the compiler that it calls."""
    found = importlib.util.find_spec(library) is not None
    return found and (library != "tinygrad" or shutil.which("clang") is not None)


def chosen(words, task):
    """The names of the sides for `task` that have every word of one of `words` ("minicnn fast": in each precision)."""
    wanted = [set(each.split()) for each in words]
    return [
        name for name, side in SIDES.items() if task in side.tasks and any(each <= set(name.split()) for each in wanted)
    ]


def batch(settings):
    """float32 (N, 3, size, size) and labels (N,)."""
    rng = np.random.default_rng(0)
    size = settings.get("size", 224)
    images = rng.standard_normal((settings["batch_size"], 3, size, size), dtype=np.float32)
    return images, rng.integers(0, 1000, settings["batch_size"])


def created(models, settings):
    """The model, without dropout, of minicnn or torchvision."""
    options = {"dropout": 0.0} if settings["model"] == "alexnet" else {}
    return getattr(models, settings["model"])(**options)


def training_step(model, optimizer, cross_entropy, images, labels, forward=contextlib.nullcontext):
    """The step that minicnn and PyTorch write alike; `forward`: what the network and the loss run inside of."""

    def train():
        optimizer.zero_grad()
        with forward():
            loss = cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    return train


def variables():
    """{name: value} of the environment's variables that the libraries read, but for folders."""
    given = {name: value for name, value in sorted(os.environ.items()) if name.startswith(ENVIRONMENT)}
    return {name: value for name, value in given.items() if not name.endswith("_DIR")}
