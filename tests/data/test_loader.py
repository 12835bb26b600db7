"""The loader: the same batches whatever the threads do, resuming, bad pictures, errors and early ends."""

import gc
import os
import pickle
import signal
import threading
import time

import numpy as np
import pytest
from PIL import Image

from minicnn.data import (
    BadImage,
    CenterCrop,
    Compose,
    DataError,
    DataLoader,
    ImageFolder,
    RandomCrop,
    RandomFlip,
    ResizeShorter,
    TenCrop,
    TooManyBadImages,
)

RANDOM = Compose([RandomCrop(6), RandomFlip()])


class Pictures:
    """Random pictures in memory, some unreadable, some slow."""

    def __init__(self, count, bad=(), delay=None):
        self.samples = [(f"picture {i}", i % 3) for i in range(count)]
        self.bad = set(bad)
        self.delay = delay or (lambda index: 0)

    def __len__(self):
        return len(self.samples)

    def load(self, index):
        time.sleep(self.delay(index))
        if index in self.bad:
            raise BadImage(self.samples[index][0], "damaged")
        pixels = np.random.default_rng(index).integers(0, 256, (9, 8, 3), dtype=np.uint8)
        return Image.fromarray(pixels)


def jitter(index):
    """Up to 4 ms, different on every call: threads overtake each other."""
    return time.perf_counter_ns() % 5 / 1000


def loader(dataset=None, batch_size=4, transform=RANDOM, **settings):
    dataset = Pictures(22) if dataset is None else dataset
    return DataLoader(dataset, batch_size, transform, **({"shuffle": True, "seed": 7} | settings))


def assert_same(batches, others):
    batches, others = list(batches), list(others)
    assert len(batches) == len(others)
    for batch, other in zip(batches, others, strict=True):
        for field, expected in zip(batch, other, strict=True):
            assert np.array_equal(field, expected)


def loader_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("minicnn-loader")]


# --- what a batch holds ---


def test_batches_hold_every_picture_once_with_its_label():
    batches = list(loader().epoch(0))
    assert [len(batch.images) for batch in batches] == [4, 4, 4, 4, 4, 2]
    assert [batch.position for batch in batches] == [0, 1, 2, 3, 4, 5]
    indices = np.concatenate([batch.indices for batch in batches])
    assert sorted(indices) == list(range(22)) and list(indices) != list(range(22))
    assert (np.concatenate([batch.labels for batch in batches]) == indices % 3).all()
    first = batches[0]
    assert first.images.shape == (4, 3, 6, 6) and first.images.dtype == np.uint8
    assert first.labels.dtype == first.indices.dtype == np.int64


def test_without_shuffle_the_order_is_the_data_sets():
    batches = loader(transform=CenterCrop(6), shuffle=False).epoch(3)
    assert np.concatenate([batch.indices for batch in batches]).tolist() == list(range(22))


def test_length_and_drop_last():
    assert len(loader()) == 6
    assert len(loader(drop_last=True)) == 5
    assert [len(batch.images) for batch in loader(drop_last=True).epoch(0)] == [4] * 5
    assert len(loader(batch_size=11)) == len(loader(batch_size=11, drop_last=True)) == 2


def test_an_empty_data_set_has_no_batches():
    empty = loader(Pictures(0))
    assert len(empty) == 0 and list(empty.epoch(0)) == []


def test_ten_crops_make_five_dimensional_batches():
    batch = next(loader(transform=TenCrop(6)).epoch(0))
    assert batch.images.shape == (4, 10, 3, 6, 6)


# --- the same for every run ---


@pytest.mark.parametrize("workers", [0, 1, 4])
@pytest.mark.parametrize("delay", [None, jitter], ids=["steady", "jitter"])
def test_batches_do_not_depend_on_the_workers(workers, delay):
    dataset = Pictures(22, delay=delay)
    assert_same(loader(dataset, workers=workers, prefetch=3).epoch(2), loader(workers=0).epoch(2))


def test_batches_depend_on_seed_and_epoch():
    def first(seed, epoch):
        return next(loader(seed=seed).epoch(epoch)).images

    assert np.array_equal(first(7, 0), first(7, 0))
    assert not np.array_equal(first(7, 0), first(7, 1))
    assert not np.array_equal(first(7, 0), first(8, 0))
    orders = {tuple(loader(seed=seed).order(epoch)) for seed in (7, 8) for epoch in (0, 1)}
    assert len(orders) == 4


