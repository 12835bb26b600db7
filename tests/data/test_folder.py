"""Image folders: labels, layouts, the seeded split, and clear errors."""

import os

import numpy as np
import pytest
from pictures import flat_folder, picture

from minicnn.data import DataError, ImageFolder, train_and_val

# --- which files, which labels ---


def test_classes_and_samples_are_sorted_and_other_files_are_passed_over(tmp_path):
    for name in ("b/2.JPEG", "b/10.jpg", "a/x.PNG", "a/deeper/y.jpeg", "a/.hidden.png", ".cache/z.png"):
        picture(tmp_path / name)
    (tmp_path / "a" / "notes.txt").write_text("not a picture")
    (tmp_path / "README.txt").write_text("not a class")
    folder = ImageFolder(tmp_path)
    assert folder.classes == ["a", "b"]
    found = [(path.removeprefix(str(tmp_path)).replace("\\", "/"), label) for path, label in folder.samples]
    assert found == [("/a/deeper/y.jpeg", 0), ("/a/x.PNG", 0), ("/b/10.jpg", 1), ("/b/2.JPEG", 1)]
    assert len(folder) == 4
    assert folder.load(1).size == (12, 10)
    assert [label for _, label in folder] == [0, 0, 1, 1] and folder[-1][0].size == (12, 10)


def test_the_transform_is_the_loaders(tmp_path):
    for arguments, keywords in (((str,), {}), ((), {"transform": str})):
        with pytest.raises(TypeError, match=r"the transform is the loader's: DataLoader\(folder, transform=\.\.\.\)"):
            ImageFolder(tmp_path, *arguments, **keywords)


def test_train_and_val_folders(tmp_path):
    flat_folder(tmp_path / "train", {"cat": 3, "dog": 2})
    flat_folder(tmp_path / "val", {"cat": 1, "dog": 2})
    train, val = train_and_val(tmp_path)
    assert (len(train), len(val)) == (5, 3)
    assert train.classes == val.classes == ["cat", "dog"]


def test_flat_folder_is_split_per_class_by_the_seed(tmp_path):
    flat_folder(tmp_path, {"many": 40, "two": 2, "one": 1})
    train, val = train_and_val(tmp_path, val_fraction=0.1, seed=5)
    assert np.bincount([label for _, label in val.samples], minlength=3).tolist() == [
        4,
        0,
        1,
    ]  # many, one, two
    assert np.bincount([label for _, label in train.samples], minlength=3).tolist() == [36, 1, 1]
    assert sorted(train.samples + val.samples) == ImageFolder(tmp_path).samples
    assert train.samples == sorted(train.samples)

    again = train_and_val(tmp_path, val_fraction=0.1, seed=5)
    assert (again[0].samples, again[1].samples) == (train.samples, val.samples)
    assert train_and_val(tmp_path, val_fraction=0.1, seed=6)[1].samples != val.samples


def test_the_split_of_a_class_does_not_depend_on_the_others(tmp_path):
    flat_folder(tmp_path / "one", {"a": 20})
    flat_folder(tmp_path / "two", {"a": 20, "b": 7})
    chosen = [
        [path[-7:] for path, label in train_and_val(tmp_path / name)[1].samples if label == 0]
        for name in ("one", "two")
    ]
    assert chosen[0] == chosen[1]


def test_val_may_be_empty_when_every_class_has_one_picture(tmp_path):
    flat_folder(tmp_path, {"a": 1, "b": 1})
    train, val = train_and_val(tmp_path, val_fraction=0.5)
    assert (len(train), len(val)) == (2, 0)


# --- what is wrong with a folder ---


def test_missing_folder(tmp_path):
    with pytest.raises(DataError, match="nowhere: there is no such folder"):
        train_and_val(tmp_path / "nowhere")


def test_folder_without_classes(tmp_path):
    with pytest.raises(DataError, match="no class folders"):
        ImageFolder(tmp_path)


