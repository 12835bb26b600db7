"""Neighbouring layers that run as one op, unless somebody looks at what passes between them."""

from .. import functional as F
from .layers import BatchNorm2d, ReLU


def batch_norm_relu(norm, relu, x, residual=None):
    """relu(norm(x) + residual), by ``F.batch_norm_relu`` if these are the layers that it stands for.

    Layers of other classes, and watched ones (``nn.watch``), are called one after the other.
    """
    if type(norm) is BatchNorm2d and type(relu) is ReLU and not (_is_watched(norm) or _is_watched(relu)):
        return F.batch_norm_relu(x, *norm.options(), residual=residual)
    y = norm(x)
    return relu(y if residual is None else F.residual_add(y, residual))


def run(layers, x):
    """x through the layers, one after the other; batch norm and a ReLU behind it in one go."""
    layers = list(layers)
    while layers:
        layer = layers.pop(0)
        if layers and type(layer) is BatchNorm2d and type(layers[0]) is ReLU:
            x = batch_norm_relu(layer, layers.pop(0), x)
        else:
            x = layer(x)
    return x


def _is_watched(layer):
    return "forward" in layer.__dict__  # see watch.py
