"""Weights that ``torch.save`` has written, read without PyTorch and without running any code.

Such a file is a pickle that describes tensors, and the numbers themselves beside it:

    since 1.6   a zip archive       <name>/data.pkl the pickle, <name>/data/<key> the numbers of a storage
    before      one long stream     pickles (a magic number, a version, the writer's system, the value, the storages'
                                    keys), then the numbers: for each key a count (int64) and so many numbers

A tensor is a window on a storage, with an offset and strides; several tensors may share one. So it is here: the arrays
are read-only views, and reading takes about as much memory as the file is long. A zip archive has a CRC-32 of each
member, and any flipped bit in the numbers is noticed, which ``torch.load`` does not do. The older stream has none.
"""

import io
import math
import os
from pathlib import Path

import numpy as np

from ..storage.files import open_regular
from ..storage.npz import Archive
from ..types import Array
from .dtypes import from_bytes
from .error import WeightsError, reading
from .keys import find_state_dict, plain
from .kinds import MAGIC, ZIP_START
from .unpickle import StoredTensor, unpickle

VERSION = 1001
MOST_DIMENSIONS = 64  # NumPy's limit


def read_pth(path: Path | str) -> dict[str, Array]:
    """{key: read-only array} of a state dict in a .pth or .pt file of either format; bfloat16 becomes float32.

    A dict in which the state dict stands beside other things will do (``keys.find_state_dict``), and "module." and
    "_orig_mod.", which DataParallel and torch.compile add to all keys, are taken off. WeightsError if the file is
    missing, damaged, of another kind, or would run code.
    """
    return plain(read_as_saved(path))


def read_as_saved(path: Path | str) -> dict[str, Array]:
    """The same with the keys that stand in the file."""
    with reading(path, "a file that torch.save has written"), open_regular(path) as file:
        start = file.read(len(ZIP_START))
        file.seek(0)
        value = (_read_zip if start == ZIP_START else _read_legacy)(file, path)
        tensors = _state_dict(value, path)
        return {key: _array(key, tensor) for key, tensor in tensors.items()}


def _read_zip(file, path):
    archive = Archive(file, os.fstat(file.fileno()).st_size)
    pickles = [name for name in archive.members if name.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise ValueError(f"it has {len(pickles)} members data.pkl")
    folder = pickles[0].removesuffix("data.pkl")
    if folder + "byteorder" in archive.members:
        _check_byte_order(archive.read(folder + "byteorder") == b"little", path)
    value, storages = unpickle(io.BytesIO(archive.read(pickles[0])), path)
    for key, storage in storages.items():
        data = archive.read(f"{folder}data/{key}")
        if len(data) != storage.size * storage.dtype.itemsize:
            raise ValueError(f"storage {key} has {len(data)} bytes and should have {storage.size} numbers")
        storage.array = from_bytes(data, storage.dtype)
    return value


def _read_legacy(file, path):
    file.raw.seek(0)
    data = file.raw.readall()  # without the buffer, which would hold a second copy for a moment
    stream = io.BytesIO(data)
    magic, version, system = (unpickle(stream, path)[0] for _ in range(3))
    if magic != MAGIC or version != VERSION:
        raise ValueError("its magic number or its version is wrong")
    _check_byte_order(system["little_endian"], path)
    value, storages = unpickle(stream, path)
    keys, _ = unpickle(stream, path)
    if keys != sorted(storages):
        raise ValueError("its list of storages is wrong")
    for key in keys:
        storage = storages[key]
        (count,) = np.frombuffer(stream.read(8), "<i8")
        if count != storage.size:
            raise ValueError(f"storage {key} has {count} numbers and should have {storage.size}")
        storage.array = from_bytes(data, storage.dtype, storage.size, stream.tell())
        stream.seek(storage.size * storage.dtype.itemsize, io.SEEK_CUR)
    return value


def _check_byte_order(little_endian, path):
    if not little_endian:
        raise WeightsError(f"{path} is of a big-endian machine, which is not read here; write it on another machine")


def _state_dict(value, path):
    """The {key: StoredTensor} in what a training program has saved."""

    def is_tensor(entry):
        return isinstance(entry, StoredTensor)

    state = find_state_dict(value, is_tensor, path)
    if state is None:
        other = [key for key, entry in value.items() if not is_tensor(entry)] if isinstance(value, dict) else []
        what = f", its entry {other[0]!r:.60} is no tensor" if other else ""
        advice = "save the weights alone: torch.save(model.state_dict(), path)"
        raise WeightsError(f"{path} holds no state dict{what}; {advice}")
    return state


def _array(key, tensor):
    """The window as a view; ValueError if it reaches beyond its storage or has more elements than that."""
    storage, offset, shape, strides = tensor
    if len(shape) != len(strides) or len(shape) > MOST_DIMENSIONS:
        raise ValueError(f"{key} has {len(shape)} sizes and {len(strides)} strides")
    if not all(type(number) is int and number >= 0 for number in (offset, *shape, *strides)):
        raise ValueError(f"{key} has an offset, a size or a stride that is no whole number >= 0")
    end = offset + sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True)) + 1
    if math.prod(shape) > storage.size or (end > storage.size and 0 not in shape):
        raise ValueError(f"{key} reaches beyond its {storage.size} numbers")
    step = storage.array.itemsize
    return np.ndarray(shape, storage.array.dtype, storage.array, offset * step, [step * stride for stride in strides])
