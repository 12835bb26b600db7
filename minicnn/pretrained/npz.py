"""Weights as ``numpy.savez`` writes them: a zip archive of plain arrays, each under its key."""

import os
from pathlib import Path

from ..storage.files import open_regular
from ..storage.npz import Archive
from ..types import Array
from .error import WeightsError, reading


def read_npz(path: Path | str) -> dict[str, Array]:
    """{key: array} of an .npz file. WeightsError if it is missing, damaged, compressed or of another kind, or has
    arrays of anything but real numbers and booleans (nothing is unpickled)."""
    with reading(path, "an .npz file of arrays, as numpy.savez writes it"), open_regular(path) as file:
        archive = Archive(file, os.fstat(file.fileno()).st_size)
        state = {name.removesuffix(".npy"): archive.array(name) for name in archive.members}
    for key, array in state.items():
        if array.dtype.kind == "c":
            raise WeightsError(f"{path}: {key} is of dtype {array.dtype}, which weights are not; save it as float32")
    return state
