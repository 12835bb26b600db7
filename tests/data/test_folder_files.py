"""Which files of an image folder are pictures: endings, hidden ones, links, what cannot be read, and any name."""

import os
import shutil

import pytest
from pictures import flat_folder, picture
from PIL import Image

from minicnn.data import BadImage, DataError, ImageFolder, only_classes, train_and_val
from minicnn.data.record import record

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
