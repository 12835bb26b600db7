"""A classifier slid over a larger picture: the fully connected layers of a network as convolutions.

A fully connected layer that looks at a 6 x 6 window of feature map is a 6 x 6 convolution whose output is one position;
on a larger map the same weights give a score for every position of the window, and what the windows share is computed
once. The fully connected layers behind it are 1 x 1 convolutions.

             window     what the scores (N, classes, H', W') at a position say
    AlexNet  6 x 6      exactly what the network would say of that window of the feature map. A picture of 224 x 224 has
                        one window. A step of one position is 32 pixels.
    VGG      7 x 7      the same
    others   1 x 1      what the last layer makes of one position of the feature map. Averaging and a linear layer may
                        change places, so the mean over all positions is the network's own output, at any size; it is
                        not what the network would say of a crop, for the convolutions see beyond the crop's edges.

The mean over positions is the picture's score. AlexNet and VGG themselves take any size, by averaging the map to one
window, which squeezes a larger picture into it and stretches a smaller one; here a smaller one is an error.

Sources   Sermanet et al., "OverFeat", ICLR 2014; Simonyan and Zisserman, ICLR 2015, section 3.2 (the mean over
          positions); Long et al., CVPR 2015; He et al., CVPR 2016, section 3.4
"""

from .. import functional as F
from .. import nn
from .alexnet import AlexNet
from .mobilenet_v2 import MobileNetV2
from .resnet import ResNet
from .shufflenet_v2 import ShuffleNetV2
from .vgg import VGG


def fully_convolutional(model: nn.Module) -> nn.Sequential:
    """The network that maps (N, 3, H, W), of any H and W that are large enough, to scores (N, classes, H', W').

    It is made of the layers of `model`, not of copies: training, moving or loading one of the two changes the other.
    model: AlexNet, VGG, ResNet, MobileNetV2, ShuffleNetV2; ValueError for any other.
    """
    if isinstance(model, (AlexNet, VGG, MobileNetV2)):
        classifier, window = [], (1, 1) if isinstance(model, MobileNetV2) else model.avgpool.output_size
        for layer in model.classifier:
            if isinstance(layer, nn.Linear):
                layer, window = SlidingLinear(layer, window), (1, 1)
            classifier.append(layer)
        return nn.Sequential(*model.features, *classifier)
    if isinstance(model, (ResNet, ShuffleNetV2)) and isinstance(model.fc, nn.Linear):
        return nn.Sequential(*model.trunk(), SlidingLinear(model.fc, (1, 1)))
    networks = "an AlexNet, a VGG, a MobileNetV2, or a ResNet or a ShuffleNetV2 whose fc is an nn.Linear"
    raise ValueError(f"fully_convolutional: takes {networks}, not {type(model).__name__}")


class SlidingLinear(nn.Module):
    """`linear`, a layer of window[0] * window[1] * C inputs, on every such window of a feature map (N, C, H, W)."""

    def __init__(self, linear: nn.Linear, window: tuple[int, int]) -> None:
        super().__init__()
        self.linear, self.window = linear, window

    def forward(self, x):
        height, width = self.window
        if x.shape[2] < height or x.shape[3] < width:
            what = f"smaller than the {height} x {width} that the classifier looks at; take larger pictures"
            raise ValueError(f"fully_convolutional: the feature map is {x.shape[2]} x {x.shape[3]}, {what}")
        weight = self.linear.weight.reshape(self.linear.out_features, -1, height, width)  # (OC, C, KH, KW)
        return F.conv2d(x, weight, self.linear.bias)
