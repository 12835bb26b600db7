"""ShuffleNetV2: half of the channels rest while the other half is worked on, and then the halves are shuffled.

    x ─ split ┬─────────────────────────────────────────────────────────┬─ cat ─ shuffle ──►     stride 1: figure 3c
              └─► 1x1 ─ bn ─ relu ─ 3x3 depthwise ─ bn ─ 1x1 ─ bn ─ relu ┘

    x ────────┬─► 3x3 depthwise/2 ─ bn ─ 1x1 ─ bn ─ relu ───────────────┬─ cat ─ shuffle ──►     stride 2: figure 3d
              └─► 1x1 ─ bn ─ relu ─ 3x3 depthwise/2 ─ bn ─ 1x1 ─ bn ─ relu ┘

Multiply-adds are not seconds: the paper measures that at equal multiply-adds a layer is fastest with as many channels
in as out, without groups in its 1x1, without many small branches, and without element-wise work such as an addition.
Hence the split: what rests costs nothing, as a ResNet's shortcut, but nothing is added. So that both halves learn of
each other, channels 0, 1, ... of the halves a and b are dealt out as a0, b0, a1, b1, ...

Depthwise convolutions (mobilenet_v2.py) look at each channel alone. shufflenet_v2_x1_0 has stages of 4, 8 and 4 blocks
with 116, 232 and 464 channels (table 5), 2,278,604 parameters, and 145 million multiply-adds for 224 x 224 pixels.
Initial weights are the layers' own, as torchvision's.

Source    Ma et al., "ShuffleNet V2: practical guidelines for efficient CNN architecture design", ECCV 2018
"""

from .. import nn
from ..ops.shape import cat
from ..tensor import Tensor
from .trunk import Trunk


class InvertedResidual(nn.Module):
    """One of the two blocks above."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        half = out_channels // 2
        self.branch1 = None  # of stride 1: half of the channels as they are
        if stride > 1:
            self.branch1 = nn.Sequential(*_depthwise(in_channels, stride), *_mix(in_channels, half))
        into = in_channels if stride > 1 else half
        self.branch2 = nn.Sequential(*_mix(into, half), *_depthwise(half, stride), *_mix(half, half))

    def forward(self, x):
        if self.branch1:
            return shuffled(cat([self.branch1(x), self.branch2(x)], dim=1))
        half = x.shape[1] // 2
        return shuffled(cat([x[:, :half], self.branch2(x[:, half:])], dim=1))


def shuffled(x: Tensor) -> Tensor:
    """The channels of (N, C, H, W), whose halves are a and b, as a0, b0, a1, b1, ..."""
    n, channels, height, width = x.shape
    pairs = x.reshape(n, 2, channels // 2, height, width).transpose(1, 2)  # (N, C / 2, 2, H, W)
    return pairs.reshape(n, channels, height, width)


class ShuffleNetV2(Trunk):
    """See ``shufflenet_v2_x1_0``."""

    def __init__(self, num_classes: int, depths: tuple[int, ...], widths: tuple[int, ...]) -> None:
        super().__init__()
        first, *inner, last = widths
        self.conv1 = nn.Sequential(*_conv(3, first, 3, stride=2), nn.ReLU(inplace=True))  # of 224: (N, 24, 112, 112)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)  # (N, 24, 56, 56)
        channels, self.stages = first, []  # stages: where the network may be cut
        for number, (depth, width) in enumerate(zip(depths, inner, strict=True), start=2):
            more = [InvertedResidual(width, width, stride=1) for _ in range(depth - 1)]
            self.stages.append(f"stage{number}")
            setattr(self, f"stage{number}", nn.Sequential(InvertedResidual(channels, width, stride=2), *more))
            channels = width
        self.conv5 = nn.Sequential(*_mix(channels, last))  # (N, 1024, 7, 7)
        self.stages.append("conv5")
        self._trunk = tuple(self._modules)
        self.fc = nn.Linear(last, num_classes)

    def forward(self, x):
        for layer in self.trunk():
            x = layer(x)
        return self.fc(x.mean(dim=(2, 3)))  # of (N, 1024)


def shufflenet_v2_x1_0(num_classes: int = 1000) -> ShuffleNetV2:
    """2,278,604 parameters and torchvision's ``state_dict`` keys. Takes pictures (N, 3, H, W) of any size."""
    return ShuffleNetV2(num_classes, depths=(4, 8, 4), widths=(24, 116, 232, 464, 1024))


def _conv(in_channels, out_channels, kernel_size, stride=1, groups=1):
    """A convolution that keeps the size but for the stride, and batch norm."""
    padding = kernel_size // 2
    conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, groups=groups, bias=False)
    return conv, nn.BatchNorm2d(out_channels)


def _depthwise(channels, stride):
    return _conv(channels, channels, 3, stride, groups=channels)


def _mix(in_channels, out_channels):
    return *_conv(in_channels, out_channels, 1), nn.ReLU(inplace=True)
