"""Inception v3: GoogLeNet's idea, with large filters taken apart into rows of small ones.

    A   35 x 35   1x1 | 1x1 5x5 | 1x1 3x3 3x3 | pool 1x1                    figure 5: 5x5 as two 3x3
    B   to 17     3x3/2 | 1x1 3x3 3x3/2 | pool/2                            figure 10: filters and pooling side by side
    C   17 x 17   1x1 | 1x1 1x7 7x1 | 1x1 7x1 1x7 7x1 1x7 | pool 1x1        figure 6: 7x7 as 1x7 and 7x1
    D   to 8      1x1 3x3/2 | 1x1 1x7 7x1 3x3/2 | pool/2
    E   8 x 8     1x1 | 1x1 (1x3 | 3x1) | 1x1 3x3 (1x3 | 3x1) | pool 1x1    figure 7: wider, not deeper

"|" stands between branches, whose channels are put one behind the other; "/2" is a stride. A 7x7 filter has 49 weights,
1x7 and 7x1 together have 14 and see the same pixels. The pictures are of 299 x 299, and the paper's point is that at
equal cost larger pictures with less in the first layers lose little.

One auxiliary head (googlenet.py) stands on the last map of 17 x 17. The paper finds that it does not speed up the
beginning but regularises the end. In training the network returns (scores, those of the head); a usual loss is

    scores, auxiliary = model(x)
    loss = F.cross_entropy(scores, labels) + 0.4 * F.cross_entropy(auxiliary, labels)

Note      Initial weights are torchvision's: N(0, 0.1), and N(0, 0.001) in the last layer of the auxiliary head. The
          published weights were trained by others, on pictures on the scale from -1 to 1 (`transform_input`).
Source    Szegedy et al., "Rethinking the Inception architecture for computer vision", CVPR 2016, table 1
"""

from typing import NamedTuple

from .. import functional as F
from .. import nn
from ..ops.shape import cat
from ..tensor import Tensor
from .googlenet import BasicConv2d, from_minus_one_to_one
from .trunk import Trunk


class InceptionA(nn.Module):
    """224 + pool_features channels."""

    def __init__(self, in_channels: int, pool_features: int) -> None:
        super().__init__()
        self.branch1x1 = BasicConv2d(in_channels, 64, 1)
        self.branch5x5_1 = BasicConv2d(in_channels, 48, 1)
        self.branch5x5_2 = BasicConv2d(48, 64, 5, padding=2)
        self.branch3x3dbl_1 = BasicConv2d(in_channels, 64, 1)
        self.branch3x3dbl_2 = BasicConv2d(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = BasicConv2d(96, 96, 3, padding=1)
        self.branch_pool = BasicConv2d(in_channels, pool_features, 1)

    def forward(self, x):
        wide = self.branch5x5_2(self.branch5x5_1(x))
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return cat([self.branch1x1(x), wide, double, self.branch_pool(_average(x))], dim=1)


class InceptionB(nn.Module):
    """480 channels more, a map of half the size."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.branch3x3 = BasicConv2d(in_channels, 384, 3, stride=2)
        self.branch3x3dbl_1 = BasicConv2d(in_channels, 64, 1)
        self.branch3x3dbl_2 = BasicConv2d(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = BasicConv2d(96, 96, 3, stride=2)

    def forward(self, x):
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return cat([self.branch3x3(x), double, F.max_pool2d(x, 3, stride=2)], dim=1)


class InceptionC(nn.Module):
    """768 channels; `channels` of them inside of the branches of 1x7 and 7x1."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        row, column = (1, 7), (7, 1)
        self.branch1x1 = BasicConv2d(in_channels, 192, 1)
        self.branch7x7_1 = BasicConv2d(in_channels, channels, 1)
        self.branch7x7_2 = BasicConv2d(channels, channels, row, padding=(0, 3))
        self.branch7x7_3 = BasicConv2d(channels, 192, column, padding=(3, 0))
        self.branch7x7dbl_1 = BasicConv2d(in_channels, channels, 1)
        self.branch7x7dbl_2 = BasicConv2d(channels, channels, column, padding=(3, 0))
        self.branch7x7dbl_3 = BasicConv2d(channels, channels, row, padding=(0, 3))
        self.branch7x7dbl_4 = BasicConv2d(channels, channels, column, padding=(3, 0))
        self.branch7x7dbl_5 = BasicConv2d(channels, 192, row, padding=(0, 3))
        self.branch_pool = BasicConv2d(in_channels, 192, 1)

    def forward(self, x):
        single = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x)))
        double = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        double = self.branch7x7dbl_5(self.branch7x7dbl_4(double))
        return cat([self.branch1x1(x), single, double, self.branch_pool(_average(x))], dim=1)


