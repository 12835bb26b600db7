"""From files to networks: whatever kind of file it is, all of its weights or none."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from .. import nn
from ..models import AlexNet, Network, ResNet, create, names
from ..models.resnet import zero_pads
from ..storage.checkpoint import CheckpointError, load_checkpoint
from ..types import Array
from .checksum import check_name
from .download import fetch
from .error import WeightsError, reading
from .keys import for_model, plain
from .kinds import kind_of
from .npz import read_npz
from .pth import read_as_saved
from .safetensors import read_safetensors
from .transfer import head, head_name, replace_head
from .weights import Weights, get, of_file

M = TypeVar("M", bound=nn.Module)

UNSAID = {  # what a run may not say of itself, of an older program or of one that offers no choice
    **{arch: {"plain": False, "zero_padding": "behind"} for arch in names.CIFAR},
    **{arch: {"plain": False} for arch in names.IMAGENET if arch.startswith("resnet")},
    **{arch: {"plain": True} for arch in names.PLAIN},
    "alexnet_2012": {"groups": 2, "pool_before_norm": False, "norm_across_halves": True},
}


class Contents(NamedTuple):
    """What a file holds."""

    state: dict  # {key: array}, the keys as they stand there
    settings: dict  # of the network, of a checkpoint of minicnn; else empty


def load(weights: Weights | str, name: str = "DEFAULT", file: Path | str | None = None) -> Network:
    """A network with pretrained weights, in evaluation mode.

    weights: what ``get`` has returned, or an architecture; then `name` says which of its weights. They are downloaded
    once. With `file`, the weights are those of this file instead: see ``from_file``. WeightsError, in one sentence, for
    all that can be wrong with a file or a download.
    """
    if not isinstance(weights, Weights):
        weights = get(weights, name) if file is None else of_file(weights)
    if file is not None:
        return from_file(weights.build, file)
    path = fetch(weights.url)
    return _fill(weights.build(), _contents(path), path)


def from_file(build: Callable[[int], M], path: Path | str) -> M:
    """The network ``build(num_classes)`` with the weights of a file and with as many classes as the file has, in
    evaluation mode. Zeros of option A go where the weights want them (``models.cifar_resnet``). The file is a .pth, a
    .safetensors, an .npz of arrays or a minicnn checkpoint. Raises WeightsError."""
    contents, model = _checked_contents(path), build(1)
    state, settings = _for_model(contents, model)
    if classes := _classes(model, state):
        replace_head(model, classes)
    for layer in zero_pads(model):
        layer.zero_padding = settings.get("zero_padding", layer.zero_padding)
    return _fill(model, contents, path)


def load_file(model: M, path: Path | str) -> M:
    """Copy the weights of a file, a .pth, a .safetensors, an .npz or a minicnn checkpoint, into `model`; returns it, in
    evaluation mode. Prefixes of the keys that DataParallel, torch.compile and the like have left are taken off (see
    keys.py). WeightsError, and nothing is changed, unless every key and every shape agrees."""
    return _fill(model, _checked_contents(path), path)


def network_settings(arch: str, path: Path | str) -> dict[str, Any]:
    """How ``models.create`` must build `arch` for the weights of a file, as far as that tells: {} where it does not,
    {"plain": False, "zero_padding": "around"} for the ResNets for CIFAR of PyTorch's users. WeightsError."""
    return _for_model(_checked_contents(path), create(arch, 1))[1]


def read_weights(path: Path | str) -> dict[str, Array]:
    """{key: array} of a file, whose structure tells its kind: .pth, .safetensors, .npz or a minicnn checkpoint."""
    return plain(_checked_contents(path).state)


def _checked_contents(path):
    with reading(path, "weights"):
        check_name(path)
    return _contents(path)


def _contents(path):
    with reading(path, "weights"):
        kind = kind_of(path)
    if kind == "checkpoint":
        with reading(path, "a minicnn checkpoint"):
            return _read_checkpoint(path)
    return Contents({"pth": read_as_saved, "npz": read_npz, "safetensors": read_safetensors}[kind](path), {})


