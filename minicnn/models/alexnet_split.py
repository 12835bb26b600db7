"""The AlexNet of 2012 as it was trained: on two processors, of which each holds half of every layer.

Each rank (distributed/ranks.py) has half of the filters and of the neurons, and gets every picture. The ranks meet
where a layer sees all of the layer before it (section 3.2 and figure 2 of Krizhevsky et al., NIPS 2012); conv2, conv4
and conv5 see what lies on their own side, as they do in ``alexnet_2012(groups=2)``, which has the same numbers:

    rank 0   x - conv1 - conv2 -+- conv3 - conv4 - conv5 -+- fc6 -+- fc7 -+- fc8 -+- scores
    rank 1   x - conv1 - conv2 -+- conv3 - conv4 - conv5 -+- fc6 -+- fc7 -+- fc8 -+- scores

An all_gather (``+``) has the layer's outputs on both ranks, in the order of the whole network. Dropout comes behind it,
so that both draw the mask that the whole network draws. Both end with the same scores: a loss of these counts twice,
and begins with its share,

    loss = F.cross_entropy(model(images), labels)
    (loss / world().size).backward()

after which every parameter's gradient is complete. A checkpoint is the whole network's: ``nn.gather_state(model)`` and
``model.load_state_dict(nn.split_state(model, state))``.
"""

from .. import functional as F
from .. import nn
from ..distributed import world
from ..nn.split import keep_own_outputs
from ..ops.shape import cat
from ..settings import whole
from .alexnet import AlexNet, alexnet_2012

CONV3 = 8  # its place in ``features``
FILTERS = 32  # the largest number that divides those of all convolutions' filters: 96, 256, 384


class SplitAlexNet(AlexNet):
    """A rank's part of the network whose layers it is made of; these are cut down in place."""

    own_part = True

    def __init__(self, features: nn.Sequential, classifier: nn.Sequential, norm_across_halves: bool) -> None:
        super().__init__(features, classifier)
        for i, layer in enumerate(features):
            if isinstance(layer, nn.Conv2d):
                keep_own_outputs(f"features.{i}", layer)
                layer.out_channels //= world().size
                if layer.groups > 1:  # the rank's own group of them
                    layer.in_channels, layer.groups = layer.in_channels // layer.groups, 1
            elif isinstance(layer, nn.LocalResponseNorm):
                kind = NormAcrossRanks if norm_across_halves else nn.LocalResponseNorm
                features[i] = kind(layer.size, layer.alpha, layer.beta, layer.k)
        for layer in classifier:
            if isinstance(layer, nn.Linear):
                nn.SplitLinear.convert(layer)  # which hands on the neurons of all ranks

    def forward(self, x):
        x = self.features[:CONV3](x)  # (N, 256 / ranks, 13, 13) of 227 x 227
        x = self.features[CONV3:](F.all_gather(x))
        x = F.all_gather(self.avgpool(x))  # (N, 256, 6, 6)
        return self.classifier(x.flatten(1))  # (N, classes), the same on all ranks


class NormAcrossRanks(nn.LocalResponseNorm):
    """LRN whose windows reach into the channels of the neighbouring ranks, as in a network in one piece."""

    def forward(self, x):
        channels, reach = x.shape[1], self.size // 2
        edges = cat([x[:, :reach], x[:, channels - reach :]], 1)  # what others see of this rank: first and last ones
        edges = F.all_gather(edges)  # (N, ranks * 2*reach, H, W)
        own = world().rank * 2 * reach  # where this rank's stand in it
        before = edges[:, max(own - reach, 0) : own]  # the last ones of the rank before; none before the first rank
        after = edges[:, own + 2 * reach : own + 3 * reach]
        y = super().forward(cat([before, x, after], 1))
        return y[:, before.shape[1] : before.shape[1] + channels]


def alexnet_2012_split(
    num_classes: int = 1000,
    dropout: float = 0.5,
    width: int = 4096,
    pool_before_norm: bool = False,
    norm_across_halves: bool = False,
) -> SplitAlexNet:
    """This rank's part of ``alexnet_2012(num_classes, dropout, width, groups=2)``, for (N, 3, 227, 227); with its
    initial weights, if all ranks have called ``manual_seed`` alike.

    norm_across_halves: LRN sees the two neighbouring channels of the other half, too, which the ranks then exchange.
    There may be other even parts than halves: with n ranks, a power of two up to 32, it is ``groups=n``. RuntimeError
    with any other number of ranks; ValueError if they do not divide num_classes and width.
    """
    size = world().size
    if size == 1 or FILTERS % size:
        found = "is one process" if size == 1 else f"are {size} ranks, which cannot share its filters equally"
        way_out = "start it as mpiexec -n 2 python ..., or take alexnet_2012 for one process"
        raise RuntimeError(f"alexnet_2012_split: it lies on two ranks, and there {found}; {way_out}")
    for name, count in {"num_classes": num_classes, "width": width}.items():
        if whole("alexnet_2012_split", name, count) % size:
            raise ValueError(f"alexnet_2012_split: {name} must be a multiple of the {size} ranks, got {count}")
    model = alexnet_2012(num_classes, dropout, width, size, pool_before_norm, norm_across_halves)
    return SplitAlexNet(model.features, model.classifier, norm_across_halves)
