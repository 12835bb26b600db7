"""Networks by name, as command lines and checkpoints give them."""

import difflib
from collections.abc import Mapping
from functools import partial
from typing import Any, TypeAlias

from .alexnet import AlexNet, alexnet, alexnet_2012
from .googlenet import GoogLeNet, googlenet
from .inception_v3 import Inception3, inception_v3
from .mobilenet_v2 import MobileNetV2, mobilenet_v2
from .resnet import ResNet, cifar_resnet, resnet18, resnet34, resnet50, resnet101, resnet152
from .shufflenet_v2 import ShuffleNetV2, shufflenet_v2_x1_0
from .vgg import VGG, vgg11, vgg11_bn, vgg13, vgg13_bn, vgg16, vgg16_bn, vgg19, vgg19_bn

# What all of them have: HEAD, the name of their last Linear or of what it stands in; stages, where they may be cut.
Network: TypeAlias = AlexNet | ResNet | VGG | GoogLeNet | Inception3 | MobileNetV2 | ShuffleNetV2

_MAKERS = (
    *(resnet18, resnet34, resnet50, resnet101, resnet152, alexnet, alexnet_2012),
    *(vgg11, vgg11_bn, vgg13, vgg13_bn, vgg16, vgg16_bn, vgg19, vgg19_bn),
    *(mobilenet_v2, shufflenet_v2_x1_0),
)
IMAGENET: dict[str, Any] = {make.__name__: make for make in _MAKERS}
# without auxiliary heads, which return scores of their own, and with the scale that their published weights take
IMAGENET |= {make.__name__: partial(make, aux_logits=False, transform_input=True) for make in (googlenet, inception_v3)}
# ResNets without shortcuts, for comparison: table 2 of He et al., CVPR 2016
PLAIN = {"plain18": partial(resnet18, residual=False), "plain34": partial(resnet34, residual=False)}
CIFAR = {f"resnet{depth}": partial(cifar_resnet, depth) for depth in (20, 32, 44, 56, 110, 1202)}
KNOWN: dict[str, Any] = IMAGENET | PLAIN | CIFAR
SETTINGS = {  # of the training programs, that make a network what it is
    "alexnet": ("dropout", "width"),
    "alexnet_2012": ("dropout", "width", "groups", "pool_before_norm", "norm_across_halves"),
    **{arch: ("dropout", "width") for arch in IMAGENET if arch.startswith("vgg")},
    **{arch: ("shortcut",) for arch in IMAGENET if arch.startswith("resnet")},
    **dict.fromkeys(("googlenet", "inception_v3"), ("dropout", "aux_logits", "transform_input")),
    "mobilenet_v2": ("dropout",),
    **dict.fromkeys(CIFAR, ("plain", "shortcut", "zero_padding")),
}


EARLIER = {"alexnet_2012": {"norm_across_halves": True}}  # of programs from before there was a choice


def create(arch: str, num_classes: int, settings: Mapping[str, Any] | None = None) -> Network:
    """A new network, such as "alexnet", "resnet50", "plain34" (for ImageNet) or "resnet56" (for CIFAR).

    settings: those of a program that trains such networks; the ones that are none of the network's are passed over.
    ValueError for a name that is in none of IMAGENET, PLAIN and CIFAR.
    """
    if arch not in KNOWN:
        raise ValueError(f"models.create: {unknown(arch)}; there are {', '.join(KNOWN)}")
    options = network_settings(arch, settings or {})
    if "plain" in options:
        options["residual"] = not options.pop("plain")
    return KNOWN[arch](num_classes=num_classes, **options)


def unknown(arch: str) -> str:
    """What is wrong with a name that is none, with the nearest ones: for messages."""
    near = difflib.get_close_matches(str(arch).lower().replace("-", "_"), KNOWN)
    return f"there is no network {arch!r:.60}{', but ' + ', '.join(near) if near else ''}"


def network_settings(arch: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a program's settings that makes the network `arch` what it is; transfer keeps it under "network".

    Those of an earlier program may lack one that has got another default since: they have what there was then."""
    earlier = EARLIER.get(arch, {}) if "arch" in settings else {}
    settings = {**earlier, **settings, **settings.get("network", {})}
    return {name: settings[name] for name in SETTINGS.get(arch, ()) if name in settings}
