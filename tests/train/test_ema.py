"""The average of the weights: its formula, its file; and a run with all that goes on around a step, stopped."""

import re

import numpy as np
import pytest
from checks import check_close, raises
from kill_and_resume import after_batches, ask_to_stop, repeated_part, resumed, small_trainer, weights

from minicnn import nn, optim
from minicnn.optim.lr_scheduler import OneCycleLR
from minicnn.storage.checkpoint import CheckpointError
from minicnn.train import Interrupted, ModelEma, load_checkpoint
from minicnn.train.callbacks import Callbacks
from minicnn.train.ema import AVERAGED
from minicnn.train.one_step import one_step
from minicnn.train.step import Steps
from minicnn.train.trainer import LAST


def averaging(folder, every=2, copied_epochs=0, **options):
    """A trainer with an average, and the average."""
    trainer = small_trainer(folder, **options)
    ema = ModelEma(trainer.model, 0.75, every, copied_epochs)
    trainer.callbacks = Callbacks([ema], trainer.world)
    return trainer, ema


def test_is_the_formula_and_is_the_best_one_on_the_disk(tmp_path, capsys):
    """8 batches in an epoch: those at 0, 2, 4, 6 count. Running statistics are averaged, too."""
    trainer, ema = averaging(tmp_path, epochs=3)
    expected, train_batch = {}, trainer.train_batch

    def watched(batch):
        outcome = train_batch(batch)
        if batch.position % 2 == 0:
            new = weights(trainer)
            expected.update(
                {key: 0.75 * expected[key] + 0.25 * value for key, value in new.items()} if expected else new
            )
        return outcome

    trainer.train_batch = watched
    trainer.fit()
    averaged = {key: np.array(value) for key, value in ema.model.state_dict().items()}
    assert averaged.keys() == expected.keys()
    for key, value in averaged.items():
        check_close(value, expected[key], 1e-5)
    said = re.findall(r"average of the weights: val: .*top-1 ([\d.]+)", capsys.readouterr().out)
    assert len(said) == 3 and ema.best == pytest.approx(max(map(float, said)), abs=0.01)
    saved = load_checkpoint(tmp_path / AVERAGED)
    assert saved["model"].keys() == expected.keys()
    with raises(CheckpointError, AVERAGED, "optimizer"):  # no run goes on from it
        small_trainer(tmp_path).load_state_dict(saved, tmp_path / AVERAGED)


def test_is_a_copy_in_the_first_epochs_and_the_network_is_left_alone(tmp_path):
    (tmp_path / "alone").mkdir(), (tmp_path / "copied").mkdir()
    alone = small_trainer(tmp_path / "alone", epochs=1)
    alone.fit()
    trainer, ema = averaging(tmp_path / "copied", every=1, copied_epochs=1, epochs=1)
    trainer.fit()
    for key, value in weights(trainer).items():
        assert np.array_equal(value, weights(alone)[key])
        assert np.array_equal(value, np.array(ema.model.state_dict()[key]))
    assert ema.model is not trainer.model and not ema.model.training


def test_without_validation_every_epoch_is_saved(tmp_path):
    trainer, _ = averaging(tmp_path, validate=False, epochs=1)
    trainer.fit()
    assert (tmp_path / AVERAGED).exists()


def everything(folder):
    """RMSprop, one cycle by batches, clipped gradients, smoothed labels, an average."""
    options = {"loss": nn.CrossEntropyLoss(label_smoothing=0.1), "steps": Steps(clip_grad_norm=0.5)}
    trainer, _ = averaging(folder, epochs=2, schedule_each="batch", **options)
    trainer.checkpoint_every = 0
    trainer.optimizer = optim.RMSprop(optim.by_weight_decay(trainer.model, 0.01, 0.0), 0.01, momentum=0.9)
    trainer.schedule = OneCycleLR(trainer.optimizer, 0.01, 16)
    return trainer


@pytest.mark.parametrize("where", [5, 8, "the average's test"])
def test_a_run_with_everything_goes_on_to_the_same_bits(tmp_path, where, monkeypatch):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    whole.mkdir(), parts.mkdir()
    everything(whole).fit()
    trainer = everything(parts)
    if where == "the average's test":
        tested = ModelEma._tested
        with monkeypatch.context() as patch:
            patch.setattr(ModelEma, "_tested", lambda ema, trainer: (ask_to_stop(trainer), tested(ema, trainer))[1])
            with pytest.raises(Interrupted):
                trainer.fit()
    else:
        after_batches(trainer, where, lambda: ask_to_stop(trainer))
        with pytest.raises(Interrupted):
            trainer.fit()
    resumed(everything(parts)).fit()
    assert repeated_part(parts) == repeated_part(whole)
    assert (parts / AVERAGED).read_bytes() == (whole / AVERAGED).read_bytes()


def test_clipped_gradients_make_short_steps(tmp_path):
    """Plain SGD at lr 1: a step is as long as the gradients are."""
    trainer = small_trainer(tmp_path, epochs=1, steps=Steps(clip_grad_norm=1e-3))
    trainer.optimizer = optim.SGD(trainer.model.parameters(), 1.0)
    trainer.schedule = optim.lr_scheduler.StepLR(trainer.optimizer, 9)
    parameters = list(trainer.model.parameters())
    before = [p.numpy().copy() for p in parameters]
    after_batches(trainer, 1, lambda: ask_to_stop(trainer))
    with pytest.raises(Interrupted):
        trainer.fit()
    moved = np.sqrt(sum(((p.numpy() - b) ** 2).sum() for p, b in zip(parameters, before, strict=True)))
    assert moved == pytest.approx(1e-3, rel=1e-3)


def test_gradients_are_clipped_where_a_step_is_asked_for_at_once():
    """As on a GPU."""
    model = nn.Linear(3, 2)
    before = model.weight.numpy().copy(), model.bias.numpy().copy()
    images, labels = np.ones((4, 3), np.float32), np.array([0, 0, 0, 1])
    one_step(model, optim.SGD(model.parameters(), 1.0), None, images, labels, clip_grad_norm=1e-3)
    moved = np.sqrt(sum(((p.numpy() - b) ** 2).sum() for p, b in zip(model.parameters(), before, strict=True)))
    assert moved == pytest.approx(1e-3, rel=1e-2)


@pytest.mark.parametrize("damage", [{"count": -1}, {"best": "good"}, {"model": {}}])
def test_the_average_of_another_network_is_refused(tmp_path, damage):
    trainer, _ = averaging(tmp_path, epochs=1)
    trainer.fit()
    state = load_checkpoint(tmp_path / LAST)
    state["callbacks"]["ModelEma"] |= damage
    trainer, ema = averaging(tmp_path)
    with raises(CheckpointError, "callbacks", "ModelEma"):
        trainer.load_state_dict(state, LAST)
    assert ema.count == 0


def test_settings_are_looked_at():
    for wrong in ({"decay": 1.0}, {"decay": -0.1}, {"every": 0}, {"copied_epochs": -1}):
        with raises(ValueError, "ModelEma", *wrong):
            ModelEma(nn.Linear(2, 1), **wrong)
