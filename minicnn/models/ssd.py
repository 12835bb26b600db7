"""SSD: a detector that looks once. It says of thousands of default boxes, in one pass, what is in them.

    picture ─► backbone ─┬─► stage ─┬─► extra layer ─┬─► extra layer ─┬─►  ...    maps ever coarser, boxes ever larger
                         ▼          ▼                ▼                ▼
                      3x3 heads: for each of the K default boxes at a position, 1 + classes scores and 4 offsets

Earlier detectors first proposed regions and then classified each. Here the proposals are fixed (``minicnn/detection``:
default_boxes.py), and what remains is convolutions: each head is one 3 x 3 convolution on a feature map.

The paper's SSD300 stands on VGG-16 (vgg.py), trained on ImageNet, with four changes:

    pool3           rounds up, so that 75 positions become 38
    pool5           3 x 3 at stride 1: the map stays 19 x 19
    fc6, fc7        convolutions of a quarter of the channels, cut out of the classifier's weights: fc6 keeps every
                    third of its 7 x 7 taps and is dilated by 6 ("a trous")
    conv4_3         its numbers are larger than those of the other maps; at each position they are divided by their
                    length, and multiplied by a learned factor for each channel, 20 at first (``L2Norm``)

    maps        38 x 38   19 x 19   10 x 10   5 x 5   3 x 3   1 x 1     conv4_3, fc7, and four extra layers
    boxes       4         6         6         6       4       4         8,732 in all
    scale       0.1       0.2       0.375     0.55    0.725   0.9

The loss and how it is trained: docs/detect.md.

Source    Liu et al., "SSD: Single shot multibox detector", ECCV 2016, figure 2 and section 3; Liu, Rabinovich and Berg,
          "ParseNet", 2015 (L2Norm); Chen et al., ICLR 2015 (fc6, dilated)
"""

from collections.abc import Sequence

import numpy as np

from .. import functional as F
from .. import nn
from ..detection.boxes import clip, decode
from ..detection.default_boxes import box_scales, boxes_per_position, default_boxes
from ..detection.nms import Detections, best_boxes
from ..nn.evaluating import evaluating
from ..ops.shape import cat
from ..settings import whole
from ..tensor import Tensor
from ..types import Array
from .parts import parts_up_to
from .vgg import VGG

PAPER_EXTRA = ((256, 512, 2), (128, 256, 2), (128, 256, 1), (128, 256, 1))  # of 19 x 19: 10, 5, 3, 1
PAPER_RATIOS = ((2,), (2, 3), (2, 3), (2, 3), (2,), (2,))
PAPER_SCALES = (0.1, *box_scales(5))


