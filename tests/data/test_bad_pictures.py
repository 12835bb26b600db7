"""The loader and unusable pictures: left out and listed, up to a fraction; trouble of the machine is something else."""

import pickle

import numpy as np
import pytest
from PIL import Image
from random_pictures import Pictures, loader, loader_threads

from minicnn.data import (
    BadImage,
    CenterCrop,
    Compose,
    DataError,
    ImageFolder,
    RandomCrop,
    ResizeShorter,
    TooManyBadImages,
)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_bad_pictures_are_left_out_and_listed_once(num_workers):
    with_bad = loader(Pictures(22, bad={5, 9}), num_workers=num_workers, max_bad_fraction=0.1)
    for epoch in range(3):
        good = np.concatenate([batch.indices for batch in with_bad.epoch(epoch)])
        assert sorted(good) == [i for i in range(22) if i not in (5, 9)]
        assert with_bad.bad == {"picture 5": "damaged", "picture 9": "damaged"}


def test_bad_pictures_do_not_change_the_others():
    with_bad = list(loader(Pictures(22, bad={5, 9}), max_bad_fraction=0.5).epoch(0))
    for batch, whole in zip(with_bad, loader().epoch(0), strict=True):
        keep = ~np.isin(whole.indices, [5, 9])
        assert np.array_equal(batch.images, whole.images[keep])
        assert np.array_equal(batch.labels, whole.labels[keep])


def test_a_batch_of_bad_pictures_only_is_passed_over_but_counts():
    bad = loader(Pictures(12, bad={4, 5, 6, 7}), shuffle=False, max_bad_fraction=0.5)
    assert [batch.position for batch in bad.epoch(0)] == [0, 2]
    assert [batch.position for batch in bad.epoch(0, start=1)] == [2]


@pytest.mark.parametrize("num_workers", [0, 2])
def test_too_many_bad_pictures_stop_the_epoch(num_workers):
    too_many = loader(Pictures(22, bad={3, 5, 9}), num_workers=num_workers, shuffle=False, max_bad_fraction=2 / 22)
    message = "3 of 22 pictures are unreadable.*allows 2.*picture 3: damaged; picture 5: damaged; picture 9"
    with pytest.raises(TooManyBadImages, match=message):
        list(too_many.epoch(0))
    assert not loader_threads()


def test_the_list_of_bad_pictures_is_one_line_whatever_their_names():
    dataset = Pictures(4, bad={0, 1})
    dataset.samples[0], dataset.samples[1] = ("two\nlines", 0), ("caf\udce9", 0)
    with pytest.raises(TooManyBadImages) as caught:
        list(loader(dataset, shuffle=False, max_bad_fraction=0.25).epoch(0))
    assert str(caught.value).endswith(r"two\nlines: damaged; caf\udce9: damaged")


def test_the_fraction_is_rounded_up_and_zero_means_none():
    assert len(list(loader(Pictures(22, bad={3})).epoch(0))) == 6
    with pytest.raises(TooManyBadImages, match="allows 0"):
        list(loader(Pictures(22, bad={3}), max_bad_fraction=0).epoch(0))


def test_damaged_files_in_a_real_folder(tmp_path):
    (tmp_path / "class").mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    for number in range(6):
        Image.fromarray(pixels).save(tmp_path / "class" / f"{number}.jpg")
    truncated, empty, text = (tmp_path / "class" / f"{number}.jpg" for number in (1, 3, 4))
    truncated.write_bytes(truncated.read_bytes()[:1500])
    empty.write_bytes(b"")
    text.write_text("no picture")
    damaged = loader(ImageFolder(tmp_path), transform=CenterCrop(32), shuffle=False, max_bad_fraction=0.5)
    assert np.concatenate([batch.indices for batch in damaged.epoch(0)]).tolist() == [0, 2, 5]
    assert list(damaged.bad) == [str(truncated), str(empty), str(text)]
    assert "truncated" in damaged.bad[str(truncated)]


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_picture_that_a_transform_cannot_use_is_left_out_as_an_unreadable_one(num_workers):
    dataset = Pictures(22)
    load = dataset.load
    dataset.load = lambda index: Image.new("RGB", (90_000, 1)) if index == 5 else load(index)
    transform = Compose([ResizeShorter(32), RandomCrop(6)])
    with_thin = loader(dataset, transform=transform, num_workers=num_workers, max_bad_fraction=0.1, shuffle=True)
    assert 5 not in np.concatenate([batch.indices for batch in with_thin.epoch(0)])
    assert list(with_thin.bad) == ["picture 5"] and "too long and thin" in with_thin.bad["picture 5"]
    pickle.dumps(with_thin.bad)


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize(
    ("error", "message"),
    [(DataError("the disk is gone"), "the disk is gone"), (MemoryError(), "picture [0-9]+: there is no memory left")],
)
@pytest.mark.parametrize("where", ["load", "transform"])
def test_trouble_of_the_machine_ends_the_epoch_and_is_no_unreadable_picture(num_workers, error, message, where):
    def trouble(*args):
        raise error

    dataset = Pictures(22)
    if where == "load":
        dataset.load = trouble
    troubled = loader(dataset, transform=trouble, num_workers=num_workers, max_bad_fraction=1)
    with pytest.raises(DataError, match=message) as caught:
        list(troubled.epoch(0))
    assert not isinstance(caught.value, BadImage)
    assert troubled.bad == {} and not loader_threads()
