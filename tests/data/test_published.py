"""CIFAR-10 and Flowers-102, read by torchvision from files that look like the published ones."""

import pickle
import sys

import numpy as np
import pytest
from checks import raises

from minicnn.cache import CacheError
from minicnn.data import BadImage, CenterCrop, DataError, DataLoader
from minicnn.data.published import PublishedSet, cifar10, flowers102


@pytest.fixture
def cifar_files(tmp_path, torchvision, monkeypatch):
    """CIFAR-10's files with 20 pictures each, and torchvision made to accept their checksums."""
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    names = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
    for number, name in enumerate(names):
        rng = np.random.default_rng(number)
        content = {"data": rng.integers(0, 256, (20, 3072), np.uint8), "labels": [i % 10 for i in range(20)]}
        (folder / name).write_bytes(pickle.dumps(content))
    labels = {"label_names": [f"thing {k}" for k in range(10)]}
    (folder / "batches.meta").write_bytes(pickle.dumps(labels))
    monkeypatch.setattr(torchvision.datasets.cifar, "check_integrity", lambda path, md5: True)
    return tmp_path


def test_cifar10(cifar_files):
    train, test = cifar10(cifar_files, download=False)
    assert (len(train), len(test), train.classes[3]) == (100, 20, "thing 3")
    assert [label for _, label in train.samples] == 10 * list(range(10))
    pixels = np.random.default_rng(5).integers(0, 256, (20, 3072), np.uint8)[7]
    assert (np.asarray(test.load(7)).transpose(2, 0, 1).ravel() == pixels).all()
    (batch,) = DataLoader(test, 32, transform=CenterCrop(32)).epoch(0)
    assert batch.images.shape == (20, 3, 32, 32) and batch.labels.tolist() == 2 * list(range(10))


def test_flowers102(tmp_path, torchvision, monkeypatch):
    """Through a stand-in: the real class reads its labels with SciPy."""

    class Flowers:
        def __init__(self, root, split, download):
            assert download
            self._labels = {"train": [101, 0], "val": [5]}[split]
            self.classes = [f"flower {k}" for k in range(102)]

    monkeypatch.setattr(torchvision.datasets, "Flowers102", Flowers)
    train, val = flowers102(tmp_path / "new")
    assert [label for _, label in train.samples] == [101, 0] and len(val) == 1
    assert train.classes[101] == "flower 101" and (tmp_path / "new").is_dir()


def test_a_picture_that_is_none():
    class Broken:
        def __getitem__(self, index):
            raise OSError("truncated")

    with raises(BadImage, "train picture 4", "truncated"):
        PublishedSet(Broken(), "train", [0] * 5, ["a"]).load(4)


def test_files_that_are_not_there(tmp_path, torchvision):
    with raises(DataError, "CIFAR10", tmp_path, "folder of pictures"):
        cifar10(tmp_path, download=False)


@pytest.mark.parametrize("package", ["torchvision", "scipy"])
def test_without_what_reads_them(tmp_path, monkeypatch, torchvision, package):
    folder = tmp_path / "flowers-102"
    for name in ("jpg", "imagelabels.mat", "setid.mat"):
        (folder / name).mkdir(parents=True)
    monkeypatch.setattr(torchvision.datasets.flowers102, "check_integrity", lambda path, md5: True)
    monkeypatch.setitem(sys.modules, package, None)
    with raises(DataError, "Flowers102", package, "minicnn[datasets]"):
        flowers102(tmp_path, download=False)


@pytest.mark.parametrize("error", [RuntimeError, OSError, AttributeError, ImportError])
def test_a_torchvision_that_does_not_fit_pytorch(error, tmp_path, monkeypatch):
    """It is there, and fails in its own words when it is imported: no connection could mend that."""

    class Broken:
        def find_spec(self, name, path, target=None):
            if name == "torchvision":
                raise error("operator torchvision::nms does not exist")

    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    with pytest.raises(DataError, match=r"CIFAR10 .*torchvision::nms.*minicnn\[datasets\]") as caught:
        cifar10(tmp_path)
    assert "connection" not in str(caught.value)


def test_a_folder_for_them_that_cannot_be_made(tmp_path, torchvision):
    (tmp_path / "file").touch()
    with raises(CacheError, str(tmp_path / "file" / "cifar10"), "MINICNN_CACHE"):
        cifar10(tmp_path / "file" / "cifar10")
