"""Training by a CUDA graph: the bits of a run without one, whatever changes from step to step."""

import functools
from contextlib import ExitStack

import numpy as np
import pytest
from checks import Place, needs_compiler, raises
from kill_and_resume import repeated_part, small_trainer, weights

import minicnn
from minicnn import nn, optim, precision, random
from minicnn.capture import CaptureError
from minicnn.cudagraph import CudaGraph
from minicnn.data import CutMix, MixUp, RandomChoice
from minicnn.device import to_device
from minicnn.errors import SettingError
from minicnn.train import TrainingError, exit_code, graphed, load_checkpoint
from minicnn.train.graphed import PREPARATIONS, GraphedStep
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


MIXED = {"mix": RandomChoice([MixUp(num_classes=3), CutMix(num_classes=3)])}
SLOW = [pytest.param(options, marks=pytest.mark.slow) for options in ({"adam": True}, MIXED)]


@pytest.mark.parametrize("options", [{}, *SLOW], ids=["sgd", "adam", "mixed"])
def test_every_bit_is_that_of_a_run_without(tmp_path, options):
    """Log and checkpoints of two epochs, with a rate that changes in each step."""
    found = []
    for graph in (False, True):
        trainer = trainer_on_gpu(tmp_path / str(graph), graph, epochs=2, **options)
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


@pytest.mark.parametrize(
    "change",
    [moved_buffers, frozen_layer, *(pytest.param(c, marks=pytest.mark.slow) for c in (other_precision, earlier_count))],
)
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


class Counting(nn.Module):
    """Its forward pass counts, in Python."""

    def __init__(self):
        super().__init__()
        self.linear, self.calls = nn.Linear(4, 3), 0

    def forward(self, x):
        self.calls += 1
        return self.linear(x) * float(self.calls)


class Looking(Counting):
    """Its forward pass looks at a value."""

    def forward(self, x):
        return self.linear(x) if float(x.data[0, 0]) > 0 else self.linear(-x)


def steps(model, count, change=None, graph=True):
    """(weights, optimizer) after so many steps, by a graph or not; change(model, optimizer) comes before the fifth."""
    minicnn.manual_seed(1)
    model = model().to("cuda")
    optimizer = optim.SGD([model.linear.weight], 0.1)
    step = GraphedStep(model, optimizer) if graph else functools.partial(one_step, model, optimizer, None)
    numbers = np.random.default_rng(0)
    for i in range(count):
        if i == 4 and change:
            change(model, optimizer)
        step(to_device(numbers.standard_normal((2, 4)).astype(np.float32), "cuda"), np.array([0, 2]))
    return [p.numpy() for p in model.parameters()], optimizer


class Plain(Counting):
    def forward(self, x):
        return self.linear(x)


CHANGES = {
    "momentum": lambda model, optimizer: optimizer.param_groups[0].update(momentum=0.9),
    "frozen": lambda model, optimizer: model.linear.weight.requires_grad_(False),
    "trained, too": lambda model, optimizer: optimizer.add_param_group({"params": [model.linear.bias]}),
    "same seed": lambda model, optimizer: minicnn.manual_seed(1),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_in_the_middle_is_that_of_a_run_without(name):
    (found, _), (expected, _) = (steps(Plain, 8, CHANGES[name], graph) for graph in (True, False))
    for each, wanted in zip(found, expected, strict=True):
        np.testing.assert_array_equal(each, wanted)


@pytest.mark.parametrize(("model", "part"), [(Counting, "sets Counting.calls from 2 to 3"), (Looking, "looks at")])
def test_a_step_that_cannot_be_captured_says_so_and_the_way_out(model, part):
    assert len(steps(model, PREPARATIONS)[0]) == 2
    with raises(CaptureError, part, "leave out graph=True, --cuda-graph"):
        steps(model, PREPARATIONS + 1)


def test_a_capture_that_fails_changes_nothing():
    """Not even what the optimiser counts; and the run goes on."""
    minicnn.manual_seed(1)
    model = Plain().to("cuda")
    optimizer = optim.Adam(model.parameters(), 0.1)
    step, images = GraphedStep(model, optimizer), to_device(np.ones((2, 4), np.float32), "cuda")
    for _ in range(PREPARATIONS):
        step(images, np.array([0, 2]))
    before, calls = [p.numpy() for p in model.parameters()], random.dropout_calls()
    counts = [state["step"] for state in optimizer.state.values()]
    with raises(IndexError, "label 7"):
        step(images, np.array([0, 7]))
    assert [state["step"] for state in optimizer.state.values()] == counts
    assert random.dropout_calls() == calls
    for parameter, array in zip(model.parameters(), before, strict=True):
        assert parameter.grad is None
        np.testing.assert_array_equal(parameter.numpy(), array)
    step(images, np.array([0, 2]))
    with raises(IndexError, "label 3"):  # of a replay: seen before it runs
        step(images, np.array([3, 0]))
    with raises(TypeError, "target must hold integer"):
        step(images, np.array([1.0, 0.0]))
    assert [state["step"] for state in optimizer.state.values()] == [count + 1 for count in counts]


def test_batches_of_two_sizes_in_turn_do_not_exchange_graphs(monkeypatch):
    made = []
    monkeypatch.setattr(graphed, "CudaGraph", lambda: (made.append(1), CudaGraph())[1])
    minicnn.manual_seed(1)
    model = Plain().to("cuda")
    step = GraphedStep(model, optim.SGD(model.parameters(), 0.1))
    for i in range(14):
        rows = 2 + i % 2
        step(to_device(np.ones((rows, 4), np.float32), "cuda"), np.zeros(rows, np.int64))
    assert len(made) == 1
