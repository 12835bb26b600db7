"""GoogLeNet, or Inception v1: filters of several sizes side by side, and 1 x 1 convolutions that make them cheap.

    x ─┬─► 1x1 ──────────────► ┐
       ├─► 1x1 ──► 3x3 ──────► │ channels         the paper's figure 2b: nobody has to choose the filter's size;
       ├─► 1x1 ──► 5x5 ──────► │ one behind       the 1x1 in front of a large filter leaves it few channels, so that
       └─► 3x3 max pool ─► 1x1 ┘ the other        block 3b costs 304 million multiply-adds and not 854 million

Nine such blocks are 22 layers with weights. There is no large classifier: the 7 x 7 positions of the last map are
averaged, so the network has 6,624,904 parameters, a twentieth of VGG's (vgg.py), at a like accuracy.

It was too deep for the initial weights of 2014. Two *auxiliary heads*, small classifiers on the maps of the blocks 4a
and 4d, bring a gradient to the lower layers; they run in training only, where the network returns three arrays of
scores, and the paper adds 0.3 of their losses:

    scores, aux2, aux1 = model(x)
    loss = F.cross_entropy(scores, labels) + 0.3 * (F.cross_entropy(aux1, labels) + F.cross_entropy(aux2, labels))

Note      This is torchvision's network: with batch norm behind each convolution, which the paper has not (nor LRN any
          more), and with 3x3 where the paper has 5x5, as its weights were trained. Its initial
          weights are N(0, 0.01). Its published weights take pictures on the scale from -1 to 1 (`transform_input`).
Source    Szegedy et al., "Going deeper with convolutions", CVPR 2015, figures 2 and 3, table 1
"""

from typing import NamedTuple

import numpy as np

from .. import functional as F
from .. import nn
from ..nn.fused import chain  # layer after layer; a ReLU as one op with the layer before it
from ..ops.shape import cat
from ..tensor import Tensor
from ..types import Size
from .trunk import Trunk

RELU = nn.ReLU(inplace=True)  # of every convolution; not registered as a layer, as in torchvision


class BasicConv2d(nn.Module):
    """Convolution, batch norm, ReLU."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Size, stride: Size = 1, padding: Size = 0
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(out_channels, eps=0.001)

    def forward(self, x):
        return chain(x, self.conv, self.bn, RELU)


class Inception(nn.Module):
    """The block above: ch1x1 + ch3x3 + ch5x5 + pool_proj channels. reduce3x3, reduce5x5: what a 1x1 leaves for them."""

    def __init__(
        self, in_channels: int, ch1x1: int, reduce3x3: int, ch3x3: int, reduce5x5: int, ch5x5: int, pool_proj: int
    ) -> None:
        super().__init__()
        self.branch1 = BasicConv2d(in_channels, ch1x1, 1)
        self.branch2 = nn.Sequential(
            BasicConv2d(in_channels, reduce3x3, 1), BasicConv2d(reduce3x3, ch3x3, 3, padding=1)
        )
        self.branch3 = nn.Sequential(
            BasicConv2d(in_channels, reduce5x5, 1), BasicConv2d(reduce5x5, ch5x5, 3, padding=1)
        )
        pool = nn.MaxPool2d(3, stride=1, padding=1, ceil_mode=True)  # keeps the size
        self.branch4 = nn.Sequential(pool, BasicConv2d(in_channels, pool_proj, 1))

    def forward(self, x):
        return cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], dim=1)  # (N, sum, H, W)


class InceptionAux(nn.Module):
    """An auxiliary head: average to 4 x 4, 1x1 convolution, two fully connected layers."""

    def __init__(self, in_channels: int, num_classes: int, dropout: float) -> None:
        super().__init__()
        self.conv = BasicConv2d(in_channels, 128, 1)
        self.fc1 = nn.Linear(128 * 4 * 4, 1024)
        self.fc2 = nn.Linear(1024, num_classes)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x):
        x = self.conv(F.adaptive_avg_pool2d(x, (4, 4))).flatten(1)  # (N, 2048)
        return self.fc2(self.dropout(F.relu(self.fc1(x), inplace=True)))


class GoogLeNetOutputs(NamedTuple):
    """What GoogLeNet with auxiliary heads returns in training: (N, classes) each, aux_logits2 that of the later one."""

    logits: Tensor
    aux_logits2: Tensor
    aux_logits1: Tensor

    @property
    def auxiliary_weight(self) -> float:
        """Of each head's loss in the sum: section 5 of the paper."""
        return 0.3


