"""Networks assembled from ``minicnn.nn``."""

from .alexnet import AlexNet, alexnet, alexnet_2012
from .dense import fully_convolutional
from .names import Network, create
from .resnet import ResNet, cifar_resnet, resnet18, resnet34, resnet50, resnet101, resnet152
from .vgg import VGG, vgg11, vgg11_bn, vgg13, vgg13_bn, vgg16, vgg16_bn, vgg19, vgg19_bn

__all__ = [
    "VGG", "AlexNet", "Network", "ResNet", "alexnet", "alexnet_2012", "cifar_resnet", "create", "fully_convolutional",
    "resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "vgg11", "vgg11_bn", "vgg13", "vgg13_bn", "vgg16",
    "vgg16_bn", "vgg19", "vgg19_bn",
]  # fmt: skip
