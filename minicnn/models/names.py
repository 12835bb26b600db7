"""Networks by name, as command lines and checkpoints give them."""

from functools import partial

from .alexnet import alexnet, alexnet_2012
from .resnet import cifar_resnet, resnet18, resnet34, resnet50, resnet101, resnet152

IMAGENET = {make.__name__: make for make in (resnet18, resnet34, resnet50, resnet101, resnet152, alexnet, alexnet_2012)}
CIFAR = {f"resnet{depth}": partial(cifar_resnet, depth) for depth in (20, 32, 44, 56, 110, 1202)}


def create(arch, num_classes):
    """A new network, such as "alexnet", "resnet50" (for ImageNet) or "resnet56" (for CIFAR). ValueError for a name that
    is neither in IMAGENET nor in CIFAR."""
    known = IMAGENET | CIFAR
    if arch not in known:
        raise ValueError(f"models.create: there is no network {arch!r}; there are {', '.join(known)}")
    return known[arch](num_classes=num_classes)
