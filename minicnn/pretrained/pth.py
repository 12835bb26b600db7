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
import zipfile

import numpy as np

from .dtypes import from_bytes
from .error import WeightsError, reading
from .unpickle import StoredTensor, unpickle

ZIP_START = b"PK\x03\x04"
MAGIC, VERSION = 0x1950A86A20F9469CFC6C, 1001
WRAPPERS = ("state_dict", "model")  # training programs save {"state_dict": ..., "epoch": ...} and the like
MOST_DIMENSIONS = 64  # NumPy's limit


def read_pth(path):
    """{key: read-only array} of a state dict in a .pth or .pt file of either format; bfloat16 becomes float32.

    A dict that has the state dict under "state_dict" or "model" will do, and a prefix "module." of all keys, which
    DataParallel adds, is taken off. WeightsError if the file is missing, damaged, of another kind, or would run code.
    """
    with reading(path, "a file that torch.save has written"), open(path, "rb", buffering=0) as file:
        start = file.read(len(ZIP_START))
        file.seek(0)
        value = (_read_zip if start == ZIP_START else _read_legacy)(file, path)
        tensors = _state_dict(value, path)
        return {key: _array(key, tensor) for key, tensor in tensors.items()}


def _read_zip(file, path):
    length = file.seek(0, io.SEEK_END)
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        stored = all(member.compress_type == zipfile.ZIP_STORED for member in members)
        if not stored or sum(member.file_size for member in members) > length:
            raise ValueError("its archive is compressed, or its members overlap")
        (pickle,) = (name for name in archive.namelist() if name.endswith("/data.pkl"))
        folder = pickle.removesuffix("data.pkl")
        if folder + "byteorder" in archive.namelist():
            _check_byte_order(archive.read(folder + "byteorder") == b"little", path)
        value, storages = unpickle(io.BytesIO(archive.read(pickle)), path)
        for key, storage in storages.items():
            data = archive.read(f"{folder}data/{key}")
            if len(data) != storage.size * storage.dtype.itemsize:
                raise ValueError(f"storage {key} has {len(data)} bytes and should have {storage.size} numbers")
            storage.array = from_bytes(data, storage.dtype)
    return value


def _read_legacy(file, path):
    data = file.read()
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
    for wrapper in WRAPPERS:
        if isinstance(value, dict) and isinstance(value.get(wrapper), dict):
            value = value[wrapper]
    if not isinstance(value, dict) or not value:
        raise WeightsError(f"{path} holds no state dict; save one: torch.save(model.state_dict(), path)")
    for key, tensor in value.items():
        if not isinstance(key, str) or not isinstance(tensor, StoredTensor):
            raise WeightsError(
                f"{path} holds no state dict, its entry {key!r:.60} is no tensor; save the weights alone: "
                "torch.save(model.state_dict(), path)"
            )
    parallel = all(key.startswith("module.") for key in value)
    return {key.removeprefix("module.") if parallel else key: tensor for key, tensor in value.items()}


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
