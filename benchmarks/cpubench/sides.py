"""A step of each side, on the same random pictures N(0, 1) and labels, without dropout.

    step, versions = SIDES[name](settings)        step() trains on one batch, or predicts one; returns a number

settings: model, batch_size, threads, task ("train" or "infer"), and size, where the pictures are not 224 x 224.
A library is imported by its own side only.
"""

import importlib
import importlib.metadata

import numpy as np

SGD = {"lr": 0.01, "momentum": 0.9, "weight_decay": 5e-4}


def batch(settings):
    """float32 (N, 3, size, size) and labels (N,)."""
    rng = np.random.default_rng(0)
    size = settings.get("size", 224)
    images = rng.standard_normal((settings["batch_size"], 3, size, size), dtype=np.float32)
    return images, rng.integers(0, 1000, settings["batch_size"])


def minicnn_step(settings, tier):
    import minicnn

    minicnn.set_tier(tier)
    minicnn.manual_seed(0)
    images, labels = batch(settings)
    model = created(minicnn.models, settings)
    optimizer, cross_entropy = minicnn.optim.SGD(model.parameters(), **SGD), minicnn.functional.cross_entropy
    step = step_of(settings, model, optimizer, cross_entropy, minicnn.Tensor(images), labels, minicnn.no_grad)
    return step, {"minicnn": minicnn.__version__, "numpy": np.__version__}


def torch_step(settings, layout):
    import torch
    import torchvision

    torch.set_num_threads(settings["threads"])
    torch.manual_seed(0)
    images, labels = (torch.from_numpy(array) for array in batch(settings))
    layout = {"memory_format": getattr(torch, layout)}
    model = created(torchvision.models, settings).to(**layout)
    optimizer, loss = torch.optim.SGD(model.parameters(), **SGD), torch.nn.functional.cross_entropy
    step = step_of(settings, model, optimizer, loss, images.to(**layout), labels, torch.inference_mode)
    return step, {"torch": torch.__version__, "torchvision": torchvision.__version__}


def created(models, settings):
    """The model, without dropout, of either library."""
    options = {"dropout": 0.0} if settings["model"] == "alexnet" else {}
    return getattr(models, settings["model"])(**options)


def step_of(settings, model, optimizer, cross_entropy, images, labels, without_gradients):
    """The step that minicnn and PyTorch write alike."""

    def train():
        optimizer.zero_grad()
        loss = cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    @without_gradients()
    def infer():
        return model(images).max().item()

    return train if settings["task"] == "train" else model.eval() and infer


def described_step(settings, library):
    """The net as nets.py describes it, in the layers of <library>_nets.py."""
    from nets import NETS, random_weights

    module = importlib.import_module(f"{library}_nets")
    net, weights, (images, labels) = NETS[settings["model"]], random_weights(settings["model"]), batch(settings)
    versions = {name: importlib.metadata.version(name) for name in (library, "numpy")}
    if settings["task"] == "train":
        return module.trainer(net, *weights, images, labels), versions
    predict = module.predictor(net, *weights, images)
    return lambda: float(predict().max()), versions


SIDES = {
    "minicnn plain": lambda settings: minicnn_step(settings, "plain"),
    "minicnn fast": lambda settings: minicnn_step(settings, "fast"),
    "torch": lambda settings: torch_step(settings, "contiguous_format"),
    "torch channels-last": lambda settings: torch_step(settings, "channels_last"),
    "jax": lambda settings: described_step(settings, "jax"),
    "tinygrad": lambda settings: described_step(settings, "tinygrad"),
    "chainer": lambda settings: described_step(settings, "chainer"),
}
