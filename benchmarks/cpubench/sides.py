"""A step of each side, on the same random pictures N(0, 1) and labels, without dropout.

    step, versions = SIDES[name](settings)        step() trains on one batch, or predicts one; returns a number

settings: model, batch_size, threads, task ("train" or "infer"). A library is imported by its own side only.
"""


def batch(settings):
    """float32 (N, 3, 224, 224) and labels (N,)."""
    import numpy as np

    rng = np.random.default_rng(0)
    images = rng.standard_normal((settings["batch_size"], 3, 224, 224), dtype=np.float32)
    return images, rng.integers(0, 1000, settings["batch_size"])


def minicnn_step(settings, tier):
    import numpy as np

    import minicnn
    import minicnn.functional as F

    minicnn.set_tier(tier)
    minicnn.manual_seed(0)
    images, labels = batch(settings)
    options = {"dropout": 0.0} if settings["model"] == "alexnet" else {}
    model = getattr(minicnn.models, settings["model"])(**options)
    optimizer = minicnn.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)

    def train():
        optimizer.zero_grad()
        loss = F.cross_entropy(model(minicnn.Tensor(images)), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    @minicnn.no_grad()
    def infer():
        return float(model(minicnn.Tensor(images)).numpy().max())

    versions = {"minicnn": minicnn.__version__, "numpy": np.__version__}
    return (train, versions) if settings["task"] == "train" else (model.eval() and infer, versions)


def torch_step(settings, layout):
    import torch
    import torchvision

    torch.set_num_threads(settings["threads"])
    torch.manual_seed(0)
    layout = getattr(torch, layout)
    images, labels = (torch.from_numpy(array) for array in batch(settings))
    images = images.to(memory_format=layout)
    options = {"dropout": 0.0} if settings["model"] == "alexnet" else {}
    model = getattr(torchvision.models, settings["model"])(**options).to(memory_format=layout)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)

    def train():
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    @torch.inference_mode()
    def infer():
        return float(model(images).max())

    versions = {"torch": torch.__version__, "torchvision": torchvision.__version__}
    return (train, versions) if settings["task"] == "train" else (model.eval() and infer, versions)


def jax_step(settings):
    from jax_alexnet import step_and_versions

    return step_and_versions(*batch(settings), settings["task"])


SIDES = {
    "minicnn plain": lambda settings: minicnn_step(settings, "plain"),
    "minicnn fast": lambda settings: minicnn_step(settings, "fast"),
    "torch": lambda settings: torch_step(settings, "contiguous_format"),
    "torch channels-last": lambda settings: torch_step(settings, "channels_last"),
    "jax": jax_step,
}
ONLY = {"jax": ("alexnet",)}  # sides that have not all of the models
