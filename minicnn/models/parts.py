"""A network cut into parts, for what is built on its feature maps.

The parts run one after the other: the first from the picture to the first stage, each other from one stage to the next.
They are made of the network's own layers, not of copies: training, freezing or loading one changes the other.
"""

from collections.abc import Sequence

from .. import nn
from .alexnet import AlexNet
from .mobilenet_v2 import MobileNetV2
from .resnet import ResNet
from .shufflenet_v2 import ShuffleNetV2
from .vgg import VGG


def trunk_layers(model: nn.Module) -> dict[str, nn.Module]:
    """What a network runs one after the other before it averages over positions: {dotted name: layer}, in order.

    model: AlexNet, VGG, ResNet, MobileNetV2, ShuffleNetV2; ValueError for any other.
    """
    if isinstance(model, (AlexNet, VGG, MobileNetV2)):
        return {f"features.{name}": layer for name, layer in model.features.named_children()}
    if isinstance(model, (ResNet, ShuffleNetV2)):
        return dict(zip(model._trunk, model.trunk(), strict=True))
    networks = "an AlexNet, a VGG, a ResNet, a MobileNetV2 or a ShuffleNetV2"
    raise ValueError(f"trunk_layers: takes {networks}, not {type(model).__name__}")


def parts_up_to(model: nn.Module, stages: Sequence[str]) -> list[nn.Sequential]:
    """One part for each of the stages, names of ``trunk_layers``, each ending with the layer of that name; what is
    behind the last is in none. ValueError for a name that is not there, or names in another order than the layers."""
    layers = trunk_layers(model)
    names = list(layers)
    if unknown := [stage for stage in stages if stage not in names]:
        raise ValueError(f"{type(model).__name__} has no stage {unknown[0]!r} in its trunk; it has {', '.join(names)}")
    ends = [names.index(stage) + 1 for stage in stages]
    if not ends or ends != sorted(set(ends)):
        raise ValueError(f"stages {list(stages)} must be at least one name, in the order of {', '.join(names)}")
    starts = [0, *ends[:-1]]
    return [nn.Sequential(*(layers[name] for name in names[a:b])) for a, b in zip(starts, ends, strict=True)]
