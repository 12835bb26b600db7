"""A look into a network: where it looks (Grad-CAM), what its layers make of a picture, its first filters.

Source    Selvaraju et al., "Grad-CAM: visual explanations from deep networks via gradient-based localization",
          ICCV 2017
"""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..gradmode import enable_grad, no_grad
from ..nn import Conv2d, Module
from ..nn.evaluating import keeping_modes
from ..nn.watch import tensors_in, watch
from ..tensor import Tensor
from ..types import Array

CHANNELS, LAYERS = 16, 5  # of feature maps that are shown


class Place(NamedTuple):
    """A module, and which one of its calls."""

    name: str
    call: int


def grad_cam(model: Module, images: Array, classes: Sequence[int]) -> tuple[str, Array]:
    """(the name of the module, float32 (N, h, w) from 0 to 1): where in its last feature maps a network finds what
    speaks for a class. images: normalised, where the network is; classes: one for each of them.

    The channels of the maps are added, each weighted by the mean gradient of the class's score in it; what is negative
    speaks for other classes, and is left out. ValueError for a network without feature maps.
    """
    place, kept, calls = last_maps(model, images[:1]), [], 0

    def keep(layer, inputs, output):
        nonlocal calls
        calls += 1
        if calls != place.call:
            return None
        output.retain_grad()
        kept.append(output)
        return output * 1  # a ReLU in place would overwrite what is kept

    module = dict(model.named_modules(remove_duplicate=False))[place.name]
    with _without_weights(model), enable_grad(), module.register_forward_hook(keep):
        scores = model(Tensor(images, requires_grad=True))
        chosen = np.zeros(scores.shape, scores.numpy().dtype)
        chosen[np.arange(len(chosen)), list(classes)] = 1
        (scores * Tensor(chosen).to(scores.device)).sum().backward()
    maps, gradients = kept[0].numpy().astype(np.float32), kept[0].grad.numpy().astype(np.float32)  # (N, C, h, w)
    weights = gradients.mean(axis=(2, 3), keepdims=True)
    heat = np.maximum((weights * maps).sum(axis=1), 0)
    return place.name, heat / np.maximum(heat.max(axis=(1, 2), keepdims=True), 1e-12)


def last_maps(model: Module, image: Array) -> Place:
    """The last call of a module whose result is feature maps, larger than 1 x 1 and not yet pooled; ValueError if there
    is none. image: (1, C, H, W), normalised, where the network is."""
    calls: dict[str, int] = {}
    found = []

    def look(name, layer, x, y):
        calls[name] = calls.get(name, 0) + 1
        if name and isinstance(y, Tensor) and y.ndim == 4 and y.shape[2] * y.shape[3] > 1 and not _is_pooled(y):
            found.append(Place(name, calls[name]))

    names = [name for name, _ in model.named_modules()]
    with _without_weights(model), enable_grad(), watch(model, look, names):
        model(Tensor(image, requires_grad=True))
    if not found:
        raise ValueError("no layer of this network makes maps that are larger than 1 x 1")
    return found[-1]


def _is_pooled(tensor):
    return tensor.node is not None and type(tensor.node).__module__.endswith("_pool")


@contextlib.contextmanager
def _without_weights(model: Module) -> Iterator[None]:
    """In evaluation mode, and no parameter gets a gradient: those of the training stay what they are."""
    asked = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    with keeping_modes(model):
        model.eval()
        try:
            for parameter, _ in asked:
                parameter.requires_grad = False
            yield
        finally:
            for parameter, before in asked:
                parameter.requires_grad = before


def feature_maps(model: Module, image: Array) -> list[tuple[str, Array]]:
    """(name, float32 (channels, h, w)) of some convolutions, from the first to the last, for one normalised picture
    (1, C, H, W), where the network is. Of each the channels that are most alive: with the largest spread."""
    found: list[tuple[str, Array]] = []

    def look(name, layer, x, y):
        if isinstance(layer, Conv2d):
            for tensor in tensors_in(y):
                if tensor.shape[2] * tensor.shape[3] > 1:
                    maps = tensor.numpy()[0].astype(np.float32)
                    alive = np.sort(np.argsort(-maps.std(axis=(1, 2)), kind="stable")[:CHANNELS])
                    found.append((name, maps[alive]))

    with keeping_modes(model), no_grad(), watch(model, look):
        model.eval()
        model(Tensor(image))
    places = np.linspace(0, len(found) - 1, min(LAYERS, len(found))) if found else np.zeros(0)
    return [found[number] for number in sorted(set(places.round().astype(int).tolist()))]


def first_filters(state: dict[str, Any]) -> tuple[str, Array] | None:
    """(name, array (OC, C, KH, KW)) of the first weight of four dimensions; None if there is none. state: a model's
    ``state_dict``."""
    return next(((name, np.asarray(value)) for name, value in state.items() if np.ndim(value) == 4), None)
