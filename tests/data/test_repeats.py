"""Repeated augmentation: several versions of a picture in a row, of a part of the pictures, in an epoch as long as
ever."""

import numpy as np
import pytest
from checks import raises
from kill_and_resume import after_batches, ask_to_stop, repeated_part, resumed, small_trainer
from random_pictures import assert_same, loader

from minicnn.data import DataLoader
from minicnn.storage.checkpoint import CheckpointError
from minicnn.train import Interrupted, load_checkpoint


def repeated(repeats=4, **options):  # 22 pictures, in batches of 4
    return loader(repeats=repeats, **options)


def test_an_epoch_takes_a_part_of_the_pictures_and_is_as_long():
    batches = list(repeated().epoch(0))
    assert len(repeated()) == len(loader()) == len(batches) == 6
    indices = np.concatenate([batch.indices for batch in batches])
    first = loader().order(0)[:6]
    assert indices.tolist() == [index for index in first for _ in range(4)][:22] and indices.max() < 22
    assert (np.concatenate([batch.labels for batch in batches]) == indices % 3).all()
    assert sorted(np.unique(np.concatenate([repeated().order(epoch) for epoch in range(30)]))) == list(range(22))


def test_each_time_it_is_another_version():
    """The first one is that of a loader without repeats, whatever the batches are."""
    images = {}
    for batch in repeated().epoch(0):
        for index, image in zip(batch.indices, batch.images, strict=True):
            images.setdefault(index, []).append(image)
    assert [len(versions) for versions in images.values()] == [4, 4, 4, 4, 4, 2]
    different = [len({version.tobytes() for version in versions}) for versions in images.values()]
    assert sum(different) > 16 and max(different) == 4
    for batch in loader().epoch(0):
        for index, image in zip(batch.indices, batch.images, strict=True):
            assert index not in images or (image == images[index][0]).all()
    larger = np.concatenate([batch.images for batch in repeated(batch_size=7).epoch(0)])
    assert (larger == np.concatenate([batch.images for batch in repeated().epoch(0)])).all()


@pytest.mark.parametrize("num_workers", [0, 3])
def test_any_batch_any_part_and_any_number_of_workers(num_workers):
    whole = list(repeated(3).epoch(2))
    assert_same(list(repeated(3, num_workers=num_workers).epoch(2, start=2)), whole[2:])
    parts = [list(repeated(3, num_workers=num_workers, part=(which, 2)).epoch(2)) for which in (0, 1)]
    for batch, one, other in zip(whole, *parts, strict=True):
        assert (np.concatenate([one.images, other.images]) == batch.images).all()
        assert (np.concatenate([one.indices, other.indices]) == batch.indices).all()


def test_rows_of_arrays_are_repeated_as_they_are():
    rows = DataLoader((np.arange(10), np.arange(10) % 2), 5, shuffle=True, repeats=5)
    (first, _), (second, _) = rows
    assert len(set(first.tolist())) == len(set(second.tolist())) == 1 and first[0] != second[0]


def test_what_cannot_be():
    with raises(ValueError, "DataLoader: repeats must be"):
        repeated(0)
    with raises(ValueError, "DataLoader: repeats=2 without shuffle=True"):
        repeated(2, shuffle=False)
    in_order = repeated(2)
    in_order.shuffle = False  # as for features that are computed once
    assert_same(list(in_order.epoch(0)), list(loader(shuffle=False).epoch(0)))
    assert "repeats=2" in repr(repeated(2)) and "repeats" not in repr(loader())


def with_repeats(folder, repeats):
    trainer = small_trainer(folder, epochs=2)
    trainer.train_loader.repeats = repeats
    return trainer


def test_a_run_that_was_stopped_ends_with_the_same_bits(tmp_path):
    (tmp_path / "whole").mkdir(), (tmp_path / "parts").mkdir()
    with_repeats(tmp_path / "whole", 3).fit()
    parts = with_repeats(tmp_path / "parts", 3)
    after_batches(parts, 11, lambda: ask_to_stop(parts))  # 8 in an epoch
    with pytest.raises(Interrupted):
        parts.fit()
    with raises(CheckpointError, "within an epoch of other batches", "'repeats': 3"):
        resumed(with_repeats(tmp_path / "parts", 1))
    resumed(with_repeats(tmp_path / "parts", 3)).fit()
    one, other = repeated_part(tmp_path / "whole"), repeated_part(tmp_path / "parts")
    np.testing.assert_equal(other, one)


def test_a_checkpoint_of_before_there_were_repeats(tmp_path):
    small_trainer(tmp_path, epochs=1).fit()
    state = load_checkpoint(tmp_path / "checkpoint_last.npz")
    del state["position"]["order"]["repeats"]
    small_trainer(tmp_path).load_state_dict(state)
