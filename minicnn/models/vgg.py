"""VGG: nothing but 3 x 3 convolutions, in blocks that halve the size and double the channels.

Two 3 x 3 convolutions, one on the other, see 5 x 5 pixels, three see 7 x 7: with fewer weights than one large filter
(27 C^2 instead of 49 C^2 for C channels), and with ReLUs between them. So the networks could be as deep as 19 layers:

    blocks of 3 x 3   64     128    256     512     512     ReLU behind each, 2 x 2 pooling behind each block
    vgg11   ("A")     1      1      2       2       2       132,863,336 parameters, 132,868,840 with batch norm
    vgg13   ("B")     2      2      2       2       2       133,047,848             133,053,736
    vgg16   ("D")     2      2      3       3       3       138,357,544             138,365,992
    vgg19   ("E")     2      2      4       4       4       143,667,240             143,678,248
    pixels, of 224    112    56     28      14      7       behind the block

and then three fully connected layers, 4096, 4096 and 1000 wide, in which nine of ten parameters lie: 102,764,544 of
them look at the last 7 x 7 positions. Later networks average those instead (resnet.py).

The paper is of 2014, and without batch norm: its deeper networks were begun with trained layers of the shallowest. With
batch norm behind each convolution (``vgg16_bn``) that is not needed. Initial weights are torchvision's: He's (fan_out)
for convolutions, N(0, 0.01) for the fully connected layers, all biases 0.

Source    Simonyan and Zisserman, "Very deep convolutional networks for large-scale image recognition", ICLR 2015,
          table 1
"""

from .. import nn

BLOCKS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}  # convolutions in each


class VGG(nn.Module):
    """features (five blocks of convolutions) -> average to 7 x 7 -> classifier (three fully connected layers)."""

    HEAD = "classifier"

    def __init__(self, features: nn.Sequential, classifier: nn.Sequential) -> None:
        super().__init__()
        self.features = features
        self.avgpool = nn.AdaptiveAvgPool2d((7, 7))  # whatever size the pictures have
        self.classifier = classifier
        # where the network may be cut: the names of what ends each block, and of the ReLUs of the hidden layers
        pools = [i for i, layer in enumerate(features) if isinstance(layer, nn.MaxPool2d)]
        hidden = [i for i, layer in enumerate(classifier) if isinstance(layer, nn.ReLU)]
        self.stages = [*(f"features.{i}" for i in pools), *(f"classifier.{i}" for i in hidden)]

    def forward(self, x):
        x = self.avgpool(self.features(x))  # (N, 512, 7, 7)
        return self.classifier(x.flatten(1))  # of (N, 25088)


def vgg11(num_classes: int = 1000, dropout: float = 0.5, width: int = 4096) -> VGG:
    """Configuration A of the paper, with torchvision's ``state_dict`` keys, as have the other seven. Takes (N, 3, H, W)
    with H, W >= 32.

    width: neurons in each of the two hidden fully connected layers; 4096 is VGG.
    """
    return _vgg(11, False, num_classes, dropout, width)


def vgg11_bn(num_classes: int = 1000, dropout: float = 0.5, width: int = 4096) -> VGG:
    """Configuration A with batch norm."""
    return _vgg(11, True, num_classes, dropout, width)


def vgg13(num_classes: int = 1000, dropout: float = 0.5, width: int = 4096) -> VGG:
    """Configuration B."""
    return _vgg(13, False, num_classes, dropout, width)


def vgg13_bn(num_classes: int = 1000, dropout: float = 0.5, width: int = 4096) -> VGG:
    """Configuration B with batch norm."""
    return _vgg(13, True, num_classes, dropout, width)


def vgg16(num_classes: int = 1000, dropout: float = 0.5, width: int = 4096) -> VGG:
    """Configuration D."""
    return _vgg(16, False, num_classes, dropout, width)


def vgg16_bn(num_classes: int = 1000, dropout: float = 0.5, width: int = 4096) -> VGG:
    """Configuration D with batch norm."""
    return _vgg(16, True, num_classes, dropout, width)


def vgg19(num_classes: int = 1000, dropout: float = 0.5, width: int = 4096) -> VGG:
    """Configuration E."""
    return _vgg(19, False, num_classes, dropout, width)


def vgg19_bn(num_classes: int = 1000, dropout: float = 0.5, width: int = 4096) -> VGG:
    """Configuration E with batch norm."""
    return _vgg(19, True, num_classes, dropout, width)


def _vgg(depth, batch_norm, num_classes, dropout, width):
    layers, in_channels = [], 3
    for block, count in enumerate(BLOCKS[depth]):
        channels = min(64 * 2**block, 512)
        for _ in range(count):
            layers.append(_initialised(nn.Conv2d(in_channels, channels, kernel_size=3, padding=1)))  # keeps the size
            layers += [nn.BatchNorm2d(channels)] if batch_norm else []
            layers.append(nn.ReLU(inplace=True))
            in_channels = channels
        layers.append(nn.MaxPool2d(kernel_size=2, stride=2))  # halves it
    classifier = nn.Sequential(
        _initialised(nn.Linear(512 * 7 * 7, width)),
        nn.ReLU(inplace=True),
        nn.Dropout(dropout),
        _initialised(nn.Linear(width, width)),
        nn.ReLU(inplace=True),
        nn.Dropout(dropout),
        _initialised(nn.Linear(width, num_classes)),
    )
    return VGG(nn.Sequential(*layers), classifier)


def _initialised(layer):
    if isinstance(layer, nn.Conv2d):
        nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    else:
        nn.init.normal_(layer.weight, std=0.01)
    nn.init.constant_(layer.bias, 0.0)
    return layer