class GoogLeNet(Trunk):
    """See ``googlenet``."""

    AUXILIARY = ("aux1", "aux2")

    def __init__(
        self, num_classes: int, aux_logits: bool, transform_input: bool, dropout: float, dropout_aux: float
    ) -> None:
        super().__init__()
        self.transform_input = transform_input
        self.conv1 = BasicConv2d(3, 64, 7, stride=2, padding=3)  # of 224 x 224: (N, 64, 112, 112)
        self.maxpool1 = nn.MaxPool2d(3, stride=2, ceil_mode=True)  # (N, 64, 56, 56)
        self.conv2 = BasicConv2d(64, 64, 1)
        self.conv3 = BasicConv2d(64, 192, 3, padding=1)
        self.maxpool2 = nn.MaxPool2d(3, stride=2, ceil_mode=True)  # (N, 192, 28, 28)
        self.inception3a = Inception(192, 64, 96, 128, 16, 32, 32)
        self.inception3b = Inception(256, 128, 128, 192, 32, 96, 64)
        self.maxpool3 = nn.MaxPool2d(3, stride=2, ceil_mode=True)  # (N, 480, 14, 14)
        self.inception4a = Inception(480, 192, 96, 208, 16, 48, 64)
        self.inception4b = Inception(512, 160, 112, 224, 24, 64, 64)
        self.inception4c = Inception(512, 128, 128, 256, 24, 64, 64)
        self.inception4d = Inception(512, 112, 144, 288, 32, 64, 64)
        self.inception4e = Inception(528, 256, 160, 320, 32, 128, 128)
        self.maxpool4 = nn.MaxPool2d(2, stride=2, ceil_mode=True)  # (N, 832, 7, 7)
        self.inception5a = Inception(832, 256, 160, 320, 32, 128, 128)
        self.inception5b = Inception(832, 384, 192, 384, 48, 128, 128)  # (N, 1024, 7, 7)
        self._trunk = tuple(self._modules)
        self.stages = ["maxpool2", "inception3b", "inception4e", "inception5b"]
        self.aux1 = InceptionAux(512, num_classes, dropout_aux) if aux_logits else None
        self.aux2 = InceptionAux(528, num_classes, dropout_aux) if aux_logits else None
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(1024, num_classes)
        for layer in self.modules():
            if isinstance(layer, (nn.Conv2d, nn.Linear)):
                nn.init.normal_(layer.weight, std=0.01)

    def forward(self, x):
        heads = {"inception4a": self.aux1, "inception4d": self.aux2} if self.training and self.aux1 else {}
        x, auxiliary = from_minus_one_to_one(x) if self.transform_input else x, []
        for name, layer in zip(self._trunk, self.trunk(), strict=True):
            x = layer(x)
            if name in heads:
                auxiliary.append(heads[name](x))
        scores = self.fc(self.dropout(self.avgpool(x).flatten(1)))
        return GoogLeNetOutputs(scores, *reversed(auxiliary)) if heads else scores


def googlenet(
    num_classes: int = 1000, aux_logits: bool = True, transform_input: bool = False, dropout: float = 0.2,
    dropout_aux: float = 0.7,
) -> GoogLeNet:  # fmt: skip
    """13,004,888 parameters, 6,624,904 without auxiliary heads, and torchvision's ``state_dict`` keys. Takes
    (N, 3, H, W) with H, W >= 15.

    aux_logits: with auxiliary heads, so that in training it returns ``GoogLeNetOutputs``. transform_input: pictures are
    normalised as ImageNet's usually are, and brought to the scale that the published weights were trained on.
    """
    return GoogLeNet(num_classes, aux_logits, transform_input, dropout, dropout_aux)


def from_minus_one_to_one(x: Tensor) -> Tensor:
    """Pixels that were normalised by ImageNet's mean and standard deviation (``ChannelMeanStd.imagenet``), as numbers
    from -1 (black) to 1: (N, 3, H, W) both. ValueError for another number of channels."""
    if x.ndim != 4 or x.shape[1] != 3:  # one channel would be broadcast to three
        raise ValueError(f"transform_input: takes pictures (N, 3, H, W) in colour, got shape {x.shape}")
    mean, std = np.array([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]]).reshape(2, 3, 1, 1).astype(x.dtype)
    return x * Tensor(std / 0.5).to(x.device) + Tensor((mean - 0.5) / 0.5).to(x.device)
