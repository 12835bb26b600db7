"""Going on from a checkpoint that does not fit: refused by name, or mentioned."""

import numpy as np
import pytest
from fuzz_checkpoints import fingerprint
from kill_and_resume import after_batches, ask_to_stop, small_trainer, weights

from minicnn.train import CheckpointError, Interrupted, load_checkpoint
from minicnn.train.trainer import LAST


@pytest.fixture
def stopped(tmp_path):
    """The path of a checkpoint within an epoch."""
    trainer = small_trainer(tmp_path)
    after_batches(trainer, 10, lambda: ask_to_stop(trainer))
    with pytest.raises(Interrupted):
        trainer.fit()
    return tmp_path / LAST


def test_the_normaliser_is_that_of_the_checkpoint(stopped):
    state = load_checkpoint(stopped)
    state["normalize"]["mean"] += 1
    trainer = small_trainer(stopped.parent)
    trainer.load_state_dict(state)
    np.testing.assert_array_equal(trainer.normalize.mean, state["normalize"]["mean"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width": 9}, r"checkpoint of another model.*shapes differ"),
        ({"batch_size": 4}, r"within an epoch of other batches.*batch_size': 8.*batch_size': 4"),
    ],
)
def test_another_run_is_refused(stopped, changes, message):
    trainer = small_trainer(stopped.parent, **changes)
    before = weights(trainer)
    with pytest.raises(CheckpointError, match=message) as caught:
        trainer.load_state_dict(load_checkpoint(stopped), stopped)
    assert str(stopped) in str(caught.value)
    assert all(np.array_equal(before[key], array) for key, array in weights(trainer).items())
    assert trainer.epoch == 0


@pytest.mark.parametrize("part", ["position", "scores", "random", "schedule", "normalize", "optimizer"])
@pytest.mark.parametrize("foreign", [None, {}, {"kind": 3}])
def test_foreign_parts_are_refused(stopped, part, foreign):
    trainer = small_trainer(stopped.parent)
    before = weights(trainer)
    with pytest.raises(CheckpointError, match=f"{LAST}: its {part} cannot be used"):
        trainer.load_state_dict(load_checkpoint(stopped) | {part: foreign}, stopped)
    assert all(np.array_equal(before[key], array) for key, array in weights(trainer).items())
    assert trainer.epoch == trainer.batch == 0


@pytest.mark.parametrize(
    ("way", "value"),
    [
        ("position/epoch", -1),
        ("position/epoch", True),
        ("position/batch", 1.0),
        ("position/batch", 9),
        ("best", {}),
        ("best", {"epoch": 1, "top1": "high"}),
        ("scores/loss", [1.0]),
        ("scores/loss", [1.0, -1]),
        ("scores/top1", [float("nan"), 8]),
        ("bad_pictures", {"a.jpg": 3}),
        ("environment", {"numpy": [2]}),
        ("classes", [1, 2, 3]),
        ("random/dropout_key", 1 << 64),
        ("random/dropout_calls", -1),
        ("random/init/bit_generator", "MT19937"),
        ("random/init/state/state", 1.5),
        ("random/init/state/inc", -1),
        ("schedule/best", "low"),
        ("schedule/best", float("nan")),
        ("schedule/count", "two"),
        ("schedule/count", 10**400),
        ("normalize/kind", "MeanImage"),
        ("normalize/mean", np.ones(4, np.float32)),
        ("normalize/std", np.float32([1, np.nan, 1])),
        ("optimizer/groups/0/lr", None),
        ("optimizer/groups/0/lr", float("inf")),
        ("optimizer/velocities/0", "fast"),
        ("optimizer/velocities/0", np.ones((3, 3, 3), np.float32)),
        ("optimizer/velocities/0", np.full((8, 3, 3, 3), np.nan, np.float32)),
        ("model/0.weight", np.full((8, 3, 3, 3), np.inf, np.float32)),
        ("model/0.weight", np.ones((8, 3, 3, 3), complex)),
        ("model/0.weight", None),
    ],
)
def test_foreign_values_are_refused(stopped, way, value):
    """Whoever wrote them has given the file a right SHA-256, too."""
    state = load_checkpoint(stopped)
    *outer, last = (int(word) if word.isdigit() else word for word in way.split("/"))
    place = state
    for word in outer:
        place = place[word]
    place[last] = value
    trainer = small_trainer(stopped.parent)
    before = fingerprint(trainer)
    with pytest.raises(CheckpointError) as caught:
        trainer.load_state_dict(state, stopped)
    assert str(stopped) in str(caught.value) and way.split("/")[0] in str(caught.value)
    assert fingerprint(trainer) == before


def test_velocities_of_another_number_are_refused(stopped):
    trainer = small_trainer(stopped.parent)
    before = weights(trainer)
    state = load_checkpoint(stopped)
    state["optimizer"]["velocities"].pop()
    with pytest.raises(CheckpointError, match="its optimizer cannot be used"):
        trainer.load_state_dict(state, stopped)
    assert all(np.array_equal(before[key], array) for key, array in weights(trainer).items())


def test_other_classes_are_refused(stopped):
    trainer = small_trainer(stopped.parent)
    trainer.classes[0] = "zebra"
    with pytest.raises(CheckpointError, match=r"trained on 3 classes \(class 0, .*are of 3 classes \(zebra"):
        trainer.load_state_dict(load_checkpoint(stopped), stopped)


def test_another_number_of_threads_is_mentioned(stopped, capsys):
    state = load_checkpoint(stopped)
    small_trainer(stopped.parent).load_state_dict(state, stopped)
    assert "note:" not in capsys.readouterr().out
    state["environment"]["threads"] = "77"
    small_trainer(stopped.parent).load_state_dict(state, stopped)
    out = capsys.readouterr().out
    assert "the last bits may differ" in out and "threads 77 then" in out and out.count("\n") == 1