def test_a_picture_is_augmented_anew_each_epoch():
    same_order = loader(batch_size=22, shuffle=False)
    one, two = next(same_order.epoch(0)), next(same_order.epoch(1))
    assert np.array_equal(one.indices, two.indices)
    assert not np.array_equal(one.images, two.images)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("start", [0, 1, 4, 6])
def test_an_epoch_can_be_taken_up_at_any_batch(workers, start):
    assert_same(loader(workers=workers).epoch(1, start=start), list(loader().epoch(1))[start:])


@pytest.mark.parametrize("start", [-1, 7])
def test_start_beyond_the_epoch_is_refused_at_once(start):
    with pytest.raises(ValueError, match=rf"start must lie in 0..6.*not {start}"):
        loader().epoch(0, start=start)


# --- bad pictures ---


@pytest.mark.parametrize("workers", [0, 2])
def test_bad_pictures_are_left_out_and_listed_once(workers):
    with_bad = loader(Pictures(22, bad={5, 9}), workers=workers, max_bad_fraction=0.1)
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


@pytest.mark.parametrize("workers", [0, 2])
def test_too_many_bad_pictures_stop_the_epoch(workers):
    too_many = loader(Pictures(22, bad={3, 5, 9}), workers=workers, shuffle=False, max_bad_fraction=2 / 22)
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


# --- errors and early ends ---


@pytest.mark.parametrize("workers", [0, 2])
def test_other_exceptions_reach_the_consumer_and_name_the_picture(workers):
    with pytest.raises(ValueError, match="cannot cut 20x20") as caught:
        list(loader(transform=CenterCrop(20), workers=workers, shuffle=False).epoch(0))
    assert caught.value.__notes__ == ["in the transform of picture 0"]
    assert not loader_threads()


def test_pictures_of_different_sizes_are_named():
    with pytest.raises(ValueError, match=r"different shapes, .*end the transform with a crop"):
        list(loader(transform=lambda image, rng: image.crop((0, 0, rng.integers(3, 8), 5))).epoch(0))


def test_leaving_early_stops_the_threads_and_what_they_had_to_do():
    loaded = []
    dataset = Pictures(400, delay=lambda index: loaded.append(index) or 0.002)
    for _ in loader(dataset, workers=2, prefetch=20).epoch(0):
        assert loader_threads()
        break
    assert not loader_threads()
    assert len(loaded) < 40  # of the 84 that had been handed to the threads


def test_no_more_than_prefetch_batches_are_decoded_ahead():
    loaded = []
    dataset = Pictures(100, delay=lambda index: loaded.append(index) or 0)
    batches = loader(dataset, workers=2, prefetch=3).epoch(0)
    next(batches)
    patience = time.monotonic() + 10
    while len(loaded) < (1 + 3) * 4 and time.monotonic() < patience:
        time.sleep(0.001)
    time.sleep(0.02)
    assert len(loaded) == (1 + 3) * 4
    batches.close()


def test_wait_seconds_is_the_time_the_consumer_waited():
    slow = loader(Pictures(20, delay=lambda index: 0.004), workers=0)
    list(slow.epoch(0))
    assert 0.08 <= slow.wait_seconds < 0.8
    quick = loader(Pictures(20), workers=0)
    list(quick.epoch(0))
    assert quick.wait_seconds < slow.wait_seconds / 2

    hidden = loader(Pictures(20, delay=lambda index: 0.004), workers=2)
    for _ in hidden.epoch(0):
        time.sleep(0.04)  # the net is the slower one: pictures are ready when they are asked for
    assert hidden.wait_seconds < slow.wait_seconds * 0.7


@pytest.mark.parametrize(
    "name, value",
    [("batch_size", 0), ("batch_size", -1), ("workers", -1), ("seed", -1), ("prefetch", 0)]
    + [("max_bad_fraction", value) for value in (-0.1, 5, float("nan"))],
)
def test_impossible_settings_are_refused(name, value):
    with pytest.raises(ValueError, match=f"DataLoader: {name} must be at least"):
        loader(**{name: value})


