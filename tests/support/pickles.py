"""Files of torch.save and pickles, put together by hand: what PyTorch would never write."""

import io
import pickletools
import struct
import tempfile
import time
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from minicnn.pretrained import WeightsError, read_pth

FORMATS = [pytest.param(True, id="zip"), pytest.param(False, id="legacy")]
SIX = np.arange(6, dtype="<f4").tobytes()


def read(content):
    """read_pth of a file with this content."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.pth"
        path.write_bytes(content)
        return read_pth(path)


def save(torch, value, new=True, **options):
    file = io.BytesIO()
    torch.save(value, file, _use_new_zipfile_serialization=new, **options)
    return file.getvalue()


# Archives


def contents(content):
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        return {name: file.read(name) for name in file.namelist()}


def archive(members, compression=zipfile.ZIP_STORED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as writer:
        for name, content in members.items():
            writer.writestr(name, content)
    return file.getvalue()


def split(directory):
    """The entries of a zip archive's directory."""
    return [b"PK\x01\x02" + entry for entry in directory.split(b"PK\x01\x02")[1:]]


def shifted(entry, by):
    """The entry of a member that lies `by` bytes further back."""
    (offset,) = struct.unpack_from("<L", entry, 42)
    return entry[:42] + struct.pack("<L", offset + by) + entry[46:]


# Pickles


def op(name, *operand):
    return next(o.code for o in pickletools.opcodes if o.name == name).encode("latin-1") + b"".join(operand)


def text(value):
    return op("BINUNICODE", struct.pack("<I", len(value)), value.encode())


def number(value):
    size = value.bit_length() // 8 + 1
    return op("LONG1", bytes([size]), value.to_bytes(size, "little", signed=True))


def numbers(values):
    return op("MARK") + b"".join(map(number, values)) + op("TUPLE")


def glob(module, name):
    return op("GLOBAL", module.encode(), b"\n", name.encode(), b"\n")


def tensor(offset=0, shape=(2, 3), strides=(3, 1), size=6, dtype="FloatStorage", key="0", kind="storage", view=b""):
    """The pickle of a tensor on the storage `key`, in proper form, whatever the numbers are."""
    storage = text(kind) + glob("torch", dtype) + text(key) + text("cpu") + number(size) + view
    return b"".join(
        [
            glob("torch._utils", "_rebuild_tensor_v2") + op("MARK"),
            op("MARK") + storage + op("TUPLE") + op("BINPERSID"),
            number(offset) + numbers(shape) + numbers(strides) + op("NEWFALSE") + op("EMPTY_DICT"),
            op("TUPLE") + op("REDUCE"),
        ]
    )


def crafted(entry, storage=SIX, compression=zipfile.ZIP_STORED):
    """A file whose state dict is {"weight": entry}."""
    value = op("PROTO", b"\x02") + op("EMPTY_DICT") + text("weight") + entry + op("SETITEM") + op("STOP")
    return archive({"a/data.pkl": value, "a/data/0": storage}, compression)


def doubled(count, cell):
    """A small pickle of a value with 2 ** count leaves."""
    once = op("BINPUT", b"\x01") + op("BINGET", b"\x01") + op(cell)
    return number(1) + once * count


def check_bounded(content, reason=None):
    """It is refused, in less than a second or two and in memory of about its size."""
    tracemalloc.start()
    start = time.perf_counter()
    try:
        with pytest.raises(WeightsError, match=reason):
            read(content)
        seconds, peak = time.perf_counter() - start, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert seconds < 30  # on a busy machine, and under tracemalloc; what it guards against takes hours
    assert peak < 40 * len(content) + (4 << 20)
