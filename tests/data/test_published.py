"""Published sets: a picture that is none, a folder that cannot be made. CIFAR-10 and Flowers-102: their own files."""

import pytest
from checks import raises

from minicnn.cache import CacheError
from minicnn.data import BadImage
from minicnn.data.cifar import cifar10
from minicnn.data.flowers import flowers102
from minicnn.data.published import PublishedSet


def test_a_picture_that_is_none():
    class Broken:
        def __getitem__(self, index):
            raise OSError("truncated")

    with raises(BadImage, "train picture 4", "truncated"):
        PublishedSet(Broken(), "train", [0] * 5, ["a"]).load(4)


@pytest.mark.parametrize("open_set", [cifar10, flowers102])
def test_a_folder_for_them_that_cannot_be_made(tmp_path, open_set):
    (tmp_path / "file").touch()
    with raises(CacheError, tmp_path / "file" / "set", "MINICNN_CACHE"):
        open_set(tmp_path / "file" / "set")