def _read_checkpoint(path):
    try:
        state = load_checkpoint(path)
    except CheckpointError as error:
        raise WeightsError(str(error)) from error
    if not isinstance(state, dict) or not isinstance(state.get("model"), dict):
        raise WeightsError(f"{path} is a checkpoint without a model; give one that training has written")
    settings = state.get("settings")
    if not isinstance(settings, dict) or "arch" not in settings:
        return Contents(state["model"], {})
    said = names.network_settings(settings["arch"], settings)
    return Contents(state["model"], UNSAID.get(settings["arch"], {}) | said)


def _for_model(contents, model):
    """(state, settings): under the model's keys, and how it has to be built, as far as the file tells."""
    state, settings = for_model(contents.state, model)
    return state, contents.settings | settings


def _fill(model, contents, path):
    state, settings = _for_model(contents, model)
    if isinstance(model, ResNet):
        _check_shortcuts(model, settings, path)
    if isinstance(model, AlexNet) and "norm_across_halves" in settings:
        _check_norms(model, settings, path)
    classes = _classes(model, state)
    if classes is not None and classes != (own := head(model).out_features):
        raise WeightsError(
            f"{path} is for {classes} classes, and this {type(model).__name__} for {own}; build it with "
            f"num_classes={classes}, load the file, and then give it a new head: pretrained.replace_head(model, {own})"
        )
    _check_numbers(model, state, path)
    try:
        model.load_state_dict(state)
    except (KeyError, ValueError, TypeError) as error:
        raise WeightsError(f"{path} does not fit: {error.args[0]}; give weights of the same architecture") from error
    return model.eval()


def _check_shortcuts(model, settings, path):
    """WeightsError if the model's are not those of the weights: the shapes do not show it, and its predictions would be
    wrong."""
    net = type(model).__name__
    if settings.get("plain") == model.residual:
        theirs, own = ("without", "has") if model.residual else ("with", "lacks")
        advice = f"build it with residual={not model.residual}"
        raise WeightsError(f"{path} is of a network {theirs} shortcuts, which this {net} {own}; {advice}")
    padding = settings.get("zero_padding")
    wrong = [layer.zero_padding for layer in zero_pads(model) if layer.zero_padding != padding]
    if padding and wrong:
        raise WeightsError(
            f"{path} has weights for zero_padding={padding!r}, and this {net} has zero_padding={wrong[0]!r}; build it "
            f"with models.cifar_resnet(depth, zero_padding={padding!r}), or let pretrained.from_file choose"
        )


def _check_norms(model, settings, path):
    """The same for LRN: whether pooling comes before it, and whether its windows see the other half of the channels."""
    kinds = [type(layer) for layer in model.features]
    if nn.LocalResponseNorm not in kinds:
        return  # the AlexNet of 2014: the shapes show it
    place = kinds.index(nn.LocalResponseNorm)
    own = nn.MaxPool2d in kinds[:place], model.features[place].groups == 1
    pool_before, across = settings["pool_before_norm"], settings["norm_across_halves"]
    if own != (pool_before, across or settings["groups"] == 1):
        advice = f"models.alexnet_2012(pool_before_norm={pool_before}, norm_across_halves={across})"
        raise WeightsError(f"{path} is of an AlexNet that normalises otherwise than this one; build it with {advice}")


def _check_numbers(model, state, path):
    """WeightsError for whole numbers in the place of weights, as a quantized network's mean nothing without its scales;
    and for infinities and NaN, as all that the network says would be NaN."""
    for key, tensor in model.state_dict().items():
        array = np.asarray(state.get(key, 0.0))
        if tensor.dtype.kind == "f" and array.dtype.kind != "f":
            advice = "save them as float32, those of a quantized network multiplied by their scales"
            raise WeightsError(f"{path} has {key} in {array.dtype}, which no weights of this network are; {advice}")
        if not np.isfinite(array).all():
            what = f"{path} has numbers in {key} that are not finite: it is damaged, or its training broke down"
            raise WeightsError(f"{what}; give weights of before")


def _classes(model, state):
    """How many classes a state dict's head is for; None if it has no head that fits behind the model's backbone."""
    if not any(isinstance(layer, nn.Linear) for layer in model.modules()):
        return None
    shape = np.shape(state.get(f"{head_name(model)}.weight"))
    return shape[0] if len(shape) == 2 and shape[1] == head(model).in_features else None
