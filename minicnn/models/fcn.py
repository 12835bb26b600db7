"""Fully convolutional networks: a classifier that gives every pixel its scores. Pictures in, maps out, of any size.

    picture ─► ... ─► stage at stride 8 ──► stage at stride 16 ──► end, at stride 32
                          │                     │                    │
                      1 x 1, zeros          1 x 1, zeros          1 x 1: scores (N, classes, H/32, W/32)
                          │                     ▼                    │
                          │      at 16:         + ◄── enlarged by 2 ─┘
                          ▼                     │
          at 8:           + ◄── enlarged by 2 ──┘
                          └──── enlarged by 8 ──► scores (N, classes, H, W), for F.cross_entropy of labels (N, H, W)

The end of a classifier knows what is in the picture, in few positions, 32 pixels apart; earlier stages know less of
what it is, and better where. FCN-32s takes the end alone, and enlarges its scores by 32; FCN-16s adds scores of the
last stage at stride 16 to them, FCN-8s of that at stride 8 too. What is kept of the classifier keeps its weights, the
rest is small: a 1 x 1 convolution for each stage, which begins as zeros, so that a new stage changes nothing until it
has learnt something; and transposed convolutions, which begin as bilinear interpolation and learn, but for the last.

    data        F.cross_entropy(scores, labels, ignore_index=255), where 255 marks pixels that nobody has labelled
    training    the classifier's layers at a lower rate, and in turns: FCN-32s, then `finer(16)` of it, then `finer(8)`
    measures    minicnn/train/segmentation.py: pixel accuracy, mean IU

Where the positions of each map lie is worked out (grid.py): no network is shifted against its picture by half a step,
as it is where maps of all kinds are stretched over the picture. At the border the outermost position counts on.

Note      The paper pads pictures by 100 pixels, so that windows of 7 x 7 positions fit into small ones; here those
          layers pad their maps instead. Its last enlargement is fixed, as here. The paper's stages for VGG are pool3
          and pool4, as here; it does not build ResNets. Those for CIFAR end at stride 4: FCN-4s, -2s and -1s.
Source    Long, Shelhamer and Darrell, "Fully convolutional networks for semantic segmentation", CVPR 2015, sections 3
          and 4
"""

import itertools
import math
from collections.abc import Sequence
from typing import Self

from .. import functional as F
from .. import nn
from ..nn.fused import chain
from ..ops.shape import cat
from ..settings import whole
from ..tensor import Tensor
from .alexnet import AlexNet
from .grid import Grid, maps_of
from .parts import trunk_layers
from .vgg import VGG

PIXELS = Grid(1, 0.0)


def fcn(backbone: nn.Module, num_classes: int, stride: int = 8, hidden: bool = True) -> "FCN":
    """FCN-32s, -16s or -8s of a classifier: it maps (N, 3, H, W) to scores (N, num_classes, H, W), for any H and W that
    the classifier's convolutions take.

    It is made of the classifier's own layers, not of copies: train one and the other changes, too; take a
    ``copy.deepcopy`` for a second one. The head is left out.
    backbone: a network of ``minicnn.models``. stride: of the finest map that is used, a stride of its stages.
    hidden: keep the hidden fully connected layers, as convolutions with copies of their weights, as the paper does
    (AlexNet and VGG have such; nine of ten parameters are theirs). ValueError for other networks and strides.
    """
    layers = _layers(backbone, hidden)
    names = list(layers)
    cuts = [names.index(stage) for stage in getattr(backbone, "stages", ()) if stage in names[:-1]]
    return FCN(list(layers.values()), [*cuts, len(names) - 1], num_classes, stride)


