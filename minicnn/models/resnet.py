"""Residual networks: blocks that learn what to add to their input (He et al., CVPR 2016).

    x ──► conv ─ bn ─ relu ─ conv ─ bn ───────────────────► + ──► relu      BasicBlock: ResNet-18, -34, all for CIFAR
    x ──► 1x1 ─ bn ─ relu ─ 3x3 ─ bn ─ relu ─ 1x1 ─ bn ───► + ──► relu      Bottleneck: ResNet-50, -101, -152
    └───────────────────── shortcut ──────────────────────┘

If the best that a block can do is nothing, its weights need only go to zero. A plain network (``residual=False``) would
have to learn the identity there, which is why deep plain networks train worse than shallow ones (the paper's figure 1).

Where a block changes the shape, its shortcut has to do so too (section 3.3). Option A takes every second pixel and adds
channels of zeros, without parameters; B projects by a 1x1 convolution there, as torchvision does; C does so everywhere.
The paper does not say where the zeros go: here they stand behind the channels that there are; in a much used PyTorch
implementation of the nets for CIFAR half stand before (``zero_padding="around"``). Each is as good as the other, but
weights of the one are worthless in the other, and their shapes do not show it.
Every convolution is followed by batch norm, and its weights start out as in He et al., ICCV 2015.

Note      torchvision strides in the 3x3 convolution of a bottleneck ("v1.5"), the paper in the 1x1 before it
          (``paper_stride=True``). Lecture notes that print weight decay 1e-5 and "Xavier" for ResNet are wrong: it was
          trained with 1e-4, from He's initial weights.
"""

from collections.abc import Mapping, Sequence

from .. import nn
from ..device import full
from ..nn.fused import chain  # layer after layer; a ReLU as one op with the layer before it
from ..ops.shape import cat
from ..tensor import Tensor
from .trunk import Trunk


class BasicBlock(nn.Module):
    """Two 3x3 convolutions, the first with the stride."""

    expansion = 1

    def __init__(
        self, in_channels: int, channels: int, stride: int, shortcut: str, residual: bool, paper_stride: bool
    ) -> None:
        super().__init__()
        self.conv1 = _conv(in_channels, channels, 3, stride)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = _conv(channels, channels, 3)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample = _shortcut(shortcut, in_channels, channels, stride) if residual else None
        self.residual = residual

    def forward(self, x):
        y = chain(x, self.conv1, self.bn1, self.relu)  # (N, channels, H / stride, W / stride)
        return chain(y, self.conv2, self.bn2, self.relu, residual=_shortcut_of(self, x))


class Bottleneck(nn.Module):
    """1x1 down to `channels`, 3x3, 1x1 up to four times as many: about as costly as a BasicBlock of `channels`."""

    expansion = 4

    def __init__(
        self, in_channels: int, channels: int, stride: int, shortcut: str, residual: bool, paper_stride: bool
    ) -> None:
        super().__init__()
        stride1, stride2 = (stride, 1) if paper_stride else (1, stride)  # of the 1x1, of the 3x3
        out_channels = channels * self.expansion
        self.conv1 = _conv(in_channels, channels, 1, stride1)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = _conv(channels, channels, 3, stride2)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = _conv(channels, out_channels, 1)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(shortcut, in_channels, out_channels, stride) if residual else None
        self.residual = residual

    def forward(self, x):
        y = chain(x, self.conv1, self.bn1, self.relu)
        y = chain(y, self.conv2, self.bn2, self.relu)
        return chain(y, self.conv3, self.bn3, self.relu, residual=_shortcut_of(self, x))  # (N, 4 channels, ...)


class ZeroPad(nn.Module):
    """Option A: every `stride`-th pixel, and channels of zeros behind those that there are, or around them: half of the
    zeros before, half behind (see ``zero_pads``)."""

    def __init__(self, out_channels: int, stride: int) -> None:
        super().__init__()
        self.out_channels, self.stride, self.zero_padding = out_channels, stride, "behind"

    def forward(self, x):
        x = x[:, :, :: self.stride, :: self.stride]  # (N, C, H / stride, W / stride)
        n, channels, height, width = x.shape
        more = self.out_channels - channels
        before = more // 2 if self.zero_padding == "around" else 0  # channels of zeros before x's own
        zeros = Tensor(full(x.data, (n, more, height, width), 0))  # no parameters, and no gradient
        return cat([zeros[:, :before], x, zeros[:, before:]] if before else [x, zeros], dim=1)

    def extra_repr(self):
        return f"{self.out_channels}, stride={self.stride}, zero_padding={self.zero_padding!r}"


