"""Training on mixed pictures: the same draw for all parts of a batch, soft targets, and a run that goes on."""

import numpy as np
import pytest
from kill_and_resume import after_batches, ask_to_stop, repeated_part, resumed, small_trainer, weights

from minicnn import Tensor, functional
from minicnn.data import CutMix, DataLoader, MixUp, RandomChoice, ZeroToOne
from minicnn.train import Interrupted
from minicnn.train.batch_step import Feed
from minicnn.train.loss import Losses, numbers_of

MIX = RandomChoice([MixUp(alpha=0.8, num_classes=3), CutMix(num_classes=3)])


def feed(mix=MIX, part=(0, 1), seed=0):
    rng = np.random.default_rng(0)
    arrays = rng.integers(0, 256, (24, 3, 6, 6), np.uint8), rng.integers(0, 3, 24)
    return Feed(DataLoader(arrays, 8, shuffle=True, seed=seed, part=part), ZeroToOne(), "cpu", mix)


def trained_on(of, epoch=0):
    return [(images.numpy(), targets) for images, targets in map(of.training, of.loader.epoch(epoch))]


def test_a_rank_is_handed_what_one_process_cuts_for_itself():
    """So that --shards has the same bits on any number of ranks."""
    whole, parts = feed(), [feed(part=(i, 2)) for i in range(2)]
    for batch, *own in zip(whole.loader.epoch(1), *(part.loader.epoch(1) for part in parts), strict=True):
        for cut, part, of in zip(batch.cut(2), own, parts, strict=True):
            for one, other in zip(whole.training(cut), of.training(part), strict=True):
                assert np.array_equal(np.asarray(one), np.asarray(other))


def test_the_draw_depends_on_seed_epoch_and_batch():
    pictures = feed(mix=None, seed=1)
    one, again = trained_on(feed(seed=1)), trained_on(feed(seed=1))
    assert all(np.array_equal(a, b) for a, b in zip(one[1], again[1], strict=True))
    runs = one, trained_on(feed(seed=1), epoch=1), trained_on(feed(seed=2))
    shares = [[float(targets[targets > 0].min()) for _, targets in run] for run in runs]
    assert len(set(np.round(shares, 3).ravel())) > 7
    start = next(feed(seed=1).loader.epoch(0, start=2))
    assert np.array_equal(feed(seed=1).training(start)[1], one[2][1])
    for (mixed, targets), (plain, labels) in zip(one, trained_on(pictures), strict=True):
        assert targets.dtype == np.float32 and targets.shape == (8, 3) and np.allclose(targets.sum(axis=1), 1)
        assert labels.shape == (8,) and not np.array_equal(mixed, plain)


def test_a_run_on_mixed_pictures_goes_on_to_the_same_bits(tmp_path):
    ends = []
    for stop in (None, 5, 11):
        folder = tmp_path / str(stop)
        folder.mkdir()
        trainer = small_trainer(folder, epochs=2, mix=MIX)
        if stop:
            after_batches(trainer, stop, lambda trainer=trainer: ask_to_stop(trainer))
            with pytest.raises(Interrupted):
                trainer.fit()
            trainer = resumed(small_trainer(folder, epochs=2, mix=MIX))
        trainer.fit()
        ends.append(repeated_part(folder))
    assert ends[0] == ends[1] == ends[2]
    (tmp_path / "plain").mkdir()
    plain = small_trainer(tmp_path / "plain", epochs=2)
    plain.fit()
    assert not np.array_equal(weights(plain)["0.weight"], weights(trainer)["0.weight"])


def test_a_loss_of_ones_own_is_given_the_probabilities(tmp_path):
    seen = []

    def loss(scores, targets):
        seen.append((targets.shape, targets.dtype))
        return functional.cross_entropy(scores, targets, label_smoothing=0.1)

    small_trainer(tmp_path, epochs=1, mix=MIX, loss=loss).fit()
    assert len(seen) == 8 and set(seen) == {((rows, 3), np.dtype(np.float32)) for rows in (4, 7, 8)}


def test_right_is_the_class_with_the_largest_share():
    scores = np.eye(3, dtype=np.float32)
    targets = np.array([[0.6, 0.4, 0], [0.6, 0.4, 0], [0, 0, 1]], np.float32)
    losses = Losses(Tensor(np.float32(1)), Tensor(np.float32(2)), Tensor(scores))
    assert numbers_of(losses, targets) == (1, 2, 2, 3)


def test_labels_beyond_the_classes_end_with_one_line(tmp_path):
    with pytest.raises(ValueError, match="MixUp: label 2 is none of num_classes=2"):
        small_trainer(tmp_path, epochs=1, mix=MixUp(num_classes=2)).fit()