@pytest.mark.parametrize("present, missing", [("train", "val"), ("val", "train")])
def test_missing_train_or_val(tmp_path, present, missing):
    flat_folder(tmp_path / present, {"a": 1})
    with pytest.raises(DataError, match=f"has {present}/ but no {missing}/.*split by a seed"):
        train_and_val(tmp_path)


def test_empty_class_folder(tmp_path):
    flat_folder(tmp_path, {"a": 1, "b": 1})
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"class folder\(s\) empty; add pictures or remove"):
        ImageFolder(tmp_path)


def test_val_with_other_classes(tmp_path):
    flat_folder(tmp_path / "train", {"a": 1, "b": 1})
    flat_folder(tmp_path / "val", {"b": 1, "c": 1})
    with pytest.raises(DataError, match="lacks a and also has c"):
        train_and_val(tmp_path)


def test_val_in_one_heap_as_imagenet_ships_it(tmp_path):
    flat_folder(tmp_path / "train", {"a": 1})
    picture(tmp_path / "val" / "ILSVRC2012_val_00000001.JPEG")
    with pytest.raises(DataError, match="sort them into class folders"):
        train_and_val(tmp_path)


def test_val_fraction_out_of_range(tmp_path):
    with pytest.raises(ValueError, match=r"val_fraction must lie in \[0, 1\), not 1"):
        train_and_val(tmp_path, val_fraction=1)


# --- train and val by their names ---


@pytest.mark.parametrize("names", [("Train", "Val"), ("TRAIN", "VAL"), ("training", "validation"), ("train", "valid")])
def test_other_names_of_train_and_val(tmp_path, names):
    for name, count in zip(names, (3, 2), strict=True):
        flat_folder(tmp_path / name, {"cat": count, "dog": count})
    train, val = train_and_val(tmp_path)
    assert train.classes == val.classes == ["cat", "dog"]
    assert (len(train), len(val)) == (6, 4)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["Train", "train", "val"], "has Train/ and train/, which mean the same"),
        (["train", "val", "Validation"], "has Validation/ and val/, which mean the same"),
        (["Training"], "has Training/ but no val/"),
        (["valid", "test"], "has valid/ but no train/"),
        (["train", "test"], "has train/ but no val/"),
        (["test", "cat", "dog"], "has test/ beside cat, dog, but neither train/ nor val/"),
        (["test"], "test are no classes"),
    ],
)
def test_splits_are_never_classes(tmp_path, names, message):
    for name in names:
        if name not in os.listdir(tmp_path):
            flat_folder(tmp_path / name, {"cat": 1, "dog": 1})
    if sorted(os.listdir(tmp_path)) != sorted(names):
        pytest.skip("this file system does not tell upper from lower case")
    with pytest.raises(DataError, match=message):
        train_and_val(tmp_path)


def test_a_folder_of_train_and_val_has_no_classes_of_its_own(tmp_path):
    for name in ("Train", "val", "test"):
        flat_folder(tmp_path / name, {"cat": 1, "dog": 1})
    with pytest.raises(DataError, match="Train, test, val are no classes; give one of these folders"):
        ImageFolder(tmp_path)
    flat_folder(tmp_path / "vehicles", {"train": 2, "truck": 2})
    assert ImageFolder(tmp_path / "vehicles").classes == ["train", "truck"]


# --- the split ---


@pytest.mark.parametrize("fraction", [1e-9, 0.01, 0.1, 0.24])
def test_each_class_of_a_flat_folder_validates_on_one_picture_at_least(tmp_path, fraction):
    flat_folder(tmp_path, {"two": 2, "three": 3, "one": 1})
    train, val = train_and_val(tmp_path, fraction)
    assert np.bincount([label for _, label in val.samples], minlength=3).tolist() == [0, 1, 1]  # one, three, two
    assert len(train) == 4
    assert len(train_and_val(tmp_path, 0)[1]) == 0


def test_the_split_of_a_seed_is_the_same_in_every_version(tmp_path):
    flat_folder(tmp_path, {"a": 20})
    chosen = [os.path.basename(path) for path, _ in train_and_val(tmp_path, 0.2, seed=0)[1].samples]
    assert chosen == ["006.png", "008.png", "009.png", "010.png"]
