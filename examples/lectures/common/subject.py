"""Nets to look into: one that has learnt textures, and AlexNet."""

from typing import Any, NamedTuple

import minicnn
from minicnn import nn, pretrained
from minicnn.data import ChannelMeanStd

from .classes import Split
from .training import train

ALEXNET = {
    "conv1": "features.1", "pool1": "features.2", "conv2": "features.4", "pool2": "features.5", "conv3": "features.7",
    "conv4": "features.9", "conv5": "features.11", "pool5": "features.12",
}  # fmt: skip  # convolutions with their ReLU


class Subject(NamedTuple):
    """A net in evaluation mode, what makes its inputs of bytes, and its layers, {name for readers: name in the net}."""

    net: nn.Module
    normalize: Any
    layers: dict[str, str]


def trained(data: Split, epochs: int, seed: int) -> Subject:
    """A net of four convolutions with batch norm, each followed by a max-pool, trained on the pictures."""
    minicnn.manual_seed(seed)
    normalize = ChannelMeanStd().fit([data.train])
    blocks, channels = [], 3
    for filters, kernel in ((16, 5), (32, 3), (64, 3), (64, 3)):
        conv = nn.Conv2d(channels, filters, kernel, padding=kernel // 2)
        blocks.append(nn.Sequential(conv, nn.BatchNorm2d(filters), nn.ReLU(), nn.MaxPool2d(2)))
        channels = filters
    net = nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, len(data.classes)))
    train(net, normalize(data.train), data.train_labels, epochs=epochs, lr=0.05, seed=seed)
    return Subject(net.eval(), normalize, {f"conv{number + 1}": f"{number}.2" for number in range(4)})


def published() -> Subject:
    """AlexNet with torchvision's weights, which are downloaded. WeightsError if that cannot be."""
    layers = {name: ALEXNET[name] for name in ("conv1", "conv2", "conv3", "conv5")}
    return Subject(pretrained.load("alexnet").eval(), pretrained.get("alexnet").normalize(), layers)
