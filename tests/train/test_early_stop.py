"""EarlyStop: when it ends a run, and what a checkpoint holds of it."""

import pytest
from checks import raises
from kill_and_resume import resumed, small_trainer

from minicnn.runlog import read_log
from minicnn.train import EarlyStop, load_checkpoint
from minicnn.train.trainer import LAST


def with_top1(trainer, values):
    """`trainer`, whose validation comes to these values of top-1, epoch by epoch."""
    validate = trainer.validate

    def set_top1():
        scores = validate()
        average = scores.averages["top1"]
        average.total, average.count = values[trainer.epoch], 1
        return scores

    trainer.validate = set_top1
    return trainer


def test_early_stop(tmp_path, capsys):
    values = [50.0, 60.0, 60.0, 55.0, 70.0, 80.0]
    trainer = with_top1(small_trainer(tmp_path, callbacks=[EarlyStop(2)]), values)
    trainer.fit()
    assert trainer.epoch == 4 and "last epoch: no better epoch in 2" in capsys.readouterr().out
    assert load_checkpoint(tmp_path / LAST)["callbacks"]["EarlyStop"] == {"best": 60.0, "waited": 2}
    again = resumed(with_top1(small_trainer(tmp_path, callbacks=[EarlyStop(2)]), values))
    again.fit()  # it is over already
    assert again.epoch == 4 and len(read_log(tmp_path / "log.csv")) == 4
    longer = resumed(with_top1(small_trainer(tmp_path, callbacks=[EarlyStop(3)]), values))
    longer.fit()
    assert longer.epoch == 6 and longer.stop_reason is None


def test_early_stop_watches_training_where_there_is_no_validation(tmp_path):
    trainer = small_trainer(tmp_path, validate=False, callbacks=[stop := EarlyStop(6)])
    trainer.fit()
    assert stop.best == pytest.approx(max(float(row["train_top1"]) for row in read_log(tmp_path / "log.csv")), rel=1e-5)
    with raises(ValueError, "EarlyStop: patience must be"):
        EarlyStop(0)
