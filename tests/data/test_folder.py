"""Image folders: labels, layouts, the seeded split, what is passed over, and clear errors."""

import os
import shutil

import numpy as np
import pytest
from PIL import Image

from minicnn.data import BadImage, DataError, ImageFolder, only_classes, train_and_val
from minicnn.data.record import record


def picture(path, color=(200, 100, 50), size=(12, 10)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, color).save(path)
    return path


def flat_folder(root, counts):
    for name, count in counts.items():
        for k in range(count):
            picture(root / name / f"{k:03d}.png")
    return root


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


# --- what is passed over, and what is an error ---


def test_the_five_most_frequent_endings_are_named(tmp_path):
    flat_folder(tmp_path, {"a": 1, "b": 1})
    for name in ("1.a", "2.b", "3.c", "4.d", "5.d", "6.e", "7.e"):
        (tmp_path / "a" / name).touch()
    assert ImageFolder(tmp_path).notes[0].endswith("passed over 7 files (2 .d, 2 .e, 1 .a, 1 .b, 1 .c)")
    for name in ("ends.", "x.1234567", "x.12345678"):
        (tmp_path / "b" / name).touch()
    text = "passed over 10 files (2 .d, 2 .e, 2 without an ending, 1 .1234567, 1 .a, ...)"
    assert ImageFolder(tmp_path).notes[0].endswith(text)


def test_hidden_folders_hold_no_pictures(tmp_path):
    for hidden in (".ipynb_checkpoints", ".git", "__MACOSX", "@eaDir"):
        picture(tmp_path / hidden / "cat" / "a.png")
        picture(tmp_path / "cat" / hidden / "deeper" / "a.png")
    for name in ("a.png", "._a.png", ".a.png"):
        picture(tmp_path / "cat" / name)
    (tmp_path / "cat" / "Thumbs.db").write_bytes(b"1")
    folder = ImageFolder(tmp_path)
    assert [os.path.relpath(path, tmp_path) for path, _ in folder.samples] == [os.path.join("cat", "a.png")]
    assert folder.classes == ["cat"]
    assert folder.notes[0] == f"{tmp_path}: passed over 3 hidden files, 8 hidden folders"


def test_what_is_passed_over_is_said_by_ending(tmp_path):
    flat_folder(tmp_path, {"cat": 2, "dog": 1})
    for name in ("cat/x.heic", "cat/y.HEIC", "dog/notes.txt", "dog/LICENSE", "README.md"):
        (tmp_path / name).write_bytes(b"1")
    picture(tmp_path / "stray.png")
    assert ImageFolder(tmp_path).notes == [
        f"{tmp_path}: passed over 1 picture outside of any class, {tmp_path / 'stray.png'}",
        f"{tmp_path}: passed over 5 files (2 .heic, 1 .md, 1 .txt, 1 without an ending)",
    ]
    assert ImageFolder(tmp_path).subset([0]).notes == only_classes(ImageFolder(tmp_path), ["dog"]).notes
    flat_folder(tmp_path / "tidy", {"cat": 2, "dog": 1})
    assert ImageFolder(tmp_path / "tidy").notes == []


@pytest.mark.parametrize(
    "name", ["a.jpg", "a.JPEG", "a.png", "a.BMP", "a.gif", "a.webp", "a.tif", "a.TIFF", "a.ppm", "a.pgm", "a.jfif"]
)
def test_usual_formats_are_pictures(tmp_path, name):
    (tmp_path / "cat").mkdir()
    Image.new("RGB" if "pgm" not in name else "L", (5, 4), 200).save(tmp_path / "cat" / name)
    folder = ImageFolder(tmp_path)
    assert folder.load(0).size == (5, 4) and folder.load(0).mode == "RGB"


def test_an_empty_class_says_what_was_passed_over_there(tmp_path):
    flat_folder(tmp_path, {"cat": 1})
    (tmp_path / "dog").mkdir()
    (tmp_path / "dog" / "a.heic").write_bytes(b"1")
    with pytest.raises(DataError, match=r"class folder\(s\) dog; add pictures.*passed over: 1 file \(1 .heic\)"):
        ImageFolder(tmp_path)


def test_unusual_classes_are_said(tmp_path):
    flat_folder(tmp_path / "one", {"cat": 2})
    assert "there is one class only, cat" in ImageFolder(tmp_path / "one").notes[0]
    flat_folder(tmp_path / "case", {"cat": 1, "Cat": 1, "dog": 1})
    if len(os.listdir(tmp_path / "case")) == 2:
        pytest.skip("this file system does not tell upper from lower case")
    assert "Cat and cat are different classes" in ImageFolder(tmp_path / "case").notes[0]


