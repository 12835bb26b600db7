"""Training by a CUDA graph: the bits of a run without one, whatever changes from step to step."""

from contextlib import ExitStack

import numpy as np
import pytest
from checks import Place, needs_compiler, raises
from kill_and_resume import repeated_part, small_trainer, weights

from minicnn import optim, precision, random
from minicnn.errors import SettingError
from minicnn.train import TrainingError, exit_code, graphed, load_checkpoint
from minicnn.train.graphed import PREPARATIONS
from minicnn.train.one_step import one_step
from minicnn.train.step import Steps, check_graph
from minicnn.train.trainer import LAST

pytestmark = [needs_compiler, pytest.mark.emulator]
ON_GPU = Place("cuda", "fast")


@pytest.fixture(autouse=True)
def on_gpu():
    with ON_GPU.active():
        yield


def trainer_on_gpu(folder, graph, **options):
    """Eight batches an epoch, the last one smaller; dropout, batch norm, a rate that falls."""
    folder.mkdir(exist_ok=True)
    trainer = small_trainer(folder, width=4, **options)
    trainer.device, trainer.graph = "cuda", graph
    trainer.model.to("cuda")
    return trainer


@pytest.mark.parametrize("adam", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_every_bit_is_that_of_a_run_without(tmp_path, adam):
    """Log and checkpoints of two epochs, with a rate that changes in each step."""
    found = []
    for graph in (False, True):
        trainer = trainer_on_gpu(tmp_path / str(graph), graph, epochs=2, adam=adam)
        trainer.schedule, trainer.schedule_each = optim.lr_scheduler.StepLR(trainer.optimizer, 1, 0.95), "batch"
        trainer.fit()
        found.append(repeated_part(trainer.folder))
    assert trainer.step.one_step._captured is not None
    assert found[0] == found[1]


@pytest.mark.slow
def test_a_run_goes_on_by_a_graph_where_it_stood(tmp_path):
    """The last checkpoint of a run with a graph, continued with another one, and without any."""
    ends = []
    for graphs in ((False, False), (True, True), (True, False)):
        folder = tmp_path / str(graphs)
        for graph, epochs in zip(graphs, (1, 2), strict=True):
            trainer = trainer_on_gpu(folder, graph, epochs=epochs, validate=False)
            if epochs == 2:
                trainer.load_state_dict(load_checkpoint(folder / LAST))
            trainer.fit()
        ends.append((folder / LAST).read_bytes())
    assert ends[0] == ends[1] == ends[2]


def test_the_third_step_is_captured_and_the_others_launch_nothing(tmp_path, monkeypatch):
    trainer = trainer_on_gpu(tmp_path, True, validate=False)
    steps = []
    monkeypatch.setattr(graphed, "one_step", lambda *given: (steps.append(1), one_step(*given))[1])
    with trainer.running():
        for batch in whole_batches(trainer)[:6]:
            trainer.train_batch(batch)
    assert len(steps) == PREPARATIONS + 1
    assert random.dropout_calls() == 6


def whole_batches(trainer):
    """Those of an epoch that have no picture too few."""
    return [batch for batch in trainer.train_loader.epoch(0) if len(batch.labels) == 8]


def test_other_weights_are_captured_anew(tmp_path):
    """After load_state_dict the weights may lie elsewhere: a graph must not go on with the old ones."""
    found = []
    for graph in (False, True):
        trainer = trainer_on_gpu(tmp_path / str(graph), graph, validate=False)
        batches = whole_batches(trainer)
        with trainer.running():
            for i, batch in enumerate(batches[:6]):
                if i == 4:
                    for parameter in trainer.model.parameters():
                        parameter.data = parameter.data * 0.5
                trainer.train_batch(batch)
        found.append(weights(trainer))
    for name, array in found[0].items():
        np.testing.assert_array_equal(found[1][name], array, err_msg=name)


def moved_buffers(trainer, stack):
    for buffer in trainer.model.buffers():
        buffer.data = buffer.data + 1


def frozen_layer(trainer, stack):
    next(trainer.model.parameters()).requires_grad_(False)


def other_precision(trainer, stack):
    stack.enter_context(precision("bfloat16"))


def earlier_count(trainer, stack):
    random.set_dropout_calls(0)


@pytest.mark.parametrize("change", [moved_buffers, frozen_layer, other_precision, earlier_count])
def test_a_step_that_is_another_is_no_replay(tmp_path, change):
    """Statistics that lie elsewhere, a layer that is no longer trained, other numbers, dropout from the start again."""
    found = []
    for graph in (False, True):
        trainer = trainer_on_gpu(tmp_path / str(graph), graph, validate=False)
        batches = whole_batches(trainer)
        with trainer.running(), ExitStack() as stack:
            for i, batch in enumerate(batches[:5]):
                if i == 4:
                    change(trainer, stack)
                trainer.train_batch(batch)
        found.append(weights(trainer))
    for name, array in found[0].items():
        np.testing.assert_array_equal(found[1][name], array, err_msg=name)


def test_a_loss_that_is_not_finite_is_found_behind_a_replay(tmp_path):
    trainer = trainer_on_gpu(tmp_path, True, validate=False)
    batches = whole_batches(trainer)
    with trainer.running():
        for batch in batches[:4]:
            trainer.train_batch(batch)
        before = weights(trainer)
        trainer.normalize.mean[0] = np.nan
        trainer.normalize._moved.clear()
        with raises(TrainingError, "the normalised pictures are not finite"):
            trainer.train_batch(batches[4])
    for name, _ in trainer.model.named_parameters():
        np.testing.assert_array_equal(weights(trainer)[name], before[name])


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"device": "cpu"}, "--device cuda"),
        ({"ranks": 2}, "one process"),
        ({"steps": Steps(accumulate=2)}, "--accumulate"),
        ({"steps": Steps(shards=1)}, "--shards"),
    ],
)
def test_what_has_no_graph_is_refused_before_the_run(options, part):
    usual = {"steps": Steps(), "ranks": 1, "device": "cuda"}
    check_graph(True, **usual)
    check_graph(False, **{**usual, **options})
    with raises(SettingError, "--cuda-graph", part):
        check_graph(True, **{**usual, **options})


def test_a_network_that_looks_at_a_value_ends_with_one_line(tmp_path, capsys):
    trainer = trainer_on_gpu(tmp_path, True, epochs=1, validate=False)
    forward = trainer.model.forward
    trainer.model.forward = lambda x: (x.sum().item(), forward(x))[1]
    assert exit_code(trainer.fit) == 2
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(told) == 1 and "cannot be part of a graph" in told[0]


def test_numbas_kernels_have_no_graph():
    with Place("cuda", "plain").active(), raises(SettingError, "--tier fast"):
        check_graph(True, Steps(), 1, "cuda")
