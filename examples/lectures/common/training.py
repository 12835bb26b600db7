"""A training loop on arrays: momentum, a falling rate of learning, an order that the seed decides."""

from collections.abc import Callable
from typing import Any

import numpy as np

import minicnn
from minicnn import functional as F
from minicnn import nn, optim
from minicnn.data import DataLoader

Augment = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def train(
    model: nn.Module,
    images: np.ndarray,
    labels: np.ndarray,
    *,
    epochs: int,
    lr: float,
    seed: int = 0,
    options: dict[str, Any] | None = None,
    after_epoch: Callable[[int], Any] | None = None,
) -> list[float]:
    """Train the parameters of `model` that require a gradient -> the mean training loss of each epoch.

    images float32 (N, ...), labels int64 (N,); the model may be on another device. options: batch_size (32), momentum
    (.9), weight_decay (0), falling (True: the rate falls to 0 along a cosine; False: it stays), augment (a function of
    a batch of images and a generator). after_epoch(epoch), epoch from 1, is called between epochs, and may change the
    model's mode.
    """
    options = options or {}
    batch_size = options.get("batch_size", 32)
    loader = DataLoader((images, labels), batch_size, shuffle=True, seed=seed, drop_last=len(images) % batch_size == 1)
    return train_on(model, loader, epochs=epochs, lr=lr, options=options, after_epoch=after_epoch)


def train_on(
    model: nn.Module,
    loader: DataLoader,
    *,
    epochs: int,
    lr: float,
    options: dict[str, Any] | None = None,
    after_epoch: Callable[[int], Any] | None = None,
) -> list[float]:
    """``train`` on the batches of a loader of one's own."""
    chosen = {"momentum": 0.9, "weight_decay": 0.0, "falling": True, "augment": None} | (options or {})
    augment, device = chosen["augment"], _device(model)
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = optim.SGD(parameters, lr, momentum=chosen["momentum"], weight_decay=chosen["weight_decay"])
    schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * len(loader)) if chosen["falling"] else None
    rng = np.random.default_rng([loader.seed, 1])
    losses = []
    for epoch in range(1, epochs + 1):
        model.train()
        total = []
        for batch, truth in loader:
            x = minicnn.Tensor(augment(batch.numpy(), rng)) if augment else batch
            loss = F.cross_entropy(model(x.to(device)), truth.to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if schedule:
                schedule.step()
            total.append(loss.item())
        losses.append(float(np.mean(total)))
        if after_epoch:
            after_epoch(epoch)
    return losses


def scores(model: nn.Module, images: np.ndarray, batch_size: int = 256) -> np.ndarray:
    """What the model gives for each image, in evaluation mode, which it is left in."""
    model.eval()
    with minicnn.no_grad():
        starts = range(0, len(images), batch_size)
        batches = (minicnn.Tensor(images[i : i + batch_size]).to(_device(model)) for i in starts)
        return np.concatenate([model(batch).numpy() for batch in batches])


def error(model: nn.Module, images: np.ndarray, labels: np.ndarray) -> float:
    """How many images it gets wrong, in percent."""
    return 100 * float((scores(model, images).argmax(1) != labels).mean())


def crop_and_flip(pad: int = 4, flip: bool = True) -> Augment:
    """An augmentation: each image shifted by up to `pad` pixels, with 0 where nothing was, half of them mirrored."""

    def augment(images, rng):
        height, width = images.shape[2:]
        padded = np.pad(images, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
        corners = rng.integers(0, 2 * pad + 1, (len(images), 2))
        mirrored = (rng.random(len(images)) < 0.5) & flip
        shifted = np.empty_like(images)
        for i, (top, left) in enumerate(corners):
            window = padded[i, :, top : top + height, left : left + width]
            shifted[i] = window[:, :, ::-1] if mirrored[i] else window
        return shifted

    return augment


def _device(model):
    return next((parameter.device for parameter in model.parameters()), "cpu")