links = pytest.mark.skipif(os.name == "nt", reason="links, FIFOs and permissions are Windows' own")


@links
def test_links_to_files_are_pictures_and_links_in_a_circle_end(tmp_path):
    root = flat_folder(tmp_path / "pictures", {"cat": 2, "dog": 1})
    elsewhere = picture(tmp_path / "elsewhere" / "x.png")
    (root / "dog" / "link.png").symlink_to(elsewhere)
    (root / "dog" / "more").symlink_to(elsewhere.parent)
    (root / "dog" / "again").symlink_to(elsewhere.parent)
    for name, target in (("self", "."), ("class", "../dog"), ("root", ".."), ("above", "../.."), ("other", "../cat")):
        (root / "dog" / name).symlink_to(target)
    folder = ImageFolder(root)
    found = [os.path.relpath(path, root) for path, _ in folder.samples]
    assert found == ["cat/000.png", "cat/001.png", "dog/000.png", "dog/again/x.png", "dog/link.png"]
    assert "6 repeated folders" in folder.notes[0]


@links
def test_two_classes_that_are_one_folder(tmp_path):
    flat_folder(tmp_path, {"cat": 2})
    (tmp_path / "dog").symlink_to("cat")
    with pytest.raises(DataError, match=r"class folder\(s\) dog; .*1 repeated folder"):
        ImageFolder(tmp_path)


@links
def test_a_folder_that_belongs_to_train_and_to_val(tmp_path):
    flat_folder(tmp_path / "train", {"cat": 2, "dog": 2})
    flat_folder(tmp_path / "val", {"cat": 1})
    (tmp_path / "val" / "dog").symlink_to("../train/dog")
    with pytest.raises(DataError, match="a link makes pictures of val/ pictures of train/"):
        train_and_val(tmp_path)
    shutil.rmtree(tmp_path / "val")
    (tmp_path / "val").symlink_to("train")
    with pytest.raises(DataError, match="a link makes pictures of val/ pictures of train/"):
        train_and_val(tmp_path)


@links
@pytest.mark.parametrize("target", ["nowhere.png", "z.png", "000.png/x", "n" * 300])
def test_a_broken_link_is_an_unreadable_picture(target, tmp_path):
    """To nothing, to itself, through a file, to a name that no file can have."""
    flat_folder(tmp_path, {"cat": 1})
    (tmp_path / "cat" / "z.png").symlink_to(target)
    (tmp_path / "cat" / "more").symlink_to(target.replace("z.png", "more"))  # called like a folder
    folder = ImageFolder(tmp_path)
    assert len(folder) == 2  # the loader counts it
    with pytest.raises(BadImage):
        folder.load(1)
    assert record(folder, folder.subset([]))["train"]["sizes"][1] == 0


@links
def test_what_is_no_regular_file_is_passed_over(tmp_path):
    flat_folder(tmp_path, {"cat": 1, "dog": 1})
    os.mkfifo(tmp_path / "cat" / "pipe.jpg")
    (tmp_path / "cat" / "device.jpg").symlink_to("/dev/zero")
    folder = ImageFolder(tmp_path)
    assert len(folder) == 2
    assert folder.notes == [f"{tmp_path}: passed over 2 special files"]


@links
def test_an_unreadable_folder_is_an_error(tmp_path, monkeypatch):
    """Also for the superuser, who may read everything: the system's answer is put in its place."""
    flat_folder(tmp_path, {"cat": 1, "dog": 1})
    picture(tmp_path / "dog" / "more" / "x.png")
    scandir = os.scandir

    def denied(path):
        if os.path.basename(path) == "more":
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", denied)
    with pytest.raises(DataError, match="dog/more: Permission denied; a folder is not left out"):
        ImageFolder(tmp_path)


@links
@pytest.mark.parametrize("name", [b"caf\xe9", b"two\nlines", b"\x1b[31mred", "日本".encode()])
def test_any_name_is_a_name(tmp_path, name):
    """Of a file, and of a class: pictures are loaded, and messages stay one line of text."""
    folder = os.fsencode(tmp_path) + b"/" + name
    os.mkdir(folder)
    for ending in (b".png", b".txt"):
        shutil.copy(picture(tmp_path / "other" / "a.png"), folder + b"/" + name + ending)
    (tmp_path / "other" / "a.txt").write_text("1")
    pictures = ImageFolder(tmp_path)
    assert [pictures.load(i).size for i in range(2)] == [(12, 10)] * 2
    assert pictures.classes == sorted([os.fsdecode(name), "other"])
    os.remove(folder + b"/" + name + b".png")
    with pytest.raises(DataError) as caught:
        ImageFolder(tmp_path)
    assert str(caught.value).isprintable()
