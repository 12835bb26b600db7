"""CIFAR-10 as its author publishes it, from a file or a folder, or downloaded.

    cifar-10-python.tar.gz    cifar-10-batches-py/test_batch        a pickled dict: data uint8 (N, 3072), labels
    cifar-10-binary.tar.gz    cifar-10-batches-bin/test_batch.bin   N rows of a label and 3072 bytes
    either unpacked           the folder, or the one that it lies in

data_batch_1 to 5 beside test_batch hold the training pictures, in the same form.

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

from .archives import Source, fetched, unpacked
from .errors import DataError, shown
from .split import PublishedSet
from .subset import PictureSet

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SOURCE = Source("https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz", "c58f30108f718f92721af3b95e74349a")
FOLDERS = {"cifar-10-batches-py": "", "cifar-10-batches-bin": ".bin"}  # and how the names of files in it end
BATCHES = {"train": tuple(f"data_batch_{i}" for i in range(1, 6)), "test": ("test_batch",)}
ADJECTIVES = {"train": "training", "test": "test"}
ROW = 3 * 32 * 32
MOST_BYTES = 100_000_000  # of a batch, which has 31 million


def is_cifar10(path: Path | str) -> bool:
    """Whether `path` is a file, or a folder in which CIFAR-10's test pictures lie."""
    return Path(path).is_file() or _in_folder(path, "test") is not None


def cifar10(root: Path | str, download: bool = True) -> tuple[PublishedSet, ...]:
    """(train, test) of CIFAR-10, 50,000 and 10,000 pictures of ten classes; downloaded into `root` if need be.

    DataError if they are not there and cannot be fetched, or are damaged.
    """
    root = Path(root)
    if _in_folder(root, "train") is None:
        unpacked(fetched(SOURCE, root, download), "cifar-10-batches-py")
    return tuple(read_cifar10(root, split) for split in BATCHES)


def cifar10_test(path: Path | str) -> PictureSet:
    """The test pictures, usually 10,000, of ten classes, as a set of pictures. DataError if they cannot be read."""
    return read_cifar10(path, "test")


def read_cifar10(path: Path | str, split: str) -> PublishedSet:
    """The pictures of "train" or "test", from an archive or a folder. DataError if they cannot be read."""
    try:
        parts = [
            _from_pickle(content) if of_python else _from_rows(content)
            for content, of_python in _contents(Path(path), split)
        ]
        pixels, labels = np.concatenate([part[0] for part in parts]), [label for part in parts for label in part[1]]
        if not len(labels) or pixels.shape != (len(labels), ROW) or not 0 <= min(labels) <= max(labels) < len(CLASSES):
            raise ValueError(f"{len(labels)} labels and pixels {pixels.shape} are not its labels and pictures")
    except DataError:
        raise
    except OSError as error:
        raise DataError(f"CIFAR-10 cannot be read from {path}: {error.strerror or error}") from error
    except Exception as error:  # of a damaged file: TarError, EOFError, zlib.error, UnpicklingError, KeyError ...
        reason = shown(f"{type(error).__name__}: {error}")
        raise DataError(f"{path} is damaged or not CIFAR-10's: {reason:.200}; fetch it again") from error
    return PublishedSet(_Pictures(pixels), split, labels, CLASSES)


class _Pictures:
    """PIL images by index, as torchvision's sets give them."""

    def __init__(self, pixels):
        self.pixels = pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)

    def __getitem__(self, index):
        from PIL import Image

        return Image.fromarray(np.ascontiguousarray(self.pixels[index])), None


def _names(split):
    """Of the files of a split, with their folder: as they are published for Python, and in binary."""
    return [[f"{folder}/{name}{end}" for name in BATCHES[split]] for folder, end in FOLDERS.items()]


def _in_folder(path, split):
    """The files of a split, in a folder or in CIFAR-10's own folder in it; None if they are not all there."""
    inside = [[Path(path) / part for part in names] for names in _names(split)]
    beside = [[Path(path) / Path(part).name for part in names] for names in _names(split)]
    return next((files for files in inside + beside if all(file.is_file() for file in files)), None)


def _contents(path, split):
    """(bytes, whether they are for Python) of each file of a split, out of a folder or an archive."""
    what = f"no {ADJECTIVES[split]} pictures of CIFAR-10"
    wanted = " or ".join(f"{names[0]}{' to 5' * (split == 'train')}" for names in _names(split))
    if path.is_dir():
        files = _in_folder(path, split)
        if files is None:
            raise DataError(f"there are {what} in {path}; it should hold {wanted}")
        return [(_all_of(open(file, "rb")), file.suffix != ".bin") for file in files]
    found = {}
    with tarfile.open(path) as archive:  # compressed or not
        for member in archive:
            name = member.name.removeprefix("./")
            if member.isfile() and any(name in names for names in _names(split)):
                found[name] = _all_of(archive.extractfile(member))
            for names in _names(split):
                if all(each in found for each in names):  # the rest need not be looked at
                    return [(found[each], not each.endswith(".bin")) for each in names]
    raise DataError(f"{path} holds {what}: no {wanted}; give one of its archives")


def _all_of(file):
    with file:
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
    """Builds what is in a batch, and nothing else."""

    def find_class(self, module, name):
        if (module, name) not in KNOWN:
            raise ValueError(f"it would run code: it calls {module}.{name}")
        return KNOWN[module, name]
