"""A network cut into parts, for what is built on its feature maps.

The parts run one after the other: the first from the picture to the first stage, each other from one stage to the next.
They are made of the network's own layers, not of copies: training, freezing or loading one changes the other.
"""

from collections.abc import Sequence

from .. import nn
from .alexnet import AlexNet
from .googlenet import GoogLeNet, from_minus_one_to_one
from .inception_v3 import Inception3
from .mobilenet_v2 import MobileNetV2
from .resnet import ResNet
from .shufflenet_v2 import ShuffleNetV2
from .vgg import VGG


def trunk_layers(model: nn.Module) -> dict[str, nn.Module]:
    """What a network runs one after the other before it averages over positions: {dotted name: layer}, in order.

    model: a network of ``minicnn.models``; ValueError for any other. What GoogLeNet and Inception v3 do to pictures
    first, for published weights, is a layer, too: "transform_input".
    """
    if isinstance(model, (AlexNet, VGG, MobileNetV2)):
        return {f"features.{name}": layer for name, layer in model.features.named_children()}
    if isinstance(model, (ResNet, ShuffleNetV2, GoogLeNet, Inception3)):
        first = {"transform_input": _Scaled()} if getattr(model, "transform_input", False) else {}
        return first | dict(zip(model._trunk, model.trunk(), strict=True))
    networks = "an AlexNet, a VGG, a ResNet, a GoogLeNet, an Inception3, a MobileNetV2 or a ShuffleNetV2"
    raise ValueError(f"trunk_layers: takes {networks}, not {type(model).__name__}")


def parts_up_to(model: nn.Module, stages: Sequence[str]) -> list[nn.Sequential]:
    """One part for each of the stages, names of ``trunk_layers``, each ending with the layer of that name; what is
    behind the last is in none. ValueError for a name that is not there, names in another order than the layers, and a
    stage whose output the layer behind it overwrites, as a ReLU in place does."""
    layers = trunk_layers(model)
    names = list(layers)
    if unknown := [stage for stage in stages if stage not in names]:
        raise ValueError(f"{type(model).__name__} has no stage {unknown[0]!r} in its trunk; it has {', '.join(names)}")
    ends = [names.index(stage) + 1 for stage in stages]
    if not ends or ends != sorted(set(ends)):
        raise ValueError(f"stages {list(stages)} must be at least one name, in the order of {', '.join(names)}")
    for stage, end in zip(stages, ends, strict=True):
        if end < len(names) and getattr(layers[names[end]], "inplace", False):
            what = f"{names[end]!r}, {layers[names[end]]}, overwrites what stage {stage!r} gives out"
            raise ValueError(f"{what}; take {names[end]!r} as the stage, or another one")
    starts = [0, *ends[:-1]]
    return [nn.Sequential(*(layers[name] for name in names[a:b])) for a, b in zip(starts, ends, strict=True)]


class _Scaled(nn.Module):
    """Pictures as GoogLeNet's and Inception's published weights take them."""

    def forward(self, x):
        return from_minus_one_to_one(x)
