"""Networks assembled from ``minicnn.nn``."""

from .alexnet import AlexNet, alexnet, alexnet_2012
from .dense import fully_convolutional
from .names import create
from .resnet import ResNet, cifar_resnet, resnet18, resnet34, resnet50, resnet101, resnet152

__all__ = [
    "AlexNet", "ResNet", "alexnet", "alexnet_2012", "cifar_resnet", "create", "fully_convolutional", "resnet18",
    "resnet34", "resnet50", "resnet101", "resnet152",
]  # fmt: skip
