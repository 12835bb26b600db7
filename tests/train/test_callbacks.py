"""Callbacks: when they are called, on which ranks, what they keep in checkpoints, and what comes of one that raises."""

import re
import types
from typing import ClassVar

import numpy as np
import pytest
import thread_ranks
from checks import raises
from kill_and_resume import after_batches, ask_to_stop, repeated_part, resumed, small_trainer
from paths import ROOT
from training_of_ranks import make

from minicnn.runlog import COLUMNS, read_log
from minicnn.storage.checkpoint import CheckpointError
from minicnn.train import Callback, EarlyStop, Interrupted, TrainingError, load_checkpoint
from minicnn.train.trainer import BEST, LAST


class Diary(Callback):
    """Writes down what it is told."""

    def __init__(self, said=None):
        self.said = [] if said is None else said

    def on_fit_start(self, trainer):
        self.said.append(("start", trainer.epoch, trainer.batch))

    def on_batch_end(self, trainer, batch, outcome):
        self.said.append(("batch", trainer.epoch, trainer.batch, outcome.pictures))

    def on_validation_batch(self, trainer, batch, log_p):
        self.said.append(("validation", batch.position, log_p.shape, np.allclose(np.exp(log_p).sum(axis=1), 1)))

    def on_epoch_end(self, trainer, metrics):
        rows = read_log(trainer.folder / "log.csv")
        assert float(rows[-1]["val_top1"]) == pytest.approx(metrics["val_top1"], rel=1e-5)
        self.said.append(("epoch", metrics["epoch"], set(metrics) == set(COLUMNS)))

    def on_fit_end(self, trainer):
        self.said.append(("end", trainer.epoch, load_checkpoint(trainer.folder / LAST)["position"]["epoch"]))

    def on_exception(self, trainer, error):
        self.said.append(("exception", type(error)))


class Raising(Callback):
    """Fails at one moment."""

    def __init__(self, moment):
        self.moment = moment

    def fail(self, moment):
        if moment == self.moment:
            raise KeyError("a key\nthat was missing")

    def on_fit_start(self, trainer):
        self.fail("on_fit_start")

    def on_batch_end(self, trainer, batch, outcome):
        if trainer.batch == 5:
            self.fail("on_batch_end")

    def on_validation_batch(self, trainer, batch, log_p):
        self.fail("on_validation_batch")

    def on_epoch_end(self, trainer, metrics):
        self.fail("on_epoch_end")

    def on_fit_end(self, trainer):
        self.fail("on_fit_end")

    def on_exception(self, trainer, error):
        self.fail("on_exception")

    def state_dict(self):
        self.fail("state_dict")
        return {}


def test_moments(tmp_path):
    diary = Diary()
    small_trainer(tmp_path, epochs=2, callbacks=[diary]).fit()
    batches = [8] * 7 + [4]
    assert diary.said[0] == ("start", 0, 0) and diary.said[-1] == ("end", 2, 2)
    for epoch in range(2):
        of_epoch = diary.said[1 + 12 * epoch : 13 + 12 * epoch]
        steps, tests, (end,) = of_epoch[:8], of_epoch[8:11], of_epoch[11:]
        assert [said[:3] for said in steps] == [("batch", epoch, batch + 1) for batch in range(8)]
        assert sum(said[3] for said in steps) == 59  # one of 60 pictures is unreadable
        assert all(said[3] in (size, size - 1) for said, size in zip(steps, batches, strict=True))
        assert tests == [("validation", i, (rows, 3), True) for i, rows in enumerate([8, 8, 4])]
        assert end == ("epoch", epoch + 1, True)
    assert len(diary.said) == 26


def test_they_are_called_in_order_and_change_nothing(tmp_path):
    whole, watched = tmp_path / "whole", tmp_path / "watched"
    whole.mkdir(), watched.mkdir()
    small_trainer(whole, epochs=2).fit()
    said = []
    small_trainer(watched, epochs=2, callbacks=[Diary(said), Diary(said)]).fit()
    assert said[0::2] == said[1::2] and len(said) == 52
    assert repeated_part(watched) == repeated_part(whole)


