"""MNIST from its own files, which the user has: the format "idx", big-endian, packed by gzip or not.

Source    http://yann.lecun.com/exdb/mnist, "FILE FORMATS FOR THE MNIST DATABASE"
"""

import gzip
import zlib
from pathlib import Path

import numpy as np

from minicnn.errors import SettingError

NAMES = {"train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte")}
NAMES["test"] = ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
BYTES = 8  # the format's number for the type uint8


def mnist(folder: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    """(images uint8 (N, 1, 28, 28), labels int64 (N,)) of "train" or "test".

    SettingError if a file is missing, damaged, or does not belong to the other.
    """
    images, labels = (_array(_found(folder, name), axes) for name, axes in zip(NAMES[part], (3, 1), strict=True))
    if len(images) != len(labels) or not len(images):
        names = " and ".join(NAMES[part])
        raise SettingError(f"{folder}: {names} hold {len(images)} images and {len(labels)} labels; get them again")
    return images[:, None], labels.astype(np.int64)


def _found(folder, name):
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    raise SettingError(f"{folder} has no {name} or {name}.gz; MNIST is four such files, put them there")


def _array(path, axes):
    """The array of a file: two zeros, the type, the number of axes, each axis's length in four bytes, the values."""
    try:
        content = (gzip.decompress if path.suffix == ".gz" else bytes)(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:  # of gzip: no such file, or half of one
        raise SettingError(f"{path} cannot be read: {error}; get it again") from error
    head = 4 + 4 * axes
    shape = np.frombuffer(content[4:head], ">u4").astype(np.int64) if len(content) >= head else np.zeros(0)
    if content[:4] != bytes([0, 0, BYTES, axes]) or len(content) != head + shape.prod():
        raise SettingError(f"{path} is no whole idx file of bytes with {axes} axes; get it again")
    return np.frombuffer(content, np.uint8, offset=head).reshape(shape)
