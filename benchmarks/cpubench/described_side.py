"""A step of JAX, tinygrad or Chainer: the net as nets.py describes it, in the layers of <library>_nets.py."""

import importlib
import importlib.metadata

from .nets import NETS, random_weights
from .sides import batch, variables


def prepare(settings, library):
    module = importlib.import_module(f".{library}_nets", __package__)
    net, weights, (images, labels) = NETS[settings["model"]], random_weights(settings["model"]), batch(settings)
    if settings["task"] == "train":
        return module.trainer(net, *weights, images, labels)
    predict = module.predictor(net, *weights, images)
    return lambda: float(predict().max())


def describe(settings):
    return {name: importlib.metadata.version(name) for name in (settings["library"], "numpy")} | variables()
