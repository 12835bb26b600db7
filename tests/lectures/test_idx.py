"""MNIST's own files: read as they are, refused where something is wrong with them."""

import gzip
import struct

import numpy as np
import pytest
from lecture_runs import lecture_module

from minicnn.errors import SettingError

NAMES, mnist = lecture_module("common.idx").NAMES, lecture_module("common.idx").mnist
IMAGES = np.arange(3 * 4 * 5, dtype=np.uint8).reshape(3, 4, 5)
LABELS = np.array([7, 0, 9], np.uint8)


def idx(array, kind=8):
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, kind, array.ndim, *array.shape) + array.tobytes()


def write(folder, part="train", images=None, labels=None):
    for name, content in zip(NAMES[part], (images or idx(IMAGES), labels or idx(LABELS)), strict=True):
        (folder / name).write_bytes(content)


@pytest.mark.parametrize("part", ["train", "test"])
def test_what_is_read(part, tmp_path):
    write(tmp_path, part)
    images, labels = mnist(tmp_path, part)
    assert images.dtype == np.uint8 and labels.dtype == np.int64
    np.testing.assert_array_equal(images, IMAGES[:, None])
    np.testing.assert_array_equal(labels, LABELS)


def test_packed_files_are_read_as_well(tmp_path):
    write(tmp_path)
    for name in NAMES["train"]:
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress((tmp_path / name).read_bytes()))
        (tmp_path / name).unlink()
    np.testing.assert_array_equal(mnist(tmp_path, "train")[0][:, 0], IMAGES)


@pytest.mark.parametrize(
    "changed, message",
    [
        ({"images": idx(IMAGES)[:-1]}, "train-images-idx3-ubyte is no whole idx file of bytes with 3 axes"),
        ({"images": idx(IMAGES) + b"0"}, "no whole idx file"),
        ({"images": idx(IMAGES)[:9]}, "no whole idx file"),
        ({"images": b"<html>not found</html>"}, "no whole idx file"),
        ({"labels": idx(LABELS, kind=13)}, "train-labels-idx1-ubyte is no whole idx file of bytes with 1 axes"),
        ({"labels": idx(IMAGES)}, "1 axes"),
        ({"labels": idx(LABELS[:2])}, "3 images and 2 labels"),
        ({"images": idx(IMAGES[:0]), "labels": idx(LABELS[:0])}, "0 images and 0 labels"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(changed, message, tmp_path):
    write(tmp_path, **changed)
    with pytest.raises(SettingError, match=message):
        mnist(tmp_path, "train")


def test_a_damaged_packed_file(tmp_path):
    write(tmp_path)
    name = NAMES["train"][0]
    (tmp_path / name).unlink()
    (tmp_path / f"{name}.gz").write_bytes(gzip.compress(idx(IMAGES))[:30])
    with pytest.raises(SettingError, match=r"ubyte\.gz cannot be read: .*; get it again"):
        mnist(tmp_path, "train")


def test_a_folder_without_them(tmp_path):
    with pytest.raises(
        SettingError, match=r"has no t10k-images-idx3-ubyte or t10k-images-idx3-ubyte\.gz; MNIST is four"
    ):
        mnist(tmp_path, "test")
