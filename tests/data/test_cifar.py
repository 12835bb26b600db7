"""CIFAR-10 from the files of its author: both versions, packed or not, downloaded, damaged, and hostile."""

import hashlib
import io
import os
import pickle
import struct
import tarfile

import numpy as np
import pytest
from checks import raises
from test_download import serving

from minicnn.data import CenterCrop, DataError, DataLoader, cifar
from minicnn.data.archives import Source
from minicnn.data.cifar import CLASSES, cifar10, cifar10_test, is_cifar10, read_cifar10

PIXELS = np.random.default_rng(0).integers(0, 256, (30, 3072), np.uint8)
LABELS = [int(label) for label in np.random.default_rng(1).permutation(np.arange(30) % 10)]
ROWS = np.concatenate([np.array(LABELS, np.uint8)[:, None], PIXELS], axis=1).tobytes()


def of_python_2():
    """The pickle as Python 2 wrote it: texts are bytes, NumPy's names are old ones."""
    labels = b"".join(b"K" + bytes([label]) for label in LABELS)
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01K\x1eM\x00\x0c\x86cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R"
        b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89"
    )
    array += b"T" + struct.pack("<I", PIXELS.nbytes) + PIXELS.tobytes() + b"tb"
    return b"\x80\x02}(U\x0bbatch_labelU\x07testingU\x06labels](" + labels + b"eU\x04data" + array + b"u."


def of_python_3(protocol):
    return pickle.dumps({"labels": LABELS, "data": PIXELS}, protocol)


VERSIONS = {
    "python 2": ("cifar-10-batches-py/test_batch", of_python_2()),
    "python 3": ("cifar-10-batches-py/test_batch", of_python_3(2)),
    "protocol 4": ("cifar-10-batches-py/test_batch", of_python_3(4)),
    "binary": ("cifar-10-batches-bin/test_batch.bin", ROWS),
}


def packed(path, members, mode="w:gz"):
    with tarfile.open(path, mode) as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def check(pictures):
    assert [label for _, label in pictures.samples] == LABELS and pictures.classes == list(CLASSES)
    assert [str(item) for item, _ in pictures.samples[:2]] == ["test picture 0", "test picture 1"]
    (batch,) = DataLoader(pictures, 32, transform=CenterCrop(32)).epoch(0)
    assert (batch.images.reshape(30, -1) == PIXELS).all() and batch.labels.tolist() == LABELS


@pytest.mark.parametrize("version", VERSIONS)
def test_archives_and_folders(tmp_path, version):
    name, content = VERSIONS[version]
    folder = tmp_path / "data" / name.partition("/")[0]
    folder.mkdir(parents=True)
    (folder / name.partition("/")[2]).write_bytes(content)
    other = {"cifar-10-batches-py/data_batch_1": b"not looked at"}
    for path in (
        packed(tmp_path / "cifar.tar.gz", {**other, name: content}),
        packed(tmp_path / "cifar.tar", {f"./{name}": content}, "w"),
        folder,
        tmp_path / "data",
    ):
        assert is_cifar10(path)
        check(cifar10_test(path))
    assert not is_cifar10(tmp_path)


def batches(end=""):
    """All six files, whose labels are shifted by the number of the file."""
    names = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
    found = {}
    for shift, name in enumerate(names):
        labels = [(label + shift) % 10 for label in LABELS]
        rows = np.concatenate([np.array(labels, np.uint8)[:, None], PIXELS], axis=1).tobytes()
        found[name + end] = rows if end else pickle.dumps({"labels": labels, "data": PIXELS}, 2)
    return found


@pytest.mark.parametrize("end", ["", ".bin"])
def test_the_five_training_batches_are_one(tmp_path, end):
    folder = "cifar-10-batches-bin" if end else "cifar-10-batches-py"
    archive = packed(tmp_path / "cifar.tar.gz", {f"{folder}/{name}": content for name, content in batches(end).items()})
    (tmp_path / folder).mkdir()
    for name, content in batches(end).items():
        (tmp_path / folder / name).write_bytes(content)
    for path in (archive, tmp_path / folder, tmp_path):
        train = read_cifar10(path, "train")
        assert [label for _, label in train.samples] == [(label + i) % 10 for i in range(5) for label in LABELS]
        assert np.array_equal(np.asarray(train.load(149)).transpose(2, 0, 1).ravel(), PIXELS[29])
        assert [label for _, label in cifar10_test(path).samples] == [(label + 5) % 10 for label in LABELS]
    (tmp_path / folder / f"data_batch_3{end}").unlink()
    with raises(DataError, "no training pictures of CIFAR-10", "data_batch_1", "to 5"):
        read_cifar10(tmp_path, "train")


