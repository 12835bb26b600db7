"""Networks assembled from ``minicnn.nn``."""

from .alexnet import AlexNet, alexnet, alexnet_2012
from .alexnet_split import SplitAlexNet, alexnet_2012_split
from .dense import fully_convolutional
from .fcn import FCN, fcn
from .googlenet import GoogLeNet, googlenet
from .inception_v3 import Inception3, inception_v3
from .mobilenet_v2 import MobileNetV2, mobilenet_v2
from .names import Network, create
from .resnet import ResNet, cifar_resnet, resnet18, resnet34, resnet50, resnet101, resnet152
from .shufflenet_v2 import ShuffleNetV2, shufflenet_v2_x1_0
from .split_classifier import SplitClassifier, split_classifier
from .ssd import SSD, ssd
from .vgg import VGG, vgg11, vgg11_bn, vgg13, vgg13_bn, vgg16, vgg16_bn, vgg19, vgg19_bn

__all__ = [
    "FCN", "SSD", "VGG", "AlexNet", "GoogLeNet", "Inception3", "MobileNetV2", "Network", "ResNet", "ShuffleNetV2",
    "SplitAlexNet", "SplitClassifier", "alexnet", "alexnet_2012", "alexnet_2012_split", "cifar_resnet", "create",
    "fcn", "fully_convolutional", "googlenet", "inception_v3", "mobilenet_v2", "resnet18", "resnet34", "resnet50",
    "resnet101", "resnet152", "shufflenet_v2_x1_0", "split_classifier", "ssd", "vgg11", "vgg11_bn", "vgg13",
    "vgg13_bn", "vgg16", "vgg16_bn", "vgg19", "vgg19_bn",
]  # fmt: skip