class L2Norm(nn.Module):
    """x / |x| * weight at each position, |x| over the channels."""

    def __init__(self, channels: int, scale: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(np.full(channels, scale, np.float32))

    def forward(self, x):
        length = x.norm(dim=1, keepdim=True).clamp(min=1e-12)  # (N, 1, H, W)
        return x / length * self.weight.reshape(1, -1, 1, 1)


class SSD(nn.Module):
    """parts, one after the other, each ending in a feature map -> a head on each map -> (scores, offsets).

    parts           modules; the first takes pictures
    aspect_ratios   for each map, the ratios of its default boxes beside 1
    scales          one for each map, and one more; see ``detection.box_scales``
    map_norm        what the first map goes through before its head
    """

    def __init__(
        self,
        parts: Sequence[nn.Module],
        num_classes: int,
        aspect_ratios: Sequence[Sequence[float]],
        scales: Sequence[float],
        map_norm: nn.Module,
    ) -> None:
        super().__init__()
        self.num_classes = whole(self, "num_classes", num_classes)
        self.aspect_ratios, self.scales = [tuple(ratios) for ratios in aspect_ratios], tuple(scales)
        if not len(parts) == len(self.aspect_ratios) == len(self.scales) - 1:
            what = f"{len(parts)} maps need a list of aspect ratios and a scale each, and one scale more"
            raise ValueError(f"SSD: {what}; got {len(self.aspect_ratios)} lists and {len(self.scales)} scales")
        self.parts = nn.ModuleList(parts)
        self.map_norm = _like(self.parts, map_norm)
        boxes = [boxes_per_position(ratios) for ratios in self.aspect_ratios]
        channels = [shape[1] for shape in self._map_shapes(300, 300)]
        pairs = list(zip(channels, boxes, strict=True))
        scores = [_conv(c, k * (1 + self.num_classes), 3, padding=1) for c, k in pairs]
        offsets = [_conv(c, k * 4, 3, padding=1) for c, k in pairs]
        self.score_heads = _like(self.parts, nn.ModuleList(scores))
        self.offset_heads = _like(self.parts, nn.ModuleList(offsets))

    def forward(self, x):
        """Pictures (N, 3, H, W) -> scores (N, D, 1 + classes), background first, and offsets (N, D, 4)."""
        maps = self.maps(x)
        scores = [_rows(head(y), 1 + self.num_classes) for head, y in zip(self.score_heads, maps, strict=True)]
        offsets = [_rows(head(y), 4) for head, y in zip(self.offset_heads, maps, strict=True)]
        return cat(scores, dim=1), cat(offsets, dim=1)

    def maps(self, x: Tensor) -> list[Tensor]:
        """The feature maps (N, C, H, W) that the heads look at, from fine to coarse."""
        maps = []
        for part in self.parts:
            x = part(x)
            maps.append(x)
        return [self.map_norm(maps[0]), *maps[1:]]

    def default_boxes(self, width: int, height: int) -> Array:
        """float32 (D, 4), corners in pixels, of pictures of this size; in the order of scores and offsets."""
        width, height = whole(self, "width", width), whole(self, "height", height)
        sizes = [shape[2:] for shape in self._map_shapes(height, width)]
        return default_boxes(sizes, self.scales, self.aspect_ratios, (width, height))

    def detect(
        self, images: Tensor, score_threshold: float = 0.01, iou_threshold: float = 0.45, most: int = 200
    ) -> list[Detections]:
        """The objects in each picture of (N, 3, H, W), in evaluation mode; see ``detection.best_boxes``."""
        with evaluating(self):
            scores, offsets = self(images)
            probabilities = F.softmax(scores, -1).numpy()
        height, width = images.shape[2:]
        boxes = clip(decode(offsets.numpy(), self.default_boxes(width, height)), (width, height))
        return [
            best_boxes(each, p, score_threshold, iou_threshold, most=most)
            for each, p in zip(boxes, probabilities, strict=True)
        ]

    def _map_shapes(self, height, width):
        """(0, C, H, W) of the maps of pictures of this size. Found by running no pictures, which costs nothing."""
        with evaluating(self):
            return [x.shape for x in self.maps(_no_pictures(self, height, width))]


def ssd(
    backbone: nn.Module,
    num_classes: int,
    stages: Sequence[str] | None = None,
    extra: Sequence[tuple[int, int, int]] = (),
    aspect_ratios: Sequence[Sequence[float]] | None = None,
    scales: Sequence[float] | None = None,
) -> SSD:
    """A detector made of the layers of `backbone`, a network of ``minicnn.models``, and new ones.

    ``ssd(vgg16(), 20)`` is the paper's SSD300, for pictures of 300 x 300. Otherwise `stages` says what is looked at.

    num_classes     without background; labels are 0 to num_classes - 1
    stages          names of the backbone's layers whose outputs are feature maps, such as ["layer3", "layer4"]
    extra           further maps: for each a 1x1 convolution, and a 3x3 one with a stride: (channels between, channels,
                    stride); at stride 2 it pads by 1, at stride 1 it does not and the map shrinks by 2
    aspect_ratios   for each map, beside 1; by default (2, 3) on all
    scales          by default ``box_scales(maps)``
    ValueError for a VGG without fc6 and fc7, for stages that the backbone does not have or whose output its next layer
    overwrites, and for ratios and scales that do not fit the maps.
    """
    parts: list[nn.Module]
    norm: nn.Module = nn.Identity()
    if stages is None:
        if not isinstance(backbone, VGG):
            names = f"{type(backbone).__name__}'s layers whose outputs are feature maps, such as {_some(backbone)}"
            raise ValueError(f"ssd: only a VGG goes without stages; give names of {names}")
        parts = _vgg_parts(backbone)
        extra, norm = extra or PAPER_EXTRA, L2Norm(512, scale=20.0)
        aspect_ratios, scales = aspect_ratios or PAPER_RATIOS, scales or PAPER_SCALES
    else:
        parts = [*parts_up_to(backbone, stages)]
    parts += _extra_layers(parts, extra)
    return SSD(parts, num_classes, aspect_ratios or [(2, 3)] * len(parts), scales or box_scales(len(parts)), norm)


def _vgg_parts(vgg):
    """SSD300's first two parts: up to conv4_3, and from pool4 to fc7."""
    layers = list(vgg.features)
    pools = [i for i, layer in enumerate(layers) if isinstance(layer, nn.MaxPool2d)]
    layers[pools[2]] = nn.MaxPool2d(kernel_size=2, stride=2, ceil_mode=True)  # another layer: the VGG keeps its own
    fc6, fc7 = _convolutions(vgg)
    behind = nn.MaxPool2d(kernel_size=3, stride=1, padding=1), fc6, nn.ReLU(inplace=True), fc7, nn.ReLU(inplace=True)
    return [nn.Sequential(*layers[: pools[3]]), nn.Sequential(*layers[pools[3] : pools[4]], *behind)]


def _convolutions(vgg):
    """fc6 and fc7 as convolutions whose weights are every fourth neuron of the classifier's, and every third tap."""
    linear = [layer for layer in vgg.classifier.modules() if isinstance(layer, nn.Linear)]
    if len(linear) < 3:  # with two, the second would be the head
        what = f"needs a VGG's fc6, fc7 and head, and this one has {len(linear)} fully connected layers"
        raise ValueError(f"ssd: the paper's SSD300 {what}; give names of stages")
    rows, columns = vgg.avgpool.output_size
    weight6 = linear[0].weight.numpy().reshape(len(linear[0].weight), -1, rows, columns)  # (4096, 512, 7, 7)
    weight6 = weight6[::4, :, ::3, ::3]  # (1024, 512, 3, 3)
    weight7 = linear[1].weight.numpy()[::4, ::4, None, None]  # (1024, 1024, 1, 1)
    fc6 = nn.Conv2d(weight6.shape[1], len(weight6), kernel_size=3, padding=6, dilation=6)
    fc7 = nn.Conv2d(len(weight6), len(weight7), kernel_size=1)
    for conv, weight, old in ((fc6, weight6, linear[0]), (fc7, weight7, linear[1])):
        _like(vgg, conv).load_state_dict({"weight": weight, "bias": old.bias.numpy()[::4]})
    return fc6, fc7


def _extra_layers(parts, extra):
    """The parts behind the backbone."""
    layers, backbone = [], nn.Sequential(*parts)
    with evaluating(backbone):
        channels = backbone(_no_pictures(backbone, 300, 300)).shape[1]
    for between, out_channels, stride in extra:
        narrow = _conv(channels, between, 1)
        strided = _conv(between, out_channels, 3, stride, padding=1 if stride > 1 else 0)
        layer = nn.Sequential(narrow, nn.ReLU(inplace=True), strided, nn.ReLU(inplace=True))
        layers.append(_like(backbone, layer))
        channels = out_channels
    return layers


def _conv(in_channels, out_channels, kernel_size, stride=1, padding=0):
    """A new layer; all begin with Xavier's weights, as in the paper."""
    conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding)
    nn.init.xavier_uniform_(conv.weight)
    nn.init.constant_(conv.bias, 0.0)
    return conv


def _like(model, new):
    """The new layers, of the model's dtype and on its device."""
    parameter = next(model.parameters())
    return new.astype(parameter.dtype).to(parameter.device)


def _rows(y, columns):
    """A head's output (N, K * columns, H, W) -> (N, H*W*K, columns): position by position, box by box."""
    n, channels, height, width = y.shape
    return y.permute(0, 2, 3, 1).reshape(n, height * width * channels // columns, columns)


def _no_pictures(model, height, width):
    """(0, 3, height, width), of the model's dtype and on its device."""
    parameter = next(model.parameters())
    return Tensor(np.zeros((0, 3, height, width), parameter.dtype)).to(parameter.device)


def _some(backbone):
    return ", ".join(getattr(backbone, "stages", [])[-2:])
