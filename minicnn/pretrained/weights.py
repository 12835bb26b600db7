"""Which weights there are: torchvision's, trained on ImageNet, for the architectures of minicnn.models.

V1 are the classic recipes. V2 are the same networks trained by a newer recipe (600 epochs, label smoothing, mixup,
CutMix), for pictures resized to 232 pixels instead of 256.

Left out are VGG-16's IMAGENET1K_FEATURES, which have no classifier.

Accuracies are torchvision's own: single central crop of 224 pixels (Inception v3: 299), ImageNet 2012's 50,000
validation pictures.
imagenet_classes.txt has torchvision's names of the 1,000 classes, a line each, in the order of their WordNet ids.

Source: torchvision.models, and https://pytorch.org/vision/stable/models.html
"""

from functools import cache
from pathlib import Path
from typing import NamedTuple

from .. import models
from ..data import CenterCrop, ChannelMeanStd, Compose, Normalize, ResizeShorter
from ..data.cifar import CLASSES
from ..models import Network, names
from .error import WeightsError

FOLDER = "https://download.pytorch.org/models/"


class Weights(NamedTuple):
    """One set of weights, and how pictures have to be prepared for it."""

    arch: str  # the name for models.create
    name: str
    url: str  # the file's name ends in the first hex digits of its SHA-256, 8 of them or 10
    top1: float  # % of the validation pictures classified right,
    top5: float  # and with the right class among the first five
    parameters: int  # as torchvision states them: of inception_v3 with its auxiliary head, which is not built here
    shorter_side: int = 256  # pixels, before the crop
    image_size: int = 224

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of ImageNet's 1,000 classes, or of CIFAR-10's ten, in the order of the network's outputs."""
        return CLASSES if self.name == CIFAR10.name else imagenet_classes()

    def build(self, num_classes: int | None = None) -> Network:
        """A new network, with its initial weights, for that many classes (None: as many as there are names)."""
        return models.create(self.arch, len(self.classes) if num_classes is None else num_classes)

    def transform(self) -> Compose:
        """PIL image -> PIL image of the network's size, to be called as transform(image, rng)."""
        return Compose([ResizeShorter(self.shorter_side), CenterCrop(self.image_size)])

    def normalize(self) -> Normalize:
        """uint8 (N, 3, H, W) -> what the network takes."""
        return ChannelMeanStd.imagenet()


def _weights(arch, name, file, top1, top5, parameters):
    shorter_side, image_size = 232 if name == "IMAGENET1K_V2" else 256, 224
    if arch == "inception_v3":
        shorter_side, image_size = 342, 299
    return Weights(arch, name, FOLDER + file, top1, top5, parameters, shorter_side, image_size)


V1, V2 = "IMAGENET1K_V1", "IMAGENET1K_V2"
WEIGHTS = (  # of each architecture the default last
    _weights("alexnet", V1, "alexnet-owt-7be5be79.pth", 56.522, 79.066, 61_100_840),
    _weights("resnet18", V1, "resnet18-f37072fd.pth", 69.758, 89.078, 11_689_512),
    _weights("resnet34", V1, "resnet34-b627a593.pth", 73.314, 91.420, 21_797_672),
    _weights("resnet50", V1, "resnet50-0676ba61.pth", 76.130, 92.862, 25_557_032),
    _weights("resnet50", V2, "resnet50-11ad3fa6.pth", 80.858, 95.434, 25_557_032),
    _weights("resnet101", V1, "resnet101-63fe2227.pth", 77.374, 93.546, 44_549_160),
    _weights("resnet101", V2, "resnet101-cd907fc2.pth", 81.886, 95.780, 44_549_160),
    _weights("resnet152", V1, "resnet152-394f9c45.pth", 78.312, 94.046, 60_192_808),
    _weights("resnet152", V2, "resnet152-f82ba261.pth", 82.284, 96.002, 60_192_808),
    _weights("vgg11", V1, "vgg11-8a719046.pth", 69.020, 88.628, 132_863_336),
    _weights("vgg11_bn", V1, "vgg11_bn-6002323d.pth", 70.370, 89.810, 132_868_840),
    _weights("vgg13", V1, "vgg13-19584684.pth", 69.928, 89.246, 133_047_848),
    _weights("vgg13_bn", V1, "vgg13_bn-abd245e5.pth", 71.586, 90.374, 133_053_736),
    _weights("vgg16", V1, "vgg16-397923af.pth", 71.592, 90.382, 138_357_544),
    _weights("vgg16_bn", V1, "vgg16_bn-6c64b313.pth", 73.360, 91.516, 138_365_992),
    _weights("vgg19", V1, "vgg19-dcbb9e9d.pth", 72.376, 90.876, 143_667_240),
    _weights("vgg19_bn", V1, "vgg19_bn-c79401a0.pth", 74.218, 91.842, 143_678_248),
    _weights("googlenet", V1, "googlenet-1378be20.pth", 69.778, 89.530, 6_624_904),
    _weights("inception_v3", V1, "inception_v3_google-0cc3c7bd.pth", 77.294, 93.450, 27_161_264),
    _weights("mobilenet_v2", V1, "mobilenet_v2-b0353104.pth", 71.878, 90.286, 3_504_872),
    _weights("mobilenet_v2", V2, "mobilenet_v2-7ebf99e0.pth", 72.154, 90.822, 3_504_872),
    _weights("shufflenet_v2_x1_0", V1, "shufflenetv2_x1-5666bf0f80.pth", 69.362, 88.316, 2_278_604),
)
CIFAR10 = Weights("resnet20", "CIFAR10", "", 0.0, 0.0, 0, shorter_side=32, image_size=32)  # no file is published here
ARCHS = tuple(dict.fromkeys(weights.arch for weights in WEIGHTS))


def get(arch: str, name: str = "DEFAULT") -> Weights:
    """The Weights of that architecture and name, "IMAGENET1K_V1", "IMAGENET1K_V2" or "DEFAULT", torchvision's default.

    WeightsError, a ValueError, if there are none.
    """
    found = {weights.name: weights for weights in WEIGHTS if weights.arch == arch}
    if not found:
        way_out = "; give a file of weights for it" if arch in names.CIFAR else ""
        raise WeightsError(f"pretrained: there are no weights for {arch!r}, only for {', '.join(ARCHS)}{way_out}")
    if name == "DEFAULT":
        return list(found.values())[-1]
    if name not in found:
        raise WeightsError(f"pretrained: {arch} has no weights {name!r}; it has {', '.join(found)} and DEFAULT")
    return found[name]


def of_file(arch: str) -> Weights:
    """The Weights of a file for that architecture: how pictures are prepared for it, if it has been trained as the
    published ones have. For CIFAR's networks that is on whole pictures of 32 pixels. WeightsError as ``get``."""
    named = {weights.arch for weights in WEIGHTS}
    return CIFAR10._replace(arch=arch) if arch in names.CIFAR and arch not in named else get(arch)


def published_names() -> set[str]:
    """The names of the files of all these weights."""
    return {weights.url.rpartition("/")[2] for weights in WEIGHTS}


@cache
def imagenet_classes() -> tuple[str, ...]:
    """The names of ImageNet 2012's 1,000 classes, a tuple."""
    text = Path(__file__).with_name("imagenet_classes.txt").read_text(encoding="utf-8")
    return tuple(text.splitlines())
