"""The loop: it learns, validates, steps the schedule, stops when asked or when a number is not finite."""

import re

import numpy as np
import pytest
from kill_and_resume import after_batches, ask_to_stop, repeated_part, resumed, small_trainer
from PIL import Image

from minicnn import Tensor, nn
from minicnn.cli.pictures import RandomPictures
from minicnn.runlog import read_log
from minicnn.train import Interrupted, TrainingError, load_checkpoint
from minicnn.train.meters import Scores
from minicnn.train.trainer import BEST, LAST
from minicnn.train.trouble import explain

# Learning


class Colours(RandomPictures):
    """Red, green and blue pictures."""

    def load(self, index):
        color = np.random.default_rng(index).integers(0, 100, 3)
        color[self.samples[index][1]] += 100
        return Image.new("RGB", (16, 16), tuple(color.tolist()))


def test_learns_colours(tmp_path):
    trainer = small_trainer(tmp_path, pictures=Colours)
    trainer.fit()
    top1 = [float(row["val_top1"]) for row in read_log(tmp_path / "log.csv")]
    assert max(top1) >= 90  # chance: 33


def test_validates_in_evaluation_mode_and_trains_in_training_mode(tmp_path):
    trainer = small_trainer(tmp_path, epochs=2)
    modes, forward = [], trainer.model.forward
    trainer.model.forward = lambda x: (modes.append(trainer.model.training), forward(x))[1]
    trainer.fit()
    assert modes == 2 * (8 * [True] + 3 * [False])


def test_the_schedule_gets_the_validation_error(tmp_path):
    trainer = small_trainer(tmp_path, epochs=3)
    errors = []
    trainer.schedule.step = errors.append
    trainer.fit()
    assert errors == [pytest.approx(100 - float(row["val_top1"])) for row in read_log(tmp_path / "log.csv")]


def test_without_validation_the_training_error_counts(tmp_path):
    trainer = small_trainer(tmp_path, epochs=2, validate=False)
    errors = []
    trainer.schedule.step = errors.append
    trainer.fit()
    rows = read_log(tmp_path / "log.csv")
    assert [row["val_loss"] for row in rows] == ["", ""]
    assert errors == [pytest.approx(100 - float(row["train_top1"]), abs=1e-3) for row in rows]


def test_the_log_has_the_lr_that_was_in_force(tmp_path):
    trainer = small_trainer(tmp_path, epochs=3)
    trainer.schedule.step = lambda error: trainer.optimizer.param_groups[0].update(lr=0.05 / (trainer.epoch + 2))
    trainer.fit()
    assert [float(row["lr"]) for row in read_log(tmp_path / "log.csv")] == [
        0.05,
        0.025,
        pytest.approx(0.05 / 3, rel=1e-5),
    ]


def test_best_is_the_best(tmp_path):
    trainer = small_trainer(tmp_path)
    trainer.fit()
    top1 = [float(row["val_top1"]) for row in read_log(tmp_path / "log.csv")]
    best = load_checkpoint(tmp_path / BEST)
    assert best["best"] == {"epoch": 1 + int(np.argmax(top1)), "top1": max(top1)}
    assert best["position"]["epoch"] == best["best"]["epoch"]
    assert load_checkpoint(tmp_path / LAST)["position"]["epoch"] == 6


def test_of_equals_the_first_is_best(tmp_path):
    trainer = small_trainer(tmp_path, epochs=4)
    validate, equal = trainer.validate, Scores()
    equal.update(1.0, np.eye(4), np.array([0, 1, 2, 0]))
    trainer.validate = lambda: (validate(), equal)[1]
    trainer.fit()
    assert load_checkpoint(tmp_path / BEST)["best"] == {"epoch": 1, "top1": 75.0}


def test_what_a_killed_run_was_writing_is_swept(tmp_path):
    (tmp_path / ".summary.json.unfinished").write_bytes(b"half")
    small_trainer(tmp_path, epochs=1).fit()
    assert {path.name for path in tmp_path.iterdir()} == {"log.csv", BEST, LAST}


def test_unreadable_pictures_are_named_once(tmp_path, capsys):
    small_trainer(tmp_path, epochs=3).fit()
    assert capsys.readouterr().out.count("skipped an unreadable picture: random picture 5: damaged") == 1


