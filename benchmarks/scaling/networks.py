"""Parameters and multiply-adds of each layer of minicnn's networks, in the order in which the layers run.

Each network is built and run, with a hook on every layer; but nothing is computed: the batch has no pictures, and
random weights are not drawn, as the 138 million of VGG-16 would take longer than everything else here.
"""

import functools
import math
from typing import NamedTuple
from unittest import mock

import numpy as np

from minicnn import Tensor, models, nn, no_grad

SIZES = {"inception_v3": 299}  # pixels; of the others 224
OPTIONS = {"inception_v3": {"aux_logits": False}}


class Layer(NamedTuple):
    parameters: int
    multiply_adds: int  # forward, for one picture


@functools.cache
def layers(name: str) -> tuple[Layer, ...]:
    """Of the network of this name in ``minicnn.models``; layers without parameters are left out."""
    with mock.patch.multiple(nn.init, normal_=_leave, uniform_=_leave):
        model = getattr(models, name)(**OPTIONS.get(name, {})).eval()
    found = []

    def count(_, layer, x, y):
        parameters = sum(p.size for p in layer.parameters())
        if parameters:
            found.append(Layer(parameters, _multiply_adds(layer, y.shape[1:])))

    with no_grad(), nn.watch(model, count):
        model(Tensor(np.zeros((0, 3, SIZES.get(name, 224), SIZES.get(name, 224)), np.float32)))
    return tuple(found)


def _leave(tensor, *settings, **more):
    """In the place of functions that fill a tensor with random numbers."""
    return tensor


def _multiply_adds(layer, volume):
    """Each number that a convolution or a fully connected layer puts out costs as many as it has weights."""
    weighted = isinstance(layer, (nn.Conv2d, nn.Linear))
    return math.prod(volume) * math.prod(layer.weight.shape[1:]) if weighted else 0
