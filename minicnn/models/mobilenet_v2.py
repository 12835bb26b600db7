"""MobileNetV2: convolutions that look at each channel alone, between 1 x 1 convolutions that mix channels.

    x ──► 1x1 ─ bn ─ relu6 ──► 3x3 each channel alone ─ bn ─ relu6 ──► 1x1 ─ bn ──► + ──► y      the paper's figure 4d
    │     to 6 times as many   ("depthwise")                           to few       │
    └─────────────────────── if the shape stays the same ───────────────────────────┘

A 3x3 convolution of C channels to C costs 9 C^2 multiply-adds a position; channel by channel it costs 9 C, and the 1x1
that mixes them C^2: eight to nine times less. ResNet's bottleneck (resnet.py) is wide, narrow inside, wide; this block
is the other way round, an *inverted residual*: what is kept between blocks is narrow, and has no ReLU behind it (a
*linear bottleneck*), for a ReLU of few channels would destroy what they carry. ReLU6 is min(max(x, 0), 6).

    blocks    16 channels x 1, 24 x 2, 32 x 3, 64 x 4, 96 x 3, 160 x 3, 320 x 1: table 2. 3,504,872 parameters in all,
              301 million multiply-adds for 224 x 224 pixels, a thirteenth of ResNet-50's.

Initial weights are He's (fan_out) in convolutions, N(0, 0.01) in the last layer, whose bias is 0, as torchvision's.

Source    Sandler et al., "MobileNetV2: inverted residuals and linear bottlenecks", CVPR 2018; depthwise convolutions:
          Howard et al., "MobileNets", 2017
"""

from .. import functional as F
from .. import nn

BLOCKS = (  # times as many channels inside, channels, blocks, stride of the first: table 2
    *((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2)),
    *((6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)),
)


class InvertedResidual(nn.Module):
    """The block above; without the first 1x1 if `expand` is 1."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, expand: int) -> None:
        super().__init__()
        inside = in_channels * expand
        first = [_conv(in_channels, inside, 1)] if expand != 1 else []
        depthwise = _conv(inside, inside, 3, stride, groups=inside)
        self.conv = nn.Sequential(
            *first, depthwise, nn.Conv2d(inside, out_channels, 1, bias=False), nn.BatchNorm2d(out_channels)
        )
        self.residual = stride == 1 and in_channels == out_channels

    def forward(self, x):
        y = self.conv(x)
        return F.residual_add(y, x) if self.residual else y


class MobileNetV2(nn.Module):
    """features (convolutions) -> average over all positions -> classifier (one fully connected layer)."""

    HEAD = "classifier"

    def __init__(self, num_classes: int, dropout: float) -> None:
        super().__init__()
        layers: list[nn.Module] = [_conv(3, 32, 3, stride=2)]  # of 224 x 224: (N, 32, 112, 112)
        channels, ends = 32, []
        for expand, out_channels, count, first_stride in BLOCKS:
            if first_stride == 2:
                ends.append(len(layers) - 1)  # the last layer before the map shrinks
            for number in range(count):
                stride = first_stride if number == 0 else 1
                layers.append(InvertedResidual(channels, out_channels, stride, expand))
                channels = out_channels
        layers.append(_conv(320, 1280, 1))  # (N, 1280, 7, 7)
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(1280, num_classes))
        self.stages = [f"features.{i}" for i in (*ends, len(layers) - 1)]  # where the network may be cut
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out")
        nn.init.normal_(self.classifier[1].weight, std=0.01)
        nn.init.constant_(self.classifier[1].bias, 0.0)

    def forward(self, x):
        x = F.adaptive_avg_pool2d(self.features(x), (1, 1))
        return self.classifier(x.flatten(1))  # of (N, 1280)


def mobilenet_v2(num_classes: int = 1000, dropout: float = 0.2) -> MobileNetV2:
    """3,504,872 parameters and torchvision's ``state_dict`` keys. Takes pictures (N, 3, H, W) of any size."""
    return MobileNetV2(num_classes, dropout)


def _conv(in_channels, out_channels, kernel_size, stride=1, groups=1):
    """A convolution that keeps the size but for the stride, batch norm, ReLU6."""
    padding = kernel_size // 2
    conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(out_channels), nn.ReLU6(inplace=True))
