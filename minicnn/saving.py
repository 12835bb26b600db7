"""``minicnn.save(state, path)`` and ``minicnn.load(path)``: Tensors in a file, in the form of the checkpoints.

    minicnn.save({"model": model.state_dict(), "epoch": 3}, "mine.npz")
    state = minicnn.load("mine.npz")
    model.load_state_dict(state["model"])

A file that was changed or cut off is refused, a file that cannot be written whole leaves the old one as it was, and
reading runs no code (``storage/checkpoint.py``).
"""

import os
from pathlib import Path
from typing import Any

from .device import DEVICES, is_array
from .settings import one_of
from .tensor import Tensor
from .variable import FLOATS

PATHS = (str, os.PathLike)


def save(state: Any, path: Path | str) -> None:
    """Write `state`: Tensors, arrays and plain values, in dicts (with text keys) and lists as deep as one likes.

    TypeError for what cannot be written, a Module among it: save its ``state_dict()``. CheckpointError, what stood at
    `path` before still there, if the disk is full or there is no such folder. Tuples come back as lists, and Tensors
    without ``requires_grad``.
    """
    from .storage.checkpoint import CheckpointError, save_checkpoint  # slow to import, and only needed here

    if not isinstance(path, PATHS):
        if isinstance(state, PATHS):
            raise TypeError(f"save: takes (state, path), as PyTorch does; write save(state, {os.fspath(state)!r})")
        raise TypeError(f"save: path must be a str or a Path, not a {type(path).__name__}")
    folder = Path(path).parent
    if not folder.is_dir():
        raise CheckpointError(f"save: there is no folder {folder}; make it: Path(...).mkdir(parents=True)")
    save_checkpoint(path, state)


def load(path: Path | str, map_location: str | None = None, weights_only: bool = True) -> Any:
    """What ``save`` has written, or a checkpoint of a training run, with Tensors where there were Tensors or arrays
    (but arrays where these are float16 or complex, which no Tensor holds).

    map_location: the device that they shall be on, "cpu" (None, too) or "cuda". weights_only is PyTorch's, and makes no
    difference: there is no code in such a file. FileNotFoundError if there is no such file; CheckpointError, with the
    way out, if it is damaged or another kind of file, such as one of ``torch.save``.
    """
    from .storage.checkpoint import CheckpointError, is_checkpoint, load_checkpoint  # slow to import, as above

    if not isinstance(path, PATHS):
        kind = type(path).__name__
        raise TypeError(f"load: path must be a str or a Path, not a {kind}; a state goes into load_state_dict(state)")
    device = one_of("load", "map_location", map_location or "cpu", DEVICES)
    if not os.path.lexists(path):
        raise FileNotFoundError(f"load: there is no file {os.fspath(path)}")
    if not is_checkpoint(path):
        what = f"load: {path} is damaged, or minicnn.save has not written it"
        way_out = "weights of torch.save, .safetensors or .npz go into a model by minicnn.pretrained.load_file"
        raise CheckpointError(f"{what}; {way_out}(model, path)")
    return _with_tensors(load_checkpoint(path), device)


def _with_tensors(value, device):
    if isinstance(value, dict):
        return {key: _with_tensors(entry, device) for key, entry in value.items()}
    if isinstance(value, list):
        return [_with_tensors(entry, device) for entry in value]
    fits = is_array(value) and (value.dtype.kind in "iub" or value.dtype in FLOATS)
    return Tensor(value).to(device) if fits else value