# Ctrl-C


@pytest.mark.parametrize("batches, adam", [(1, False), (5, False), (8, False), (11, False), (5, True)])
def test_stops_when_asked_and_goes_on_to_the_same_end(tmp_path, batches, adam):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    whole.mkdir(), parts.mkdir()
    small_trainer(whole, epochs=2, adam=adam).fit()

    trainer = small_trainer(parts, epochs=2, adam=adam)
    trainer.checkpoint_every = 0
    after_batches(trainer, batches, lambda: ask_to_stop(trainer))
    with pytest.raises(Interrupted, match=re.escape(str(parts / LAST))):
        trainer.fit()
    assert load_checkpoint(parts / LAST)["position"]["batch"] == (batches - 1) % 8 + 1
    resumed(small_trainer(parts, epochs=2, adam=adam)).fit()
    assert repeated_part(parts) == repeated_part(whole)


def test_stops_within_validation_and_goes_on_to_the_same_end(tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    whole.mkdir(), parts.mkdir()
    small_trainer(whole, epochs=2).fit()

    trainer = small_trainer(parts, epochs=2)
    validate = trainer.validate
    trainer.validate = lambda: (ask_to_stop(trainer), validate())
    with pytest.raises(Interrupted):
        trainer.fit()
    assert load_checkpoint(parts / LAST)["position"] | {"order": None} == {"epoch": 0, "batch": 8, "order": None}
    resumed(small_trainer(parts, epochs=2)).fit()
    assert repeated_part(parts) == repeated_part(whole)


# Numbers that are not finite

pytestmark = pytest.mark.filterwarnings("ignore:(invalid value|overflow) encountered:RuntimeWarning")


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path):
    trainer = small_trainer(tmp_path)
    trainer.checkpoint_every = 2
    bias = trainer.model[6].bias
    after_batches(trainer, 5, lambda: bias.detach().__setitem__(1, np.nan))
    with pytest.raises(TrainingError) as caught:
        trainer.fit()
    message = str(caught.value)
    assert message.startswith("the loss is nan in epoch 1, batch 6, at lr 0.05: parameter 6.bias is not finite")
    assert re.search(r"The batch's \d pictures begin with random picture \d+, random picture", message)
    saved = load_checkpoint(tmp_path / LAST)
    assert saved["position"]["batch"] == 4
    assert all(np.isfinite(array).all() for array in saved["model"].values())


def test_weights_that_are_not_finite_are_never_saved(tmp_path):
    trainer = small_trainer(tmp_path)
    trainer.checkpoint_every = 0
    after_batches(trainer, 8 + 8, lambda: trainer.model[0].weight.detach().__setitem__(0, np.inf))
    with pytest.raises(TrainingError, match=r"epoch 2, batch 8, lr 0\.05: parameter 0\.weight is not finite"):
        trainer.fit()
    assert load_checkpoint(tmp_path / LAST)["position"]["epoch"] == 1


def test_weights_that_are_not_finite_are_never_saved_within_an_epoch(tmp_path):
    trainer = small_trainer(tmp_path)
    after_batches(trainer, 6, lambda: trainer.model[0].weight.detach().__setitem__(0, np.inf))
    with pytest.raises(TrainingError, match=r"epoch 1, batch 6, lr 0\.05: parameter 0\.weight is not finite"):
        trainer.fit()
    assert load_checkpoint(tmp_path / LAST)["position"]["batch"] == 3


def test_explains_where_it_began():
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.ReLU(inplace=True), nn.Linear(3, 2))
    x = Tensor(np.full((2, 4), 1e38, np.float32))
    assert "largest weight" in explain(model, Tensor(np.ones((2, 4), np.float32)))
    model[1].weight.detach()[...] = 1e3
    assert explain(model, x) == "the output of 1 (Linear) is the first that is not finite"
    assert "forward" not in vars(model[1])
    x[0, 0] = np.nan
    assert explain(model, x) == "the normalised pictures are not finite"
    model[3].bias.detach()[0] = np.inf
    assert explain(model, x).startswith("parameter 3.bias is not finite")