class FCN(nn.Module):
    """See ``fcn``. layers: of the backbone, from the input on; cuts: the places of those that end a stage."""

    def __init__(self, layers: Sequence[nn.Module], cuts: Sequence[int], num_classes: int, stride: int) -> None:
        super().__init__()
        self.num_classes, stride = whole("fcn", "num_classes", num_classes), whole("fcn", "stride", stride)
        maps = maps_of(layers)
        ends = {maps[cut].grid.stride: cut for cut in cuts}  # of several stages at one stride the last
        if stride not in ends:
            strides = ", ".join(map(str, ends))
            raise ValueError(f"fcn: stride must be one of {strides}, those of the network's stages, got {stride}")
        self.stride, self.cuts = stride, list(cuts)
        self.backbone = nn.Sequential(*layers)
        self.stages = [f"backbone.{cut}" for cut in cuts]  # where the network may be cut, as those of a classifier
        # what is scored, from the end on, and the grids that the scores are brought to, one after the other
        self.taken = [ends[each] for each in sorted(ends, reverse=True) if each >= stride]
        grids = [*(maps[place].grid for place in self.taken), PIXELS]
        self.scores = nn.ModuleList([_zeros(nn.Conv2d(maps[at].channels, num_classes, 1)) for at in self.taken])
        self.enlarge = nn.ModuleList([Enlarge(num_classes, *pair) for pair in itertools.pairwise(grids)])
        self.enlarge[-1].freeze()
        like = next(self.backbone.parameters())
        self.astype(like.dtype).to(like.device)

    def forward(self, x):
        size, layers, maps = x.shape[2:], list(self.backbone), {}
        for begin, end in itertools.pairwise([-1, *reversed(self.taken)]):
            x = maps[end] = chain(x, *layers[begin + 1 : end + 1])
        scores = self.scores[0](maps[self.taken[0]])
        for at, score, enlarge in zip(self.taken[1:], self.scores[1:], self.enlarge[:-1], strict=True):
            own = score(maps[at])
            scores = F.residual_add(own, enlarge(scores, own.shape[2:]))
        return self.enlarge[-1](scores, size)  # (N, classes, H, W)

    def finer(self, stride: int) -> Self:
        """The network with scores of more stages, which begin as zeros, made of this one's own layers: the next turn of
        training. ValueError unless `stride` is smaller than this network's."""
        if stride >= self.stride:
            raise ValueError(f"finer: stride must be smaller than this network's {self.stride}, got {stride}")
        new = type(self)(list(self.backbone), self.cuts, self.num_classes, stride)
        for place, score in enumerate(self.scores):
            new.scores[place] = score
        for place, enlarge in enumerate(self.enlarge[:-1]):  # the last leads to pixels, and belongs to its stride
            new.enlarge[place] = enlarge
        return new


class Enlarge(nn.Module):
    """Scores on a coarse grid, brought to a finer one by a transposed convolution: bilinear interpolation at first.

    Between stages it learns, and may mix classes. To the pixels it stays as it is, class by class (section 4.3).
    Outside of the coarse grid its outermost positions count on, as in ``F.interpolate``.
    """

    def __init__(self, channels: int, coarse: Grid, fine: Grid) -> None:
        super().__init__()
        self.ratio = coarse.stride // fine.stride
        self.first = (coarse.offset - fine.offset) / fine.stride  # the coarse grid's first position, on the fine one
        kernel = 2 * self.ratio - self.first.is_integer()  # else halves: between two positions of the fine grid
        groups = channels if fine == PIXELS else 1
        self.deconv = nn.ConvTranspose2d(channels, channels, kernel, self.ratio, groups=groups, bias=False)
        nn.init.bilinear_(self.deconv.weight, groups)

    def forward(self, x: Tensor, size: Sequence[int]) -> Tensor:
        """x (N, C, H, W) on the coarse grid; size: (OH, OW) of the map on the fine one, to which it is brought."""
        begins = []
        for dim, wanted in zip((2, 3), size, strict=True):
            last = self.first + self.ratio * (x.shape[dim] - 1)
            before = max(0, math.ceil(self.first / self.ratio))  # as many positions more, so that 0 is not outside
            behind = max(0, math.ceil((wanted - 1 - last) / self.ratio))
            x = _edges_repeated(x, dim, before, behind)
            # what stands at output `middle` of the transposed convolution belongs to place first - before * ratio
            middle = (self.deconv.kernel_size[0] - 1) / 2
            begins.append(int(middle + before * self.ratio - self.first))
        y = self.deconv(x)
        (top, left), (height, width) = begins, size
        return y[:, :, top : top + height, left : left + width]


def _edges_repeated(x, dim, before, behind):
    """x with its first row or column so many times more, and its last."""
    first, last = x[(slice(None),) * dim + (slice(0, 1),)], x[(slice(None),) * dim + (slice(-1, None),)]
    return cat([first] * before + [x] + [last] * behind, dim) if before + behind else x


def _layers(backbone, hidden):
    """{name: layer} of a classifier, which run one after the other, without its head."""
    layers = trunk_layers(backbone)
    if not hidden or not isinstance(backbone, (AlexNet, VGG)):
        return layers
    *others, head = backbone.classifier
    if not isinstance(head, nn.Linear):
        raise ValueError(f"fcn: the head of this {type(backbone).__name__} must be an nn.Linear, not {head}")
    window = backbone.avgpool.output_size
    for number, layer in enumerate(others):
        if isinstance(layer, nn.Linear):
            layer, window = _sliding(layer, window), (1, 1)
        layers[f"classifier.{number}"] = layer
    return layers


def _sliding(linear, window):
    """The fully connected layer as a convolution of that window, padded so that maps stay about as large."""
    out_channels, (height, width) = linear.out_features, window
    channels = linear.in_features // (height * width)
    conv = nn.Conv2d(channels, out_channels, window, padding=(height // 2, width // 2), bias=linear.bias is not None)
    conv.astype(linear.weight.dtype).to(linear.weight.device)
    weights = {"weight": linear.weight.reshape(out_channels, channels, height, width), "bias": linear.bias}
    conv.load_state_dict({name: value for name, value in weights.items() if value is not None})
    return conv


def _zeros(conv):
    """The convolution, with weights and biases of 0."""
    for parameter in conv.parameters():
        nn.init.zeros_(parameter)
    return conv
