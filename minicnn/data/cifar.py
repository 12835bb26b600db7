"""CIFAR-10's test pictures as their author publishes them, from a file or a folder, without torchvision.

    cifar-10-python.tar.gz    cifar-10-batches-py/test_batch        a pickled dict: data uint8 (N, 3072), labels
    cifar-10-binary.tar.gz    cifar-10-batches-bin/test_batch.bin   N rows of a label and 3072 bytes
    either unpacked           the folder, or the one that it lies in

A picture is 1024 bytes of red, then green, then blue, row by row. Of the pickle only lists, texts and the one array are
built; no code of it is run.

Source    Krizhevsky, "Learning multiple layers of features from tiny images", 2009
"""

import io
import pickle
import tarfile
from pathlib import Path
from typing import Any

import numpy as np

from .errors import DataError, shown
from .published import PublishedSet
from .subset import PictureSet

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
FILES = ("cifar-10-batches-py/test_batch", "cifar-10-batches-bin/test_batch.bin")
ROW = 3 * 32 * 32
MOST_BYTES = 100_000_000  # of test_batch, which has 31 million


def is_cifar10(path: Path | str) -> bool:
    """Whether `path` is a file, or a folder in which CIFAR-10's test pictures lie."""
    return Path(path).is_file() or _in_folder(path) is not None


def cifar10_test(path: Path | str) -> PictureSet:
    """The test pictures, usually 10,000, of ten classes, as a set of pictures. DataError if they cannot be read."""
    try:
        content, name = _content(Path(path))
        pixels, labels = _from_pickle(content) if name.endswith("test_batch") else _from_rows(content)
        if not len(labels) or pixels.shape != (len(labels), ROW) or not 0 <= min(labels) <= max(labels) < len(CLASSES):
            raise ValueError(f"{len(labels)} labels and pixels {pixels.shape} are not its labels and pictures")
    except DataError:
        raise
    except OSError as error:
        raise DataError(f"CIFAR-10 cannot be read from {path}: {error.strerror or error}") from error
    except Exception as error:  # of a damaged file: TarError, EOFError, zlib.error, UnpicklingError, KeyError ...
        reason = shown(f"{type(error).__name__}: {error}")
        raise DataError(f"{path} is damaged or not CIFAR-10's: {reason:.200}; fetch it again") from error
    return PublishedSet(_Pictures(pixels), "test", labels, CLASSES)


class _Pictures:
    """PIL images by index, as torchvision's sets give them."""

    def __init__(self, pixels):
        self.pixels = pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)

    def __getitem__(self, index):
        from PIL import Image

        return Image.fromarray(np.ascontiguousarray(self.pixels[index])), None


def _in_folder(path):
    """The file of the test pictures, in a folder or in CIFAR-10's own folder in it; None if there is none."""
    candidates = [Path(path) / part for name in FILES for part in (name, Path(name).name)]
    return next((file for file in candidates if file.is_file()), None)


def _content(path):
    """(bytes, name) of the test pictures' file, out of its folder or its archive."""
    if path.is_dir():
        file = _in_folder(path)
        if file is None:
            raise DataError(f"there are no test pictures of CIFAR-10 in {path}; it should hold {' or '.join(FILES)}")
        with open(file, "rb") as opened:
            return _all_of(opened), file.name
    with tarfile.open(path) as archive:  # compressed or not
        for member in archive:
            if member.isfile() and member.name.removeprefix("./") in FILES:
                return _all_of(archive.extractfile(member)), member.name
    raise DataError(f"{path} holds no test pictures of CIFAR-10: no {' or '.join(FILES)}; give one of its archives")


def _all_of(file):
    content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise ValueError(f"it has more than {MOST_BYTES:,} bytes")
    return content


def _from_rows(content):
    rows = np.frombuffer(content, np.uint8).reshape(-1, 1 + ROW)
    return rows[:, 1:], rows[:, 0].tolist()


def _from_pickle(content):
    batch = _Unpickler(io.BytesIO(content), encoding="latin-1").load()
    data, labels = batch["data"], batch["labels"]
    if not all(type(label) is int for label in labels):
        raise ValueError("its labels are no numbers")
    return np.frombuffer(data.content, np.uint8).reshape(data.shape), labels


class _Array:
    """Stands for NumPy's array while it is unpickled: the shape, and the bytes."""

    def __setstate__(self, state):
        _, self.shape, _, _, content = state
        self.content = content.encode("latin-1") if isinstance(content, str) else content  # a text of Python 2


class _Dtype:
    """Stands for its dtype, which is uint8."""

    def __setstate__(self, state):
        pass


def _make_dtype(name, *options):
    if name not in ("u1", "uint8"):
        raise ValueError(f"its pixels are {name!r:.20} and not uint8")
    return _Dtype()


KNOWN: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): lambda *arguments: _Array(),
    ("numpy._core.multiarray", "_reconstruct"): lambda *arguments: _Array(),
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _make_dtype,
    ("_codecs", "encode"): lambda text, encoding: text.encode("latin-1"),
}


class _Unpickler(pickle.Unpickler):
    """Builds what is in test_batch, and nothing else."""

    def find_class(self, module, name):
        if (module, name) not in KNOWN:
            raise ValueError(f"it would run code: it calls {module}.{name}")
        return KNOWN[module, name]
