"""The record of a run's pictures: what it knows again, what it says of others, and whose a picture stays."""

import numpy as np
import pytest
from PIL import Image

from minicnn.data import ImageFolder, only_classes, train_and_val
from minicnn.data.record import (
    changed_sides,
    changes,
    check_record,
    is_flat,
    not_trained_on,
    record,
    split_as,
    trained_on,
)


def draw(path, side=4):
    """A picture of noise: its file's size tells its side."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(side).integers(0, 256, (side, side, 3), np.uint8)).save(path)


@pytest.fixture
def flat(tmp_path):
    for name in ("cat", "dog"):
        for k in range(20):
            draw(tmp_path / "flat" / name / f"{k}.png", 4 + k)
    return tmp_path / "flat"


@pytest.fixture
def split(tmp_path):
    for first, (place, count) in enumerate((("train/cat", 3), ("train/dog", 2), ("val/cat", 2), ("val/dog", 2))):
        for k in range(count):
            draw(tmp_path / "split" / place / f"{k}.png", 4 + 3 * first + k)
    return tmp_path / "split"


def keys(pictures):
    return {key for key, _ in pictures.samples}


def said(root, change):
    """What is said of the pictures under `root` after `change`."""
    before = record(*train_and_val(root))
    change(root)
    pictures = train_and_val(root)
    return changes(before, record(*pictures), *pictures)


def test_the_same_pictures_are_known_again_wherever_their_folder_lies(split, tmp_path, monkeypatch):
    before = record(*train_and_val(split))
    split.rename(tmp_path / "elsewhere")
    pictures = train_and_val(tmp_path / "elsewhere")
    assert changes(before, record(*pictures), *pictures) == ""
    monkeypatch.chdir(tmp_path / "elsewhere" / "train")
    here = ImageFolder(".")
    for part in ("names", "sizes"):
        assert np.array_equal(record(here, here)["train"][part], before["train"][part])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda root: draw(root / "train/cat/9.png"), "of the training pictures 1 is new (%s/train/cat/9.png)"),
        (lambda root: draw(root / "val/dog/9.png"), "of the validation pictures 1 is new (%s/val/dog/9.png)"),
        (lambda root: (root / "train/cat/1.png").unlink(), "of the training pictures 1 is gone"),
        (
            lambda root: draw(root / "val/cat/0.png", 99),
            "of the validation pictures 1 is of another size (%s/val/cat/0",
        ),
        (
            lambda root: (root / "train/cat/1.png").rename(root / "train/cat/one.png"),
            "of the training pictures 1 is gone, 1 is new (%s/train/cat/one.png)",
        ),
    ],
    ids=["added", "added to val", "removed", "exchanged", "renamed"],
)
def test_other_pictures_are_told(split, change, message):
    assert message.replace("%s", str(split)) in said(split, change)


def test_pictures_that_change_places_are_told(split):
    """The names stay; the sizes tell."""

    def change(root):
        one, other = root / "train/cat/1.png", root / "train/dog/1.png"
        content = one.read_bytes()
        one.write_bytes(other.read_bytes())
        other.write_bytes(content)

    assert "2 are of another size" in said(split, change)


def test_a_class_is_part_of_the_name(split):
    def change(root):
        for place in ("train", "val"):
            (root / place / "cat").rename(root / place / "aside")
            (root / place / "dog").rename(root / place / "cat")
            (root / place / "aside").rename(root / place / "dog")

    assert "of the training pictures" in said(split, change)


def test_pictures_that_change_sides_are_counted(split):
    before = record(*train_and_val(split))
    (split / "val/cat/0.png").rename(split / "train/cat/7.png")
    assert changed_sides(before, record(*train_and_val(split))) == 0  # a new name: another picture, as far as is known
    draw(split / "val/cat/5.png", 40)
    before = record(*train_and_val(split))
    (split / "val/cat/5.png").rename(split / "train/cat/5.png")
    assert changed_sides(before, record(*train_and_val(split))) == 1
    before = record(*train_and_val(split))
    (split / "train/cat/5.png").rename(split / "val/cat/5.png")
    assert changed_sides(before, record(*train_and_val(split))) == 1


def test_a_flat_folder_stays_split_as_it_was(flat):
    train, val = train_and_val(flat, 0.3)
    before = record(train, val)
    for k in range(20, 60):
        draw(flat / "cat" / f"{k}.png", 4 + k)
    gone = sorted(keys(val))[0]
    (flat / gone).unlink()
    drawn_anew = train_and_val(flat, 0.3)
    assert keys(drawn_anew[1]) & keys(train), "the new pictures do not shift the split: the test shows nothing"

    again = split_as(before, *drawn_anew)
    assert keys(again[1]) == keys(val) - {gone}
    assert keys(again[0]) == (keys(drawn_anew[0]) | keys(drawn_anew[1])) - keys(val)
    everything = {label: [key for key, this in ImageFolder(flat).samples if this == label] for label in (0, 1)}
    for part in again:
        assert part.samples == [(key, label) for label in (0, 1) for key in everything[label] if key in keys(part)]
    changed = changes(before, record(*again), *again)
    assert "1 is gone" in changed and "40 are new" in changed


def test_the_pictures_of_a_flat_folder_to_test_on_are_those_that_were_not_trained_on(flat):
    train, val = train_and_val(flat)
    before = record(train, val)
    for k in range(20, 60):
        draw(flat / "dog" / f"{k}.png", 4 + k)
    changed = sorted(keys(val))[1]
    draw(flat / changed, 123)
    assert keys(not_trained_on(before, *train_and_val(flat))) == keys(val) - {changed}
    assert trained_on(before, val) == 0 and trained_on(before, train.subset([0, 5, 7])) == 3


def test_two_folders_are_not_split_anew(split):
    train, val = train_and_val(split)
    assert not is_flat(train, val)
    before = record(train, val)
    assert split_as(before, train, val) == (train, val)
    assert not_trained_on(before, train, val) is val


def test_without_a_record_nothing_is_known(flat):
    train, val = train_and_val(flat)
    assert is_flat(train, val)
    assert split_as({}, train, val) == (train, val)
    assert not_trained_on({}, train, val) is val
    assert trained_on({}, val) == 0


def test_some_classes_have_the_record_of_these(flat):
    part = [only_classes(pictures, ["dog"]) for pictures in train_and_val(flat)]
    for k in range(5):
        (flat / "cat" / f"{k}.png").unlink()
    again = [only_classes(pictures, ["dog"]) for pictures in train_and_val(flat)]
    assert changes(record(*part), record(*again), *again) == ""


class InMemory:
    """Pictures that are no files."""

    def __init__(self, count, classes=("a", "b")):
        self.classes, self.samples = list(classes), [(f"picture {k}", k % 2) for k in range(count)]


def test_pictures_that_are_no_files_are_known_by_their_names():
    train, val = InMemory(5), InMemory(3)
    saved = record(train, val)
    check_record(saved)
    assert saved["train"]["sizes"].tolist() == [0] * 5
    assert not is_flat(train, val) and split_as(saved, train, val) == (train, val)
    assert not_trained_on(saved, train, val) is val
    assert changes(saved, record(train, val), train, val) == ""
    more, other = InMemory(6), InMemory(3, ("b", "a"))
    assert "1 is new (picture 5)" in changes(saved, record(more, val), more, val)
    assert "3 are new" in changes(saved, record(train, other), train, other)


def test_another_order_is_told(split):
    train, val = train_and_val(split)
    turned = train.subset(range(len(train))[::-1])
    assert "of the training pictures the order is another" in changes(
        record(train, val), record(turned, val), turned, val
    )


def test_every_part_of_a_record_is_looked_at(flat):
    """dtype, dimensions and lengths, each wrong by itself."""
    right = record(*train_and_val(flat))["train"]
    square = {name: values[:36].reshape(6, 6) for name, values in right.items()}
    for wrong in (
        {**right, "names": right["names"].astype(np.int64)},
        {**right, "sizes": right["sizes"].astype(np.uint64)},
        {**right, "sizes": right["sizes"][:-1]},
        square,
    ):
        for split in ("train", "val"):
            with pytest.raises(ValueError, match=f"{split} has names"):
                check_record({"train": right, "val": right, split: wrong})


@pytest.mark.parametrize(
    "damage", [{"train": 1}, {"names": [1]}, {"names": np.ones(3)}, {"sizes": np.ones(1, np.uint32)}]
)
def test_a_record_made_by_hand_is_refused(flat, damage):
    saved = record(*train_and_val(flat))
    check_record(saved)
    saved["train"] = damage.get("train", saved["train"] | damage)
    with pytest.raises((ValueError, TypeError, KeyError, AttributeError)):
        check_record(saved)