def test_a_run_that_is_stopped_tells_them_and_goes_on(tmp_path):
    diary = Diary()
    trainer = small_trainer(tmp_path, epochs=1, callbacks=[diary])
    after_batches(trainer, 2, lambda: ask_to_stop(trainer))
    with pytest.raises(Interrupted):
        trainer.fit()
    assert diary.said[-1] == ("exception", Interrupted) and diary.said[-2][:3] == ("batch", 0, 2)
    resumed(small_trainer(tmp_path, epochs=1, callbacks=[diary := Diary()])).fit()
    assert [said[:3] for said in diary.said[:2]] == [("start", 0, 2), ("batch", 0, 3)] and diary.said[-1][0] == "end"


@pytest.mark.parametrize(
    "moment", ["on_fit_start", "on_batch_end", "on_validation_batch", "on_epoch_end", "on_fit_end"]
)
def test_one_that_raises_is_named_and_checkpoints_stay(tmp_path, moment):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    whole.mkdir(), parts.mkdir()
    small_trainer(whole, epochs=2).fit()
    diary = Diary()
    with pytest.raises(TrainingError) as caught:
        small_trainer(parts, epochs=2, callbacks=[Raising(moment), diary]).fit()
    what = f"the callback Raising has failed in {moment}, KeyError: 'a key\\nthat was missing'; mend it or leave it out"
    assert str(caught.value).startswith(what) and "\n" not in str(caught.value)
    assert isinstance(caught.value.__cause__, KeyError) and diary.said[-1] == ("exception", TrainingError)
    position = load_checkpoint(parts / LAST)["position"] if moment != "on_fit_start" else {"epoch": 0, "batch": 0}
    expected = {"on_batch_end": (0, 3), "on_validation_batch": (0, 6), "on_epoch_end": (0, 6), "on_fit_end": (2, 0)}
    assert (position["epoch"], position["batch"]) == expected.get(moment, (0, 0))
    resumed(small_trainer(parts, epochs=2)).fit()
    assert repeated_part(parts) == repeated_part(whole)


def test_one_that_raises_while_the_run_breaks_down_does_not_hide_why(tmp_path, capsys):
    diary = Diary()
    trainer = small_trainer(tmp_path, epochs=1, callbacks=[Raising("on_exception"), diary])
    after_batches(trainer, 1, lambda: ask_to_stop(trainer))
    with pytest.raises(Interrupted):
        trainer.fit()
    assert "the callback Raising has failed in on_exception, KeyError" in capsys.readouterr().err
    assert diary.said[-1] == ("exception", Interrupted)


def test_one_without_a_state_that_can_be_saved(tmp_path):
    trainer = small_trainer(tmp_path, epochs=1, callbacks=[Raising("state_dict")])
    with raises(TrainingError, "the callback Raising has failed in state_dict, KeyError", "nothing was saved"):
        trainer.fit()
    assert not (tmp_path / LAST).exists() and not (tmp_path / BEST).exists()


@pytest.mark.parametrize("wrong, found", [(Diary, "Diary itself"), (print, "a builtin_function_or_method")])
def test_only_callbacks_are_callbacks(tmp_path, wrong, found):
    with raises(TypeError, "Trainer: callbacks holds", found, "extends Callback"):
        small_trainer(tmp_path, callbacks=[wrong])


# State


class Counter(Callback):
    """Counts batches, whatever becomes of the run."""

    def __init__(self):
        self.batches = 0

    def on_batch_end(self, trainer, batch, outcome):
        self.batches += 1

    def state_dict(self):
        return {"batches": self.batches}

    def load_state_dict(self, state):
        self.batches = state["batches"]


def test_their_state_is_in_checkpoints(tmp_path, capsys):
    trainer = small_trainer(tmp_path, epochs=2, callbacks=[Counter(), Diary(), Counter()])
    after_batches(trainer, 11, lambda: ask_to_stop(trainer))
    with pytest.raises(Interrupted):
        trainer.fit()
    saved = load_checkpoint(tmp_path / LAST)
    assert saved["callbacks"] == {"Counter": {"batches": 11}, "Counter 2": {"batches": 11}}
    again = resumed(small_trainer(tmp_path, epochs=2, callbacks=[EarlyStop(9), counter := Counter()]))
    assert "note: Counter 2 of the checkpoint's callbacks is not there" in capsys.readouterr().out
    again.fit()
    assert counter.batches == 16


def test_a_checkpoint_from_before_there_were_any(tmp_path):
    small_trainer(tmp_path, epochs=1).fit()
    state = load_checkpoint(tmp_path / LAST)
    del state["callbacks"]
    trainer = small_trainer(tmp_path, callbacks=[counter := Counter()])
    trainer.load_state_dict(state)
    assert trainer.epoch == 1 and counter.batches == 0