class ResNet(Trunk):
    """stem (a dict of named layers) -> layer1, layer2, ... of blocks -> global average -> fc.

    Each layer after the first halves the size. depths, widths: blocks of each layer, and their channels.
    """

    def __init__(
        self,
        stem: Mapping[str, nn.Module],
        block: type[BasicBlock | Bottleneck],
        depths: Sequence[int],
        widths: Sequence[int],
        num_classes: int,
        shortcut: str,
        residual: bool,
        paper_stride: bool,
    ) -> None:
        super().__init__()
        if shortcut not in ("A", "B", "C"):
            raise ValueError(f'ResNet: shortcut must be "A", "B" or "C", got {shortcut!r}')
        for name, layer in stem.items():
            setattr(self, name, layer)  # registers it (nn/attributes.py)
        self.residual = residual
        layers, channels = [f"layer{i + 1}" for i in range(len(depths))], widths[0]  # channels: what comes out so far
        for i, (depth, width) in enumerate(zip(depths, widths, strict=True)):
            blocks = []
            for number in range(depth):
                stride = 2 if i > 0 and number == 0 else 1  # a layer's first block halves the size
                blocks.append(block(channels, width, stride, shortcut, residual, paper_stride))
                channels = width * block.expansion  # that the next block takes
            setattr(self, layers[i], nn.Sequential(*blocks))
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(channels, num_classes)
        self.stages = layers  # where the network may be cut: the names of the layers of blocks, from the input on
        self._trunk = (*stem, *layers)

    def forward(self, x):
        return self.fc(chain(x, *self.trunk(), self.avgpool).flatten(1))  # (N, channels, 1, 1) to (N, channels)


def resnet18(num_classes: int = 1000, shortcut: str = "B", residual: bool = True) -> ResNet:
    """11,689,512 parameters, torchvision's ``state_dict`` keys, as have the other four."""
    return _imagenet(BasicBlock, (2, 2, 2, 2), num_classes, shortcut, residual)


def resnet34(num_classes: int = 1000, shortcut: str = "B", residual: bool = True) -> ResNet:
    """21,797,672 parameters."""
    return _imagenet(BasicBlock, (3, 4, 6, 3), num_classes, shortcut, residual)


def resnet50(num_classes: int = 1000, shortcut: str = "B", residual: bool = True, paper_stride: bool = False) -> ResNet:
    """25,557,032 parameters."""
    return _imagenet(Bottleneck, (3, 4, 6, 3), num_classes, shortcut, residual, paper_stride)


def resnet101(
    num_classes: int = 1000, shortcut: str = "B", residual: bool = True, paper_stride: bool = False
) -> ResNet:
    """44,549,160 parameters."""
    return _imagenet(Bottleneck, (3, 4, 23, 3), num_classes, shortcut, residual, paper_stride)


def resnet152(
    num_classes: int = 1000, shortcut: str = "B", residual: bool = True, paper_stride: bool = False
) -> ResNet:
    """60,192,808 parameters."""
    return _imagenet(Bottleneck, (3, 8, 36, 3), num_classes, shortcut, residual, paper_stride)


def cifar_resnet(
    depth: int, shortcut: str = "A", residual: bool = True, num_classes: int = 10, zero_padding: str = "behind"
) -> ResNet:
    """The nets of the paper's section 4.2, for pictures of 32 x 32: depth 6n + 2, 16, 32 and 64 channels.

    20, 32, 44, 56, 110 and 1202 have 269,722, 464,154, 658,586, 853,018, 1,727,962 and 19,421,274 parameters.
    zero_padding: where option A puts its zeros, "behind" the channels or "around" them, as published weights whose last
    layer is called ``linear`` want it.
    """
    if zero_padding not in ("behind", "around"):
        raise ValueError(f'cifar_resnet: zero_padding must be "behind" or "around", got {zero_padding!r}')
    if depth < 8 or (depth - 2) % 6:
        raise ValueError(f"cifar_resnet: depth must be 6n + 2, such as 20, 32, 44, 56, 110 or 1202, got {depth}")
    stem = {"conv1": _conv(3, 16, 3), "bn1": nn.BatchNorm2d(16), "relu": nn.ReLU(inplace=True)}
    depths = ((depth - 2) // 6,) * 3  # blocks of 2 convolutions in each of 3 layers; the stem and fc make it 6n + 2
    model = ResNet(stem, BasicBlock, depths, (16, 32, 64), num_classes, shortcut, residual, paper_stride=False)
    for layer in zero_pads(model):
        layer.zero_padding = zero_padding
    return model


def zero_pads(model: nn.Module) -> list[ZeroPad]:
    """The layers of a network that pad with channels of zeros: of option A, where a block changes the shape."""
    return [layer for layer in model.modules() if isinstance(layer, ZeroPad)]


def _imagenet(block, depths, num_classes, shortcut, residual, paper_stride=False):
    stem = {
        "conv1": _conv(3, 64, 7, stride=2),  # of 224 x 224: (N, 64, 112, 112)
        "bn1": nn.BatchNorm2d(64),
        "relu": nn.ReLU(inplace=True),
        "maxpool": nn.MaxPool2d(kernel_size=3, stride=2, padding=1),  # (N, 64, 56, 56)
    }
    return ResNet(stem, block, depths, (64, 128, 256, 512), num_classes, shortcut, residual, paper_stride)


def _conv(in_channels, out_channels, kernel_size, stride=1):
    """A convolution that keeps the size but for the stride; without bias, which batch norm behind it has."""
    conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding=kernel_size // 2, bias=False)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    return conv


def _shortcut(option, in_channels, out_channels, stride):
    """The module of a shortcut; None where it is the identity."""
    same_shape = stride == 1 and in_channels == out_channels
    if same_shape and option != "C":  # x can be added as it is
        return None
    if option == "A":  # no parameters
        return ZeroPad(out_channels, stride)
    return nn.Sequential(_conv(in_channels, out_channels, 1, stride), nn.BatchNorm2d(out_channels))


def _shortcut_of(block, x):
    """What is added to the block's result; None for a plain network."""
    if not block.residual:  # a plain network
        return None
    return x if block.downsample is None else block.downsample(x)
