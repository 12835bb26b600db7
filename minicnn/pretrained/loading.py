"""From files to networks: whatever kind of file it is, all of its weights or none."""

import zipfile

import numpy as np

from .. import nn
from ..train.checkpoint import HEADER, CheckpointError, load_checkpoint
from .download import fetch
from .error import WeightsError, reading
from .pth import ZIP_START, read_pth
from .safetensors import read_safetensors
from .transfer import head, head_name, replace_head
from .weights import Weights, get


def load(weights, name="DEFAULT", file=None):
    """A network with pretrained weights, in evaluation mode.

    weights: what ``get`` has returned, or an architecture; then `name` says which of its weights. They are downloaded
    once. With `file`, the weights are those of this file instead: see ``from_file``. WeightsError, in one sentence, for
    all that can be wrong with a file or a download.
    """
    if not isinstance(weights, Weights):
        weights = get(weights, name)
    if file is not None:
        return from_file(weights.build, file)
    return load_file(weights.build(), fetch(weights.url))


def from_file(build, path):
    """The network ``build(num_classes)`` with the weights of a file and with as many classes as the file has, in
    evaluation mode. The file is a .pth, a .safetensors or a minicnn checkpoint. Raises WeightsError."""
    state, model = read_weights(path), build(1)
    if classes := _classes(model, state):
        replace_head(model, classes)
    return _fill(model, state, path)


def load_file(model, path):
    """Copy the weights of a file, a .pth, a .safetensors or a minicnn checkpoint, into `model`; returns it, in
    evaluation mode. WeightsError, and nothing is changed, unless every key and every shape agrees."""
    return _fill(model, read_weights(path), path)


def read_weights(path):
    """{key: array} of a file, whose content tells its kind: .pth, .safetensors or a minicnn checkpoint."""
    with reading(path, "weights"):
        if is_checkpoint(path):
            return _read_checkpoint(path)
        with open(path, "rb") as file:
            start = file.read(16)
        if start.startswith(ZIP_START) or start.startswith(b"\x80"):  # a pickle
            return read_pth(path)
        if start[8:9] == b"{":
            return read_safetensors(path)
    raise WeightsError(
        f"{path} holds no weights, {f'it begins with {start}' if start else 'it is empty'}; "
        "give a .pth, a .safetensors or a minicnn checkpoint"
    )


def is_checkpoint(path):
    """Whether the file at `path` is a minicnn checkpoint, by its content."""
    try:
        with zipfile.ZipFile(path) as archive:
            return HEADER in archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return False


def _read_checkpoint(path):
    try:
        state = load_checkpoint(path)
    except CheckpointError as error:
        raise WeightsError(str(error)) from error
    if not isinstance(state, dict) or not isinstance(state.get("model"), dict):
        raise WeightsError(f"{path} is a checkpoint without a model; give one that training has written")
    return state["model"]


def _fill(model, state, path):
    classes = _classes(model, state)
    if classes is not None and classes != (own := head(model).out_features):
        raise WeightsError(
            f"{path} is for {classes} classes, and this {type(model).__name__} for {own}; build it with "
            f"num_classes={classes}, load the file, and then give it a new head: pretrained.replace_head(model, {own})"
        )
    try:
        model.load_state_dict(state)
    except (KeyError, ValueError, TypeError) as error:
        raise WeightsError(f"{path} does not fit: {error.args[0]}; give weights of the same architecture") from error
    return model.eval()


def _classes(model, state):
    """How many classes a state dict's head is for; None if it has no head that fits behind the model's backbone."""
    if not any(isinstance(layer, nn.Linear) for layer in model.modules()):
        return None
    shape = np.shape(state.get(f"{head_name(model)}.weight"))
    return shape[0] if len(shape) == 2 and shape[1] == head(model).in_features else None