class InceptionD(nn.Module):
    """512 channels more, a map of half the size."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.branch3x3_1 = BasicConv2d(in_channels, 192, 1)
        self.branch3x3_2 = BasicConv2d(192, 320, 3, stride=2)
        self.branch7x7x3_1 = BasicConv2d(in_channels, 192, 1)
        self.branch7x7x3_2 = BasicConv2d(192, 192, (1, 7), padding=(0, 3))
        self.branch7x7x3_3 = BasicConv2d(192, 192, (7, 1), padding=(3, 0))
        self.branch7x7x3_4 = BasicConv2d(192, 192, 3, stride=2)

    def forward(self, x):
        wide = self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(x)))
        return cat([self.branch3x3_2(self.branch3x3_1(x)), self.branch7x7x3_4(wide), F.max_pool2d(x, 3, stride=2)], 1)


class InceptionE(nn.Module):
    """2048 channels: 320, twice (384 of 1x3 and 384 of 3x1), 192."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        row, column = (1, 3), (3, 1)
        self.branch1x1 = BasicConv2d(in_channels, 320, 1)
        self.branch3x3_1 = BasicConv2d(in_channels, 384, 1)
        self.branch3x3_2a = BasicConv2d(384, 384, row, padding=(0, 1))
        self.branch3x3_2b = BasicConv2d(384, 384, column, padding=(1, 0))
        self.branch3x3dbl_1 = BasicConv2d(in_channels, 448, 1)
        self.branch3x3dbl_2 = BasicConv2d(448, 384, 3, padding=1)
        self.branch3x3dbl_3a = BasicConv2d(384, 384, row, padding=(0, 1))
        self.branch3x3dbl_3b = BasicConv2d(384, 384, column, padding=(1, 0))
        self.branch_pool = BasicConv2d(in_channels, 192, 1)

    def forward(self, x):
        y = self.branch3x3_1(x)
        single = [self.branch3x3_2a(y), self.branch3x3_2b(y)]
        y = self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        double = [self.branch3x3dbl_3a(y), self.branch3x3dbl_3b(y)]
        return cat([self.branch1x1(x), *single, *double, self.branch_pool(_average(x))], dim=1)


class InceptionAux(nn.Module):
    """The auxiliary head: on a map of at least 17 x 17."""

    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__()
        self.conv0 = BasicConv2d(in_channels, 128, 1)
        self.conv1 = BasicConv2d(128, 768, 5)
        self.fc = nn.Linear(768, num_classes)

    def forward(self, x):
        x = self.conv1(self.conv0(F.avg_pool2d(x, 5, stride=3)))  # 17 x 17 to 5 x 5 to 1 x 1
        return self.fc(F.adaptive_avg_pool2d(x, (1, 1)).flatten(1))


class InceptionOutputs(NamedTuple):
    """What Inception v3 with its auxiliary head returns in training: (N, classes) both."""

    logits: Tensor
    aux_logits: Tensor

    @property
    def auxiliary_weight(self) -> float:
        """Of the head's loss in the sum: what PyTorch's tutorials take; the paper gives no number."""
        return 0.4


class Inception3(Trunk):
    """See ``inception_v3``."""

    AUXILIARY = ("AuxLogits",)

    def __init__(self, num_classes: int, aux_logits: bool, transform_input: bool, dropout: float) -> None:
        super().__init__()
        self.transform_input = transform_input
        self.Conv2d_1a_3x3 = BasicConv2d(3, 32, 3, stride=2)  # of 299 x 299: (N, 32, 149, 149)
        self.Conv2d_2a_3x3 = BasicConv2d(32, 32, 3)
        self.Conv2d_2b_3x3 = BasicConv2d(32, 64, 3, padding=1)  # (N, 64, 147, 147)
        self.maxpool1 = nn.MaxPool2d(3, stride=2)
        self.Conv2d_3b_1x1 = BasicConv2d(64, 80, 1)  # (N, 80, 73, 73)
        self.Conv2d_4a_3x3 = BasicConv2d(80, 192, 3)
        self.maxpool2 = nn.MaxPool2d(3, stride=2)  # (N, 192, 35, 35)
        self.Mixed_5b = InceptionA(192, pool_features=32)
        self.Mixed_5c = InceptionA(256, pool_features=64)
        self.Mixed_5d = InceptionA(288, pool_features=64)  # (N, 288, 35, 35)
        self.Mixed_6a = InceptionB(288)  # (N, 768, 17, 17)
        self.Mixed_6b = InceptionC(768, channels=128)
        self.Mixed_6c = InceptionC(768, channels=160)
        self.Mixed_6d = InceptionC(768, channels=160)
        self.Mixed_6e = InceptionC(768, channels=192)
        self.AuxLogits = InceptionAux(768, num_classes) if aux_logits else None
        self.Mixed_7a = InceptionD(768)  # (N, 1280, 8, 8)
        self.Mixed_7b = InceptionE(1280)
        self.Mixed_7c = InceptionE(2048)  # (N, 2048, 8, 8)
        self._trunk = tuple(name for name in self._modules if name != "AuxLogits")
        self.stages = ["maxpool2", "Mixed_5d", "Mixed_6e", "Mixed_7c"]
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(2048, num_classes)
        for layer in self.modules():
            if isinstance(layer, (nn.Conv2d, nn.Linear)):
                nn.init.normal_(layer.weight, std=0.1)
        if self.AuxLogits:
            nn.init.normal_(self.AuxLogits.fc.weight, std=0.001)

    def forward(self, x):
        head, auxiliary = self.AuxLogits if self.training else None, None
        x = from_minus_one_to_one(x) if self.transform_input else x
        for name, layer in zip(self._trunk, self.trunk(), strict=True):
            x = layer(x)
            if head and name == "Mixed_6e":
                auxiliary = head(x)
        scores = self.fc(self.dropout(self.avgpool(x)).flatten(1))
        return InceptionOutputs(scores, auxiliary) if head else scores


def inception_v3(
    num_classes: int = 1000, aux_logits: bool = True, transform_input: bool = False, dropout: float = 0.5
) -> Inception3:
    """27,161,264 parameters, 23,834,568 without the auxiliary head, and torchvision's ``state_dict`` keys. Takes
    (N, 3, H, W) with H, W >= 75, in training with the auxiliary head >= 299.

    aux_logits, transform_input: as of ``googlenet``; in training it returns ``InceptionOutputs``.
    """
    return Inception3(num_classes, aux_logits, transform_input, dropout)


def _average(x):
    return F.avg_pool2d(x, 3, stride=1, padding=1)  # keeps the size
