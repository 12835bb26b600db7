"""The loader: the same batches whatever the threads do, resuming, errors and early ends."""

import gc
import os
import signal
import threading
import time

import numpy as np
import pytest
from random_pictures import Pictures, assert_same, jitter, loader, loader_threads

from minicnn.data import (
    CenterCrop,
    Compose,
    DataError,
    DataLoader,
    ImageFolder,
    RandomCrop,
    RandomFlip,
    ResizeShorter,
    TenCrop,
)

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


def test_ten_crops_make_five_dimensional_batches():
    batch = next(loader(transform=TenCrop(6)).epoch(0))
    assert batch.images.shape == (4, 10, 3, 6, 6)


# --- the same for every run ---


@pytest.mark.parametrize("num_workers", [0, 1, 4])
@pytest.mark.parametrize("delay", [None, jitter], ids=["steady", "jitter"])
def test_batches_do_not_depend_on_the_workers(num_workers, delay):
    dataset = Pictures(22, delay=delay)
    assert_same(loader(dataset, num_workers=num_workers, prefetch=3).epoch(2), loader(num_workers=0).epoch(2))


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


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("start", [0, 1, 4, 6])
def test_an_epoch_can_be_taken_up_at_any_batch(num_workers, start):
    assert_same(loader(num_workers=num_workers).epoch(1, start=start), list(loader().epoch(1))[start:])


@pytest.mark.parametrize("start", [-1, 7])
def test_start_beyond_the_epoch_is_refused_at_once(start):
    with pytest.raises(ValueError, match=rf"start must lie in 0..6.*not {start}"):
        loader().epoch(0, start=start)


# --- errors and early ends ---


@pytest.mark.parametrize("num_workers", [0, 2])
def test_other_exceptions_reach_the_consumer_and_name_the_picture(num_workers):
    with pytest.raises(ValueError, match="cannot cut 20x20") as caught:
        list(loader(transform=CenterCrop(20), num_workers=num_workers, shuffle=False).epoch(0))
    assert caught.value.__notes__ == ["in the transform of picture 0"]
    assert not loader_threads()


def test_pictures_of_different_sizes_are_named():
    with pytest.raises(
        ValueError, match=r"picture \d+ is of shape \(3, 5, .\) and picture \d+ is .* end the transform with a crop"
    ):
        list(loader(transform=lambda image, rng: image.crop((0, 0, rng.integers(3, 8), 5))).epoch(0))


def test_leaving_early_stops_the_threads_and_what_they_had_to_do():
    loaded = []
    dataset = Pictures(400, delay=lambda index: loaded.append(index) or 0.002)
    for _ in loader(dataset, num_workers=2, prefetch=20).epoch(0):
        assert loader_threads()
        break
    assert not loader_threads()
    assert len(loaded) < 40  # of the 84 that had been handed to the threads


def test_no_more_than_prefetch_batches_are_decoded_ahead():
    loaded = []
    dataset = Pictures(100, delay=lambda index: loaded.append(index) or 0)
    batches = loader(dataset, num_workers=2, prefetch=3).epoch(0)
    next(batches)
    patience = time.monotonic() + 10
    while len(loaded) < (1 + 3) * 4 and time.monotonic() < patience:
        time.sleep(0.001)
    time.sleep(0.02)
    assert len(loaded) == (1 + 3) * 4
    batches.close()


def test_wait_seconds_is_the_time_the_consumer_waited():
    slow = loader(Pictures(20, delay=lambda index: 0.004), num_workers=0)
    list(slow.epoch(0))
    assert 0.08 <= slow.wait_seconds < 0.8
    quick = loader(Pictures(20), num_workers=0)
    list(quick.epoch(0))
    assert quick.wait_seconds < slow.wait_seconds / 2

    hidden = loader(Pictures(20, delay=lambda index: 0.004), num_workers=2)
    for _ in hidden.epoch(0):
        time.sleep(0.04)  # the net is the slower one: pictures are ready when they are asked for
    assert hidden.wait_seconds < slow.wait_seconds * 0.7


@pytest.mark.parametrize(
    "name, value",
    [("batch_size", 0), ("batch_size", -1), ("num_workers", -1), ("seed", -1), ("prefetch", 0)]
    + [("max_bad_fraction", value) for value in (-0.1, 5, float("nan"))],
)
def test_impossible_settings_are_refused(name, value):
    with pytest.raises(ValueError, match=f"DataLoader: {name} must be at least"):
        loader(**{name: value})


@pytest.mark.parametrize("name", ["batch_size", "num_workers", "seed", "prefetch"])
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
        loader(transform="crop")
    with pytest.raises(ValueError, match="epoch must be at least 0, got -1"):
        loader().epoch(-1)
    with pytest.raises(TypeError, match="epoch must be a whole number"):
        loader().epoch(0.5)


def test_a_system_that_refuses_threads(monkeypatch):
    def start(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    with pytest.raises(DataError, match="can't start new thread; fewer than 5 workers"):
        list(loader(num_workers=5).epoch(0))


def test_an_epoch_that_is_dropped_stops_its_threads():
    batches = loader(Pictures(400, delay=lambda index: 0.002), num_workers=2, prefetch=5).epoch(0)
    next(batches)
    assert loader_threads()
    del batches
    gc.collect()
    assert not loader_threads()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_process_is_told_that_the_threads_are_not_its_own():
    shared = loader(Pictures(60), num_workers=2)
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
    real = DataLoader(
        photographs.subset(range(min(40, len(photographs)))), 16, shuffle=True, transform=recipe, num_workers=2
    )
    batches = list(real.epoch(0))
    assert not real.bad
    assert batches[0].images.shape == (16, 3, 227, 227)
    assert all(batch.images.std() > 20 for batch in batches)
