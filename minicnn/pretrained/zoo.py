"""Every network by its name, in one call: ``minicnn.create_model``, ``minicnn.list_models``."""

import fnmatch

from ..models import Network, create, names
from . import weights
from .loading import load
from .transfer import head, replace_head


def create_model(name: str, pretrained: bool | str = False, num_classes: int | None = None) -> Network:
    """The network of that name, "resnet50" for example; ``list_models`` has all of them.

    pretrained    True: with published weights, downloaded once, and in evaluation mode; or which ones, "IMAGENET1K_V1".
                  False: with initial weights, drawn by ``manual_seed``, and in training mode
    num_classes   None: 1000, of the networks for CIFAR 10. Pretrained networks get a new head for any other number

    ValueError for another name, with those it may be meant for; WeightsError, a ValueError, for weights that are not
    there, or cannot be fetched.
    """
    if name not in names.KNOWN:
        raise ValueError(f"create_model: {names.unknown(name)}; minicnn.list_models() has all names")
    usual = 10 if name in names.CIFAR and name not in names.IMAGENET else 1000
    if not pretrained:
        return create(name, usual if num_classes is None else num_classes)
    model = load(name, "DEFAULT" if pretrained is True else pretrained)
    if num_classes not in (None, head(model).out_features):
        replace_head(model, num_classes).eval()
    return model


def list_models(filter: str = "", *, pretrained: bool = False) -> list[str]:
    """The names of all networks, sorted; with ``filter``, those that match it: "vgg*_bn". pretrained: only those for
    which there are published weights."""
    known = weights.ARCHS if pretrained else names.KNOWN
    return sorted(fnmatch.filter(known, filter) if filter else known)