@pytest.mark.parametrize("name", ["batch_size", "workers", "seed", "prefetch"])
@pytest.mark.parametrize("value", [4.0, "4", None])
def test_counts_are_whole_numbers(name, value):
    with pytest.raises(TypeError, match=f"DataLoader: {name} must be a whole number, got {value!r}"):
        loader(**{name: value})
    assert getattr(loader(**{name: np.int64(3)}), name) == 3


def test_other_arguments_are_looked_at_when_they_are_given():
    for name in ("shuffle", "drop_last"):
        with pytest.raises(TypeError, match=f"DataLoader: {name} must be True or False, got 'no'"):
            loader(**{name: "no"})
    with pytest.raises(TypeError, match="DataLoader: transform must be a function"):
        loader(transform=None)
    with pytest.raises(TypeError, match="DataLoader: a data set has samples, load, list does not"):
        loader([1, 2])
    with pytest.raises(ValueError, match="epoch must be at least 0, got -1"):
        loader().epoch(-1)
    with pytest.raises(TypeError, match="epoch must be a whole number"):
        loader().epoch(0.5)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_picture_that_a_transform_cannot_use_is_left_out_as_an_unreadable_one(workers):
    dataset = Pictures(22)
    load = dataset.load
    dataset.load = lambda index: Image.new("RGB", (90_000, 1)) if index == 5 else load(index)
    transform = Compose([ResizeShorter(32), RandomCrop(6)])
    with_thin = loader(dataset, transform=transform, workers=workers, max_bad_fraction=0.1, shuffle=True)
    assert 5 not in np.concatenate([batch.indices for batch in with_thin.epoch(0)])
    assert list(with_thin.bad) == ["picture 5"] and "too long and thin" in with_thin.bad["picture 5"]
    pickle.dumps(with_thin.bad)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(
    ("error", "message"),
    [(DataError("the disk is gone"), "the disk is gone"), (MemoryError(), "picture [0-9]+: there is no memory left")],
)
@pytest.mark.parametrize("where", ["load", "transform"])
def test_trouble_of_the_machine_ends_the_epoch_and_is_no_unreadable_picture(workers, error, message, where):
    def trouble(*args):
        raise error

    dataset = Pictures(22)
    if where == "load":
        dataset.load = trouble
    troubled = loader(dataset, transform=trouble, workers=workers, max_bad_fraction=1)
    with pytest.raises(DataError, match=message) as caught:
        list(troubled.epoch(0))
    assert not isinstance(caught.value, BadImage)
    assert troubled.bad == {} and not loader_threads()


def test_a_system_that_refuses_threads(monkeypatch):
    def start(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    with pytest.raises(DataError, match="can't start new thread; fewer than 5 workers"):
        list(loader(workers=5).epoch(0))


def test_an_epoch_that_is_dropped_stops_its_threads():
    batches = loader(Pictures(400, delay=lambda index: 0.002), workers=2, prefetch=5).epoch(0)
    next(batches)
    assert loader_threads()
    del batches
    gc.collect()
    assert not loader_threads()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_process_is_told_that_the_threads_are_not_its_own():
    shared = loader(Pictures(60), workers=2)
    batches = shared.epoch(0)
    next(batches)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            for _ in batches:
                pass
        except RuntimeError as error:
            code = 2 if "before the process forked" in str(error) else 3
            if code == 2 and len(list(shared.epoch(0))) == 15:
                code = 0
        finally:
            os._exit(code)
    patience = time.monotonic() + 20
    while (ended := os.waitpid(child, os.WNOHANG)) == (0, 0) and time.monotonic() < patience:
        time.sleep(0.02)
    if ended == (0, 0):
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert ended != (0, 0), "the child hangs"
    assert os.waitstatus_to_exitcode(ended[1]) == 0
    assert len(list(batches)) == 14


def test_real_photographs():
    root = os.environ.get("MINICNN_TEST_IMAGES")
    if not root:
        pytest.skip("MINICNN_TEST_IMAGES does not name a folder of photographs (<class>/*.JPEG)")
    photographs = ImageFolder(root)
    recipe = Compose([ResizeShorter(256), RandomCrop(227), RandomFlip()])
    real = DataLoader(photographs.subset(range(min(40, len(photographs)))), 16, recipe, shuffle=True)
    batches = list(real.epoch(0))
    assert not real.bad
    assert batches[0].images.shape == (16, 3, 227, 227)
    assert all(batch.images.std() > 20 for batch in batches)
