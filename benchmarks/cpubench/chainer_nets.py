"""The nets of nets.py in Chainer, on NumPy (or on iDeep, where that is installed)."""

import chainer
import chainer.functions as F
import numpy as np

from .nets import EPSILON, LEARNING_RATE, MOMENTUM, VELOCITY_KEPT, WEIGHT_DECAY

chainer.global_config.use_ideep = "auto"


class Layers(chainer.Link):
    """Activations (N, C, H, W). The weights are parameters of their names; training changes the statistics in place."""

    relu = staticmethod(F.relu)

    def __init__(self, weights, statistics):
        super().__init__()
        with self.init_scope():
            for name, array in weights.items():
                setattr(self, name, chainer.Parameter(array.copy()))
        self.statistics = {name: array.copy() for name, array in statistics.items()}

    def conv(self, x, name, channels, kernel, stride, padding, bias=False):
        bias = getattr(self, f"{name}.bias") if bias else None
        return F.convolution_2d(x, getattr(self, f"{name}.weight"), bias, stride, padding)

    def norm(self, x, name):
        weight, bias = getattr(self, f"{name}.weight"), getattr(self, f"{name}.bias")
        mean, variance = self.statistics[f"{name}.running_mean"], self.statistics[f"{name}.running_var"]
        if chainer.config.train:
            running = {"running_mean": mean, "running_var": variance, "decay": 1 - MOMENTUM}
            return F.batch_normalization(x, weight, bias, eps=EPSILON, **running)
        return F.fixed_batch_normalization(x, weight, bias, mean, variance, eps=EPSILON)

    def max_pool(self, x, kernel, stride, padding):
        return F.max_pooling_2d(x, kernel, stride, padding, cover_all=False)

    def mean(self, x):
        return F.mean(x, (2, 3))

    def flatten(self, x):
        return F.reshape(x, (len(x), -1))

    def linear(self, x, name, features):
        return F.linear(x, getattr(self, f"{name}.weight"), getattr(self, f"{name}.bias"))


def trainer(net, weights, statistics, images, labels):
    """train(): one step, returns the loss."""
    layers, labels = Layers(weights, statistics), labels.astype(np.int32)
    optimizer = chainer.optimizers.MomentumSGD(LEARNING_RATE, VELOCITY_KEPT).setup(layers)
    optimizer.add_hook(chainer.optimizer_hooks.WeightDecay(WEIGHT_DECAY))

    def train():
        layers.cleargrads()
        loss = F.softmax_cross_entropy(net(layers, images), labels)
        loss.backward()
        optimizer.update()
        return float(loss.array)

    return train


def predictor(net, weights, statistics, images):
    """predict(): logits (N, 1000) as an array."""
    layers = Layers(weights, statistics)

    def predict():
        with chainer.using_config("train", False), chainer.no_backprop_mode():
            return net(layers, images).array

    return predict