def test_it_is_downloaded_once_checked_and_unpacked(tmp_path, monkeypatch):
    content = packed(
        tmp_path / "it.tar.gz", {f"cifar-10-batches-py/{name}": part for name, part in batches().items()}
    ).read_bytes()
    root = tmp_path / "cache" / "cifar10"
    with serving(content) as server:
        source = Source(server.url + "cifar-10-python.tar.gz", hashlib.md5(content).hexdigest())
        monkeypatch.setattr(cifar, "SOURCE", source)
        with raises(DataError, "there is no cifar-10-python.tar.gz", root, source.url):
            cifar10(root, download=False)
        server.trouble = "another file"
        with raises(DataError, "what arrived has another MD5", "by hand"):
            cifar10(root)
        server.trouble = "truncated"
        with raises(DataError, "the connection broke"):
            cifar10(root)
        assert not list(root.iterdir())
        server.trouble = ""
        for _ in range(2):
            train, test = cifar10(root)
            assert (len(train), len(test), train.classes) == (150, 30, list(CLASSES))
        assert server.requests == 3 and sorted(path.name for path in root.iterdir()) == [
            "cifar-10-batches-py", "cifar-10-python.tar.gz"]  # fmt: skip


def test_a_damaged_archive_is_fetched_again_and_one_that_cannot_be_is_told(tmp_path, monkeypatch):
    archive = tmp_path / "cifar-10-python.tar.gz"
    archive.write_bytes(b"half of it")
    with raises(DataError, archive, "is damaged: its MD5 is"):
        cifar10(tmp_path, download=False)
    monkeypatch.setattr(cifar, "SOURCE", Source(cifar.SOURCE.url, hashlib.md5(b"half of it").hexdigest()))
    with raises(DataError, archive, "cannot be unpacked", "fetch it again"):
        cifar10(tmp_path, download=False)
    packed(archive, {"../evil/data_batch_1": b"x", "cifar-10-batches-py/../data_batch_2": b"x"})
    monkeypatch.setattr(cifar, "SOURCE", Source(cifar.SOURCE.url, hashlib.md5(archive.read_bytes()).hexdigest()))
    with raises(DataError, "it has no folder cifar-10-batches-py"):
        cifar10(tmp_path, download=False)
    assert [path.name for path in tmp_path.iterdir()] == [archive.name]


def test_the_order_is_that_of_the_classes_names():
    """So that folders of these names, sorted, have the same labels."""
    assert list(CLASSES) == sorted(CLASSES) and len(CLASSES) == 10


class Evil:
    def __reduce__(self):
        return os.getcwd, ()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (pickle.dumps(Evil()), "would run code"),
        (pickle.dumps({"labels": LABELS, "data": PIXELS[:-1]}, 4), "labels and pixels"),
        (pickle.dumps({"labels": [10] * 30, "data": PIXELS}, 4), "labels and pixels"),
        (pickle.dumps({"labels": ["a"] * 30, "data": PIXELS}, 4), "labels are no numbers"),
        (pickle.dumps({"labels": [], "data": PIXELS[:0]}, 4), "0 labels"),
        (pickle.dumps({"labels": LABELS, "data": PIXELS.astype(np.int16)}, 4), "not uint8"),
        (pickle.dumps({"labels": LABELS}, 4), "data"),
        (of_python_2()[:-500], "damaged"),
        (b"", "damaged"),
    ],
)
def test_damaged_and_hostile_pickles(tmp_path, content, reason):
    (tmp_path / "test_batch").write_bytes(content)
    with raises(DataError, reason, tmp_path):
        cifar10_test(tmp_path)


def test_other_files(tmp_path):
    (tmp_path / "test_batch.bin").write_bytes(ROWS[:-1])
    with raises(DataError, "damaged", tmp_path):
        cifar10_test(tmp_path)
    with raises(DataError, "holds no test pictures", "cifar-10-batches-py/test_batch"):
        cifar10_test(packed(tmp_path / "other.tar", {"cifar-100-python/test": b"x"}))
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8\xff")
    with raises(DataError, "photo.jpg", "damaged"):
        cifar10_test(tmp_path / "photo.jpg")
    whole = packed(tmp_path / "whole.tar.gz", {"cifar-10-batches-bin/test_batch.bin": ROWS}).read_bytes()
    (tmp_path / "part.tar.gz").write_bytes(whole[: len(whole) // 2])
    with raises(DataError, "part.tar.gz", "damaged"):
        cifar10_test(tmp_path / "part.tar.gz")
    with raises(DataError, "nowhere", "No such file"):
        cifar10_test(tmp_path / "nowhere")
