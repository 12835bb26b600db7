"""KeepBest: whose files there are, epoch by epoch, and after a run that was stopped."""

import numpy as np
import pytest
from checks import raises
from kill_and_resume import after_batches, ask_to_stop, resumed, small_trainer, weights
from programs import SMALL, run
from test_early_stop import with_top1

from minicnn.storage.checkpoint import CheckpointError
from minicnn.train import Callback, Interrupted, KeepBest, load_checkpoint


class Look(Callback):
    """What there is after each epoch, and its weights."""

    def __init__(self):
        self.seen, self.weights = [], {}

    def on_epoch_end(self, trainer, metrics):
        self.seen.append(epochs(trainer.folder))
        self.weights[trainer.epoch + 1] = weights(trainer)


def epochs(folder):
    names = [path.name for path in folder.glob("checkpoint_epoch*.npz")]
    return sorted(int(name.removeprefix("checkpoint_epoch").removesuffix(".npz")) for name in names)


def test_the_best_stay(tmp_path):
    values = [50.0, 40.0, 60.0, 50.0, 30.0, 55.0]
    trainer = with_top1(small_trainer(tmp_path, callbacks=[KeepBest(2), look := Look()]), values)
    trainer.fit()
    assert look.seen == [[1], [1, 2], [1, 3], [1, 3], [1, 3], [3, 6]]  # of equal ones, the earlier
    for epoch in (3, 6):
        path = tmp_path / f"checkpoint_epoch{epoch}.npz"
        saved = load_checkpoint(path)
        assert all(np.array_equal(saved["model"][key], value) for key, value in look.weights[epoch].items())
        with raises(CheckpointError, path.name, "optimizer"):  # no run goes on from it
            small_trainer(tmp_path).load_state_dict(saved, path)


def test_a_run_that_was_stopped_keeps_the_same_ones(tmp_path):
    (tmp_path / "whole").mkdir(), (tmp_path / "parts").mkdir()
    whole = small_trainer(tmp_path / "whole", epochs=4, callbacks=[KeepBest(2)])
    whole.fit()
    parts = small_trainer(tmp_path / "parts", epochs=4, callbacks=[KeepBest(2)])
    after_batches(parts, 20, lambda: ask_to_stop(parts))  # 8 in an epoch
    with pytest.raises(Interrupted):
        parts.fit()
    assert len(epochs(tmp_path / "parts")) == 2
    resumed(small_trainer(tmp_path / "parts", epochs=4, callbacks=[KeepBest(2)])).fit()
    assert epochs(tmp_path / "parts") == epochs(tmp_path / "whole")
    for path in (tmp_path / "whole").glob("checkpoint_epoch*.npz"):
        assert (tmp_path / "parts" / path.name).read_bytes() == path.read_bytes()


def test_training_counts_where_there_is_no_validation(tmp_path):
    small_trainer(tmp_path, validate=False, epochs=2, callbacks=[best := KeepBest(1)]).fit()
    assert epochs(tmp_path) == [best.best[0][1]]


def test_what_cannot_be():
    with raises(ValueError, "KeepBest: count must be"):
        KeepBest(0)
    best = KeepBest(1)
    with raises(ValueError, "KeepBest: epoch must be"):
        best.load_state_dict({"best": [[50.0, 0]]})
    assert best.best == []


def test_from_the_command_line_to_an_ensemble(pictures, tmp_path, capsys):
    folder = tmp_path / "run"
    assert run(pictures, SMALL, "--epochs 3 --keep-best 2 --output-dir", folder) == 0
    assert len(epochs(folder)) == 2 and "checkpoint_epoch*.npz" in capsys.readouterr().out
    assert run(pictures, "--ensemble", *sorted(folder.glob("checkpoint_epoch*.npz"))) == 0
    assert "the mean of 2 networks" in capsys.readouterr().out
