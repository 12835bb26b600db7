"""Neighbouring layers that run as one op, unless somebody looks at what passes between them."""

from .. import functional as F
from .layers import BatchNorm2d, ReLU
from .watch import is_watched


def batch_norm_relu(norm, relu, x, residual=None):
    """relu(norm(x) + residual), by ``F.batch_norm_relu`` if these are the layers that it stands for.

    Layers of other classes, watched ones (``nn.watch``), and those that a user has given another ``forward`` are called
    one after the other.
    """
    if _is_plain(norm, BatchNorm2d) and _is_plain(relu, ReLU):
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


def _is_plain(layer, kind):
    return type(layer) is kind and "forward" not in vars(layer) and not is_watched(layer)
