"""AlexNet, ResNet-18 and ResNet-50, described once for every library that has no copy of them of its own.

    logits = NETS[model](layers, x)

layers: the layers as a library computes them: conv, norm, relu, max_pool, mean (over each map), flatten, linear; the
first argument of each is the activations, in the library's own layout. Architecture, names and shapes of the weights
are those of torchvision (a convolution's are (OC, C, K, K), a linear layer's (O, I)); nothing is dropped out.
"""

import functools

import numpy as np

CLASSES = 1000
EPSILON, MOMENTUM = 1e-5, 0.1  # of batch norm: the running statistics move by MOMENTUM of the way to the batch's
LEARNING_RATE, VELOCITY_KEPT, WEIGHT_DECAY = 0.01, 0.9, 5e-4

ALEXNET = (  # features.<number>: channels, kernel, stride, padding, max-pool behind it
    (0, 64, 11, 4, 2, True), (3, 192, 5, 1, 2, True), (6, 384, 3, 1, 1, False), (8, 256, 3, 1, 1, False),
    (10, 256, 3, 1, 1, True),
)  # fmt: skip


def alexnet(layers, x):
    """x: pictures of 224 x 224 pixels; others need the adaptive pooling that is left out here."""
    for number, channels, kernel, stride, padding, pool in ALEXNET:
        x = layers.relu(layers.conv(x, f"features.{number}", channels, kernel, stride, padding, bias=True))
        x = layers.max_pool(x, 3, 2, 0) if pool else x
    x = layers.relu(layers.linear(layers.flatten(x), "classifier.1", 4096))
    x = layers.relu(layers.linear(x, "classifier.4", 4096))
    return layers.linear(x, "classifier.6", CLASSES)


def resnet(layers, x, depths, bottleneck):
    x = layers.max_pool(layers.relu(layers.norm(layers.conv(x, "conv1", 64, 7, 2, 3), "bn1")), 3, 2, 1)
    for stage, depth in enumerate(depths):
        for i in range(depth):
            stride = 2 if stage > 0 and i == 0 else 1
            x = residual(layers, x, f"layer{stage + 1}.{i}", 64 << stage, stride, bottleneck, first=i == 0)
    return layers.linear(layers.mean(x), "fc", CLASSES)


def residual(layers, x, name, width, stride, bottleneck, first):
    """One block. first: of its stage; its shortcut has a convolution if the shape changes on the way."""
    strided, y = (width, 3, stride), x
    convolutions = ((width, 1, 1), strided, (4 * width, 1, 1)) if bottleneck else (strided, (width, 3, 1))
    for j, (channels, kernel, step) in enumerate(convolutions, 1):
        y = y if j == 1 else layers.relu(y)
        y = layers.norm(layers.conv(y, f"{name}.conv{j}", channels, kernel, step, kernel // 2), f"{name}.bn{j}")
    if first and (bottleneck or stride > 1):
        x = layers.norm(layers.conv(x, f"{name}.downsample.0", channels, 1, stride, 0), f"{name}.downsample.1")
    return layers.relu(y + x)


NETS = {
    "alexnet": alexnet,
    "resnet18": functools.partial(resnet, depths=(2, 2, 2, 2), bottleneck=False),
    "resnet50": functools.partial(resnet, depths=(3, 4, 6, 3), bottleneck=True),
}


class Shapes:
    """Layers that compute nothing and note the shape of each weight. x: one picture (1, C, H, W), all zeros."""

    def __init__(self):
        self.weights = {}

    def conv(self, x, name, channels, kernel, stride, padding, bias=False):
        self.weights[f"{name}.weight"] = (channels, x.shape[1], kernel, kernel)
        if bias:
            self.weights[f"{name}.bias"] = (channels,)
        return self._maps(channels, x, kernel, stride, padding)

    def norm(self, x, name):
        self.weights |= {f"{name}.{part}": (x.shape[1],) for part in ("weight", "bias", "running_mean", "running_var")}
        return x

    def relu(self, x):
        return x

    def max_pool(self, x, kernel, stride, padding):
        return self._maps(x.shape[1], x, kernel, stride, padding)

    def mean(self, x):
        return x[:, :, 0, 0]

    def flatten(self, x):
        return x.reshape(1, -1)

    def linear(self, x, name, features):
        self.weights |= {f"{name}.weight": (features, x.shape[1]), f"{name}.bias": (features,)}
        return np.zeros((1, features), np.float32)

    @staticmethod
    def _maps(channels, x, kernel, stride, padding):
        height, width = ((size + 2 * padding - kernel) // stride + 1 for size in x.shape[2:])
        return np.zeros((1, channels, height, width), np.float32)


def weight_shapes(model):
    """{name: shape} of everything in torchvision's state_dict but batch norm's counts of batches."""
    shapes = Shapes()
    NETS[model](shapes, np.zeros((1, 3, 224, 224), np.float32))
    return shapes.weights


def random_weights(model):
    """(weights, statistics), each {name: float32 array}: kernels N(0, 1 / fan-in); running means 0 and variances 1."""
    rng = np.random.default_rng(0)
    weights, statistics = {}, {}
    for name, shape in weight_shapes(model).items():
        if len(shape) > 1:
            deviation = np.float32(np.prod(shape[1:]) ** -0.5)
            weights[name] = rng.standard_normal(shape, np.float32) * deviation
        elif "running" in name:
            statistics[name] = np.full(shape, "var" in name, np.float32)
        else:  # the scales of batch norm are 1, all biases 0
            weights[name] = np.full(shape, name.endswith("weight"), np.float32)
    return weights, statistics
