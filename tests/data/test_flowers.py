"""Flowers-102 from files like the published ones: read without PyTorch, as torchvision reads them, damaged, missing."""

import hashlib
import io
import sys
import tarfile

import numpy as np
import pytest
from checks import raises
from PIL import Image
from test_download import serving

from minicnn.data import DataError, flowers
from minicnn.data.archives import Source
from minicnn.data.flowers import CLASSES, flowers102, flowers102_splits

scipy_io = pytest.importorskip("scipy.io", reason="SciPy reads and writes .mat files")
COUNT = 12
LABELS = np.array([102, 1, 5, 5, 77, 2, 9, 50, 51, 52, 53, 3], np.uint8)
SPLITS = {"trnid": [3, 1, 12], "valid": [2, 11], "tstid": [4, 5, 6, 7, 8, 9, 10]}


def mat(**arrays):
    file = io.BytesIO()
    scipy_io.savemat(file, arrays)
    return file.getvalue()


def photograph(number):
    file = io.BytesIO()
    Image.new("RGB", (8, 6), (number * 20, 10, 20)).save(file, "png")  # by its name a .jpg: Pillow looks inside
    return file.getvalue()


def files(labels=LABELS, **splits):
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as packed:
        for number in range(1, COUNT + 1):
            info = tarfile.TarInfo(f"jpg/image_{number:05d}.jpg")
            info.size = len(photograph(number))
            packed.addfile(info, io.BytesIO(photograph(number)))
    numbers = {name: np.array([ids], np.uint16) for name, ids in (SPLITS | splits).items()}
    contents = archive.getvalue(), mat(labels=labels[None]), mat(**numbers)
    return dict(zip(("102flowers.tgz", "imagelabels.mat", "setid.mat"), contents, strict=True))


@pytest.fixture
def put(tmp_path, monkeypatch):
    """Puts files where they belong, and lets their checksums count."""

    def into(contents):
        folder = tmp_path / "flowers-102"
        folder.mkdir(exist_ok=True)
        for (name, content), source in zip(contents.items(), ("PHOTOGRAPHS", "LABELS", "SPLITS"), strict=True):
            (folder / name).write_bytes(content)
            md5 = hashlib.md5(content).hexdigest()
            monkeypatch.setattr(flowers, source, Source(f"http://localhost:1/{name}", md5))
        return tmp_path

    return into


def colours(pictures):
    return [pictures.load(i).getpixel((0, 0))[0] // 20 for i in range(len(pictures))]


def test_it_is_read_from_its_files(put):
    root = put(files())
    train, val, test = flowers102_splits(root, download=False)
    assert [pictures.dataset.numbers.tolist() for pictures in (train, val, test)] == list(SPLITS.values())
    for pictures, ids in zip((train, val, test), SPLITS.values(), strict=True):
        assert colours(pictures) == ids
        assert [label for _, label in pictures.samples] == [LABELS[i - 1] - 1 for i in ids]
    assert train.classes == list(CLASSES) and len(set(CLASSES)) == 102
    (root / "flowers-102" / "102flowers.tgz").unlink()  # it is unpacked
    assert [len(pictures) for pictures in flowers102(root, download=False)] == [3, 2]


def test_as_torchvision_reads_it(put, torchvision, monkeypatch):
    root = put(files())
    flowers102(root, download=False)  # which unpacks it
    monkeypatch.setattr(torchvision.datasets.flowers102, "check_integrity", lambda path, md5: True)
    for ours, split in zip(flowers102_splits(root, download=False), ("train", "val", "test"), strict=True):
        theirs = torchvision.datasets.Flowers102(str(root), split)
        assert [(label, image.tobytes()) for image, label in theirs] == [
            (label, ours.load(i).tobytes()) for i, (_, label) in enumerate(ours.samples)
        ]
        assert ours.classes == theirs.classes


def test_it_is_downloaded(tmp_path, monkeypatch):
    contents = files()
    with serving(b"") as server:
        for (name, content), source in zip(contents.items(), ("PHOTOGRAPHS", "LABELS", "SPLITS"), strict=True):
            monkeypatch.setattr(flowers, source, Source(server.url + name, hashlib.md5(content).hexdigest()))
        real = flowers.fetched

        def fetched(source, folder, may_download):
            server.content = contents[source.name]
            return real(source, folder, may_download)

        monkeypatch.setattr(flowers, "fetched", fetched)
        train, _ = flowers102(tmp_path / "new")
        assert colours(train) == SPLITS["trnid"] and server.requests == 3
        flowers102(tmp_path / "new")
        assert server.requests == 3


@pytest.mark.parametrize(
    ("changed", "parts"),
    [
        ({"labels": np.array([103] * COUNT, np.uint8)}, ["its labels are 103 to 103"]),
        ({"labels": LABELS[:5]}, ["the photographs of train are none of the 5 that have labels"]),
        ({"trnid": [0, 1]}, ["the photographs of train are none of the 12"]),
    ],
)
def test_files_of_something_else(put, changed, parts):
    with raises(DataError, "flowers-102 does not hold Flowers-102", *parts):
        flowers102(put(files(**changed)), download=False)


def test_damaged_and_missing_files(put, tmp_path):
    with raises(DataError, "there is no imagelabels.mat", "fetch http"):
        flowers102(tmp_path, download=False)
    contents = files()
    with raises(DataError, "imagelabels.mat is damaged"):
        flowers102(put(contents | {"imagelabels.mat": contents["imagelabels.mat"][:150]}), download=False)
    with raises(DataError, "102flowers.tgz cannot be unpacked"):
        flowers102(put(contents | {"102flowers.tgz": contents["102flowers.tgz"][:300]}), download=False)
    assert sorted(path.name for path in (tmp_path / "flowers-102").iterdir()) == sorted(contents)


def test_without_scipy(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.io", None)
    with raises(DataError, "Flowers-102", "SciPy", "minicnn[datasets]"):
        flowers102(tmp_path)
    assert not list(tmp_path.iterdir())