def test_a_state_that_is_not_its_own_changes_nothing(tmp_path):
    small_trainer(tmp_path, epochs=1, callbacks=[Counter()]).fit()
    state = load_checkpoint(tmp_path / LAST)
    state["callbacks"]["Counter"] = {}
    trainer = small_trainer(tmp_path, callbacks=[Counter()])
    before = trainer.optimizer.state_dict()["velocities"]
    with raises(
        CheckpointError, "its callbacks cannot be used here", "Counter has failed in load_state_dict, KeyError"
    ):
        trainer.load_state_dict(state, "FILE")
    assert trainer.epoch == 0 and trainer.optimizer.state_dict()["velocities"] == before


# Several ranks


class Where(Callback):
    """On which ranks it was called, and when."""

    calls: ClassVar = []

    def on_fit_start(self, trainer):
        self.calls.append(("start", trainer.world.rank))

    def on_validation_batch(self, trainer, batch, log_p):
        self.calls.append((f"validation {batch.position}", trainer.world.rank))

    def on_epoch_end(self, trainer, metrics):
        self.calls.append((metrics["epoch"], trainer.world.rank))
        trainer.stop("it is enough")


class Everywhere(Where):
    every_rank, calls = True, []

    def on_epoch_end(self, trainer, metrics):
        total = trainer.world.sum(np.array([1.0]))
        self.calls.append((metrics["epoch"], trainer.world.rank, float(total[0])))


class OnlyHere(Callback):
    def on_epoch_end(self, trainer, metrics):
        raise ValueError("no network")


def on_two(folder, callbacks):
    def run(world):
        trainer = make(folder, epochs=3, callbacks=[kind() for kind in callbacks])
        trainer.fit()
        return trainer.epoch

    return thread_ranks.run(2, run)


def test_rank_0_alone_calls_them_or_every_rank(tmp_path):
    Where.calls.clear(), Everywhere.calls.clear()
    assert on_two(tmp_path, [Everywhere, Where]) == [1, 1]  # rank 0 has asked both to stop
    assert Where.calls == [("start", 0), ("validation 0", 0), ("validation 2", 0), (1, 0)]
    validated = [("validation 0", 0), ("validation 1", 1), ("validation 2", 0), ("validation 3", 1)]
    assert sorted(map(str, Everywhere.calls)) == sorted(
        map(str, [("start", 0), ("start", 1), *validated, (1, 0, 2.0), (1, 1, 2.0)])
    )


def test_what_one_raises_on_rank_0_all_ranks_raise(tmp_path):
    raised = []

    def run(world):
        with pytest.raises(TrainingError, match=re.escape("OnlyHere has failed in on_epoch_end, ValueError: no net")):
            make(tmp_path, epochs=1, callbacks=[OnlyHere()]).fit()
        raised.append(world.rank)

    thread_ranks.run(2, run)
    assert sorted(raised) == [0, 1]


# The one in docs/loop.md


def test_weights_and_biases_as_the_page_says(tmp_path, monkeypatch):
    (block,) = re.findall(r"^import wandb\n(.+?)^callbacks = ", (ROOT / "docs/loop.md").read_text(), re.M | re.S)
    assert len([line for line in block.splitlines() if line.startswith("    ")]) <= 11
    calls = []

    class Run:
        def log(self, data, step=None):
            calls.append(("log", step, data["val_top1"] >= 0))

        def finish(self, exit_code=None):
            calls.append(("finish", exit_code))

    module = types.ModuleType("wandb")
    module.init = lambda **given: (calls.append(("init", given["config"])), Run())[1]
    names = {"wandb": module}
    exec(block, names)
    small_trainer(tmp_path, epochs=2, settings={"width": 8}, callbacks=[names["WeightsAndBiases"]()]).fit()
    assert calls == [("init", {"width": 8}), ("log", 1, True), ("log", 2, True), ("finish", None)]
    trainer = small_trainer(tmp_path, epochs=1, callbacks=[names["WeightsAndBiases"]()])
    after_batches(trainer, 1, lambda: ask_to_stop(trainer))
    with pytest.raises(Interrupted):
        trainer.fit()
    assert calls[-1] == ("finish", 1)
