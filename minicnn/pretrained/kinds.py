"""What kind of file it is: told by its structure, not by its name and not by a single byte.

    a minicnn checkpoint   a zip archive with state.json
    .pth, .pt, .th         a zip archive with <name>/data.pkl; before PyTorch 1.6 a pickle that begins with MAGIC
    .npz                   a zip archive of .npy files
    .safetensors           8 bytes n, little-endian, and a JSON object of n bytes, all within the file

A file that has lost its end is still told by its beginning, so that it is called a damaged file of its own kind. What
else people take for weights is named, with the way out.
"""

import os
import struct
import zipfile
from pathlib import Path

from ..storage.checkpoint import HEADER
from ..storage.files import open_regular
from .error import WeightsError

ZIP_START = b"PK\x03\x04"
MAGIC = 0x1950A86A20F9469CFC6C  # the first thing in a file of torch.save before 1.6
MOST_HEADER = 100_000_000  # bytes, of a .safetensors file: the format's own limit
START = 512  # bytes that are looked at
CONVERT = "load it there and save the arrays alone, by numpy.savez or torch.save"
UNPACK = "unpack it first"
OTHERS = (  # (where, what stands there, what the file is, the way out)
    (0, b"version https://git-lfs", "a pointer of git-LFS, not the file itself", "fetch it: git lfs pull"),
    (0, b"\x89HDF\r\n\x1a\n", "an HDF5 file, as Keras and TensorFlow write", CONVERT),
    (0, b"\x93NUMPY", "a single NumPy array", "save all of them with their names: numpy.savez"),
    (0, b"GGUF", "a GGUF file", CONVERT),
    (4, b"TFL3", "a TensorFlow Lite model", CONVERT),
    (257, b"ustar", "a tar archive, as PyTorch before 0.2 wrote", "unpack it, or save its weights anew with PyTorch"),
    (0, b"\x1f\x8b", "compressed by gzip", UNPACK),
    (0, b"\xfd7zXZ\x00", "compressed by xz", UNPACK),
    (0, b"BZh", "compressed by bzip2", UNPACK),
    (0, b"\x28\xb5\x2f\xfd", "compressed by zstd", UNPACK),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive", UNPACK),
)
PAGES = (b"<!doctype", b"<html", b"<?xml", b"<head", b"<body")
ONNX = (0x12, 0x1A, 0x22, 0x3A, 0x42)  # the tags that may follow the version of an ONNX model (protocol buffers)


def kind_of(path: Path | str) -> str:
    """ "checkpoint", "pth", "npz" or "safetensors"; WeightsError that names what else it is; OSError."""
    with open_regular(path) as file:
        start, size = file.read(START), file.seek(0, os.SEEK_END)
        if _is_safetensors(start, size):
            return "safetensors"
        if start.startswith(ZIP_START):
            return _kind_of_archive(_members(file, start), path)
    if start[:1] == b"\x80" and b"\x02" <= start[1:2] <= b"\x05":  # a pickle, of protocol 2 to 5
        if MAGIC.to_bytes(10, "little") in start:
            return "pth"
        raise _other(path, "a pickle that is damaged, or that torch.save has not written", CONVERT)
    for position, content, what, way_out in OTHERS:
        if start.startswith(content, position):
            raise _other(path, what, way_out)
    if start.lstrip().lower().startswith(PAGES):
        raise _other(path, "a web page, which servers send instead of a file", "look into it, and fetch the file again")
    if start[:1] == b"\x08" and len(start) > 2 and start[1] < 32 and start[2] in ONNX:
        raise _other(path, "an ONNX model", CONVERT)
    what = f"it begins with {start[:16]!r}" if start else "it is empty"
    raise WeightsError(f"{path} holds no weights, {what}; give a .pth, a .safetensors, an .npz or a minicnn checkpoint")


def _is_safetensors(start, size):
    (length,) = struct.unpack("<Q", start[:8].ljust(8, b"\xff"))
    return start[8:9] == b"{" and (length <= size - 8 or length <= MOST_HEADER)


def _members(file, start):
    """The names in a zip archive; of one that has lost its directory, which stands at the end, the first of them."""
    try:
        with zipfile.ZipFile(file) as archive:
            return archive.namelist()
    except Exception:  # of a damaged directory: BadZipFile, struct.error, UnicodeDecodeError, NotImplementedError ...
        length = int.from_bytes(start[26:28], "little")
        return [start[30 : 30 + length].decode("utf-8", "replace")]


def _kind_of_archive(names, path):
    if HEADER in names:
        return "checkpoint"
    if any("/code/" in name or name.endswith("/constants.pkl") for name in names):
        way_out = "save its weights alone: torch.save(torch.jit.load(path).state_dict(), ...)"
        raise _other(path, "a TorchScript program", way_out)
    if any(name.endswith("/data.pkl") for name in names):
        return "pth"
    if names and all(name.endswith(".npy") for name in names):
        return "npz"
    if "model.weights.h5" in names:
        raise _other(path, "a Keras model", CONVERT)
    what = f"a zip archive of {', '.join(names[:3])[:60] or 'nothing'}"
    raise _other(path, what, "unpack it, and give what is in it")


def _other(path, what, way_out):
    return WeightsError(f"{path} holds no weights that are read here, it is {what}; {way_out}")
