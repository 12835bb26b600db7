"""The trainer on device "cuda": the whole step is asked for before the host waits, and a bad loss spoils nothing."""

import sys

import numpy as np
import pytest
from checks import Place, needs_compiler
from kill_and_resume import small_trainer, weights

from minicnn.runlog import read_log
from minicnn.train import TrainingError

pytestmark = [needs_compiler, pytest.mark.gpu]
ON_GPU = Place("cuda", "fast")


def trainer_on(place, folder, **options):
    trainer = small_trainer(folder, width=4, epochs=1, **options)
    trainer.device = place.device
    trainer.model.to(place.device)
    return trainer


def test_an_epoch_is_the_processors(tmp_path):
    rows = []
    for place in (Place("cpu", "plain"), ON_GPU):
        with place.active():
            trainer = trainer_on(place, tmp_path / str(place))
            trainer.folder.mkdir()
            trainer.fit()
        rows.append(read_log(trainer.folder / "log.csv")[0])
    for name in ("train_loss", "val_loss", "train_top1", "val_top1"):
        assert float(rows[1][name]) == pytest.approx(float(rows[0][name]), rel=1e-3)


def test_the_optimiser_is_asked_before_the_host_waits(tmp_path, monkeypatch):
    """The GPU has the whole step to do by then; and the host waits once."""
    with ON_GPU.active():
        trainer, done = trainer_on(ON_GPU, tmp_path, validate=False), []
        device = sys.modules["minicnn.device"]  # minicnn.device is a class
        step, copy = trainer.optimizer.step, device.copy_to_host
        monkeypatch.setattr(trainer.optimizer, "step", lambda **given: (done.append("step"), step(**given))[1])
        monkeypatch.setattr(device, "copy_to_host", lambda *arrays: (done.append("wait"), copy(*arrays))[1])
        with trainer.running():
            batch = next(iter(trainer.train_loader.epoch(0)))
            trainer.train_batch(batch)
            assert done == ["step", "wait"]


@pytest.mark.parametrize("adam", [False, True])
def test_a_loss_that_is_not_finite_leaves_the_weights_alone(tmp_path, adam):
    """And says what the processor says, though the optimiser was asked before anybody knew."""
    errors = []
    for place in (Place("cpu", "fast"), ON_GPU):
        with place.active():
            trainer = trainer_on(place, tmp_path / f"{place}", validate=False, adam=adam)
            trainer.folder.mkdir()
            with trainer.running():
                batches = iter(trainer.train_loader.epoch(0))
                trainer.train_batch(next(batches))
                before = weights(trainer)
                trainer.normalize.mean[0] = np.nan
                trainer.normalize._moved.clear()
                with pytest.raises(TrainingError) as caught:
                    trainer.train_batch(next(batches))
            parameters = {name for name, _ in trainer.model.named_parameters()}
            for name, array in weights(trainer).items():
                assert name not in parameters or array.tobytes() == before[name].tobytes(), name
            errors.append(str(caught.value).replace(str(tmp_path / f"{place}"), ""))
    assert errors[0] == errors[1] and "the normalised pictures are not finite" in errors[0]
