"""Unreadable pictures have left a single one of a batch, and batch norm nothing to go by: one message says so."""

from types import SimpleNamespace

import numpy as np
import pytest
import thread_ranks

from minicnn import Tensor, nn
from minicnn.train import TrainingError
from minicnn.train.trouble import explaining_single_pictures


def batch_norm_of(layer, rows, bad):
    """In training, on a batch of so many rows."""
    loader, batch = SimpleNamespace(bad=bad), SimpleNamespace(labels=np.zeros(rows))
    with explaining_single_pictures(loader, batch, "epoch 1, batch 2"):
        layer(Tensor(np.ones((rows, 2, 1, 1), np.float32)))


def test_a_batch_that_others_cannot_be_read_of():
    layer = nn.BatchNorm2d(2)
    with pytest.raises(TrainingError, match=r"epoch 1, batch 2: one picture is left of it.* the first is a.jpg, or"):
        batch_norm_of(layer, 1, {"a.jpg": "damaged"})
    with pytest.raises(ValueError, match="one value in each channel"):  # which nobody has met before
        batch_norm_of(layer, 1, {})
    batch_norm_of(layer, 2, {"a.jpg": "damaged"})


def test_batch_norm_of_all_ranks_is_told_alike_on_all():
    """The rank that has the picture has met none that could not be read; another has."""
    bad = [{}, {"b.jpg": "damaged"}, {"c.jpg": "damaged"}]

    def attempt(world):
        try:
            batch_norm_of(nn.SyncBatchNorm(2), int(world.rank == 0), bad[world.rank])
        except TrainingError as error:
            return str(error), error.on_all_ranks
        return None

    found = set(thread_ranks.run(3, attempt))
    ((text, on_all_ranks),) = found
    assert on_all_ranks and "the first is b.jpg" in text and "3 ranks" in text
    assert thread_ranks.run(3, lambda world: batch_norm_of(nn.SyncBatchNorm(2), 1, bad[world.rank])) == [None] * 3
