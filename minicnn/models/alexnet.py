"""AlexNet, twice: the network of 2012, and the one that torchvision's weights are for.

                 alexnet_2012                               alexnet (torchvision)
    input        227 x 227 (the paper prints 224, which     224 x 224 or larger; conv1 pads by 2
                 its own arithmetic rules out)
    conv1        96 filters 11 x 11, stride 4               64
    conv2        256, 5 x 5                                 192
    conv3..5     384, 384, 256, 3 x 3                       384, 256, 256
    after        ReLU, then LRN, then pool (conv1, conv2)   ReLU, then pool
    groups       2 in conv2, 4, 5: half of the network sat  1
                 on each of two GPUs; its LRN, too, unless
                 norm_across_halves=True
    parameters   60,965,224 (62,378,344 without groups)     61,100,840

The often-quoted "60 million parameters" belong to the grouped network only. Some lecture notes pool *before* they
normalise (as Caffe's CaffeNet does): ``alexnet_2012(pool_before_norm=True)``.
"""

import itertools

from .. import nn

_IN_A_LAYER = nn.Conv2d, nn.Linear, nn.ReLU, nn.LocalResponseNorm, nn.MaxPool2d


class AlexNet(nn.Module):
    """features (convolutions) -> average to 6 x 6 -> classifier (three fully connected layers)."""

    HEAD = "classifier"

    def __init__(self, features: nn.Sequential, classifier: nn.Sequential) -> None:
        super().__init__()
        self.features = features
        self.avgpool = nn.AdaptiveAvgPool2d((6, 6))  # whatever size the pictures have
        self.classifier = classifier

    def forward(self, x):
        x = self.avgpool(self.features(x))  # (N, 256, 6, 6)
        return self.classifier(x.flatten(1))  # of (N, 9216)

    @property
    def stages(self) -> list[str]:
        """Where the network may be cut: the name of what ends each layer of the paper (ReLU, LRN or pooling behind the
        weights), from the input on, without the last one."""
        own = (self.features.named_modules("features"), self.classifier.named_modules("classifier"))
        layers = {name: m for name, m in itertools.chain(*own) if isinstance(m, _IN_A_LAYER)}
        names = list(layers)
        starts = [i for i, name in enumerate(names) if isinstance(layers[name], (nn.Conv2d, nn.Linear))]
        return [names[start - 1] for start in starts[1:]]  # what stands before the next one's weights ends a layer


def alexnet(num_classes: int = 1000, dropout: float = 0.5, width: int = 4096) -> AlexNet:
    """The network of Krizhevsky, "One weird trick for parallelizing convolutional neural networks", 2014, with
    torchvision's ``state_dict`` keys: 61,100,840 parameters. Takes (N, 3, H, W) with H, W >= 63.

    width: neurons in each of the two hidden fully connected layers; 4096 is AlexNet.
    """
    features = nn.Sequential(
        nn.Conv2d(3, 64, kernel_size=11, stride=4, padding=2),  # of 224 x 224: (N, 64, 55, 55)
        nn.ReLU(inplace=True),
        nn.MaxPool2d(kernel_size=3, stride=2),  # (N, 64, 27, 27)
        nn.Conv2d(64, 192, kernel_size=5, padding=2),  # (N, 192, 27, 27)
        nn.ReLU(inplace=True),
        nn.MaxPool2d(kernel_size=3, stride=2),  # (N, 192, 13, 13)
        nn.Conv2d(192, 384, kernel_size=3, padding=1),  # (N, 384, 13, 13)
        nn.ReLU(inplace=True),
        nn.Conv2d(384, 256, kernel_size=3, padding=1),  # (N, 256, 13, 13)
        nn.ReLU(inplace=True),
        nn.Conv2d(256, 256, kernel_size=3, padding=1),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(kernel_size=3, stride=2),  # (N, 256, 6, 6)
    )
    classifier = nn.Sequential(
        nn.Dropout(dropout),
        nn.Linear(256 * 6 * 6, width),
        nn.ReLU(inplace=True),
        nn.Dropout(dropout),
        nn.Linear(width, width),
        nn.ReLU(inplace=True),
        nn.Linear(width, num_classes),
    )
    return AlexNet(features, classifier)


def alexnet_2012(
    num_classes: int = 1000,
    dropout: float = 0.5,
    width: int = 4096,
    groups: int = 2,
    pool_before_norm: bool = False,
    norm_across_halves: bool = False,
) -> AlexNet:
    """The network of Krizhevsky et al., NIPS 2012, with its initial weights, for (N, 3, 227, 227).

    groups=2: 60,965,224 parameters, the two-GPU network on one device; groups=1: 62,378,344.
    pool_before_norm: conv -> ReLU -> pool -> LRN, the order of the lecture; the paper's is conv -> ReLU -> LRN -> pool.
    norm_across_halves: False: LRN normalises each of the ``groups`` for itself, as in the paper, whose GPUs talk to
        each other only before conv3 and the fully connected layers. True: its windows reach from one half of the
        channels into the other, as in Caffe's network, which has both on one device: channels 46 to 49 of conv1's 96,
        and 126 to 129 of conv2's 256, see the other half. Weights do not show which it was; checkpoints say so.
        Without groups it makes no difference.
    """

    def norm_and_pool():
        apart = 1 if norm_across_halves else groups
        norm = nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=2.0, groups=apart)
        pool = nn.MaxPool2d(kernel_size=3, stride=2)
        return (pool, norm) if pool_before_norm else (norm, pool)

    features = nn.Sequential(
        nn.Conv2d(3, 96, kernel_size=11, stride=4),  # (N, 96, 55, 55)
        nn.ReLU(inplace=True),
        *norm_and_pool(),  # (N, 96, 27, 27)
        nn.Conv2d(96, 256, kernel_size=5, padding=2, groups=groups),  # (N, 256, 27, 27)
        nn.ReLU(inplace=True),
        *norm_and_pool(),  # (N, 256, 13, 13)
        nn.Conv2d(256, 384, kernel_size=3, padding=1),  # (N, 384, 13, 13)
        nn.ReLU(inplace=True),
        nn.Conv2d(384, 384, kernel_size=3, padding=1, groups=groups),  # (N, 384, 13, 13)
        nn.ReLU(inplace=True),
        nn.Conv2d(384, 256, kernel_size=3, padding=1, groups=groups),  # (N, 256, 13, 13)
        nn.ReLU(inplace=True),
        nn.MaxPool2d(kernel_size=3, stride=2),  # (N, 256, 6, 6)
    )
    classifier = nn.Sequential(
        nn.Linear(256 * 6 * 6, width),
        nn.ReLU(inplace=True),
        nn.Dropout(dropout),
        nn.Linear(width, width),
        nn.ReLU(inplace=True),
        nn.Dropout(dropout),
        nn.Linear(width, num_classes),
    )
    return init_2012(AlexNet(features, classifier))


def init_2012(model: AlexNet) -> AlexNet:
    """Weights N(0, 0.01); biases 1 in the 2nd, 4th and 5th convolution and the hidden fully connected layers, so that
    their ReLUs start out alive, and 0 in the others (Krizhevsky et al., NIPS 2012, section 5)."""
    layers = [m for m in model.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    for number, layer in enumerate(layers, start=1):  # 5 convolutions, then 3 fully connected ones
        nn.init.normal_(layer.weight, std=0.01)
        nn.init.constant_(layer.bias, 1.0 if number in (2, 4, 5, 6, 7) else 0.0)
    return model
