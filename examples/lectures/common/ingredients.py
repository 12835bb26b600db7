"""A small convolutional net with or without what is said to have made deep nets work."""

from typing import NamedTuple

from minicnn import nn


class Ingredients(NamedTuple):
    """What a net has, and how it is trained; ``_replace`` takes one away."""

    activation: type[nn.Module] = nn.ReLU
    batch_norm: bool = True
    dropout: float = 0.5
    augmentation: bool = True
    share: int = 1  # it is trained on one picture in so many
    deep: bool = True  # five convolutions and two fully connected layers, or one of each

    def build(self, channels: int, width: int, classes: int) -> nn.Sequential:
        """The net for pictures of `channels` and 14 pixels or more: convolutions, of `width` filters to begin with, and
        a classifier."""
        layers: list[nn.Module] = []
        for number, times in enumerate((1, 1, 2, 2, 4) if self.deep else (1,)):
            filters = times * width
            layers.append(nn.Conv2d(channels, filters, 3, padding=1, bias=not self.batch_norm))
            layers += [nn.BatchNorm2d(filters)] if self.batch_norm else []
            layers.append(self.activation())
            layers += [nn.MaxPool2d(2)] if number in (1, 3) or not self.deep else []
            channels = filters
        side = 3 if self.deep else 7  # what the pools leave of 14 pixels
        layers += [nn.AdaptiveAvgPool2d((side, side)), nn.Flatten()]
        features = channels * side**2
        if self.deep:
            layers += [nn.Linear(features, 8 * width), self.activation()]
            features = 8 * width
        net = nn.Sequential(*layers, nn.Dropout(self.dropout), nn.Linear(features, classes))
        initialise = nn.init.kaiming_normal_ if self.activation is nn.ReLU else nn.init.xavier_normal_
        for layer in net:
            if isinstance(layer, (nn.Conv2d, nn.Linear)):
                initialise(layer.weight)
        return net
