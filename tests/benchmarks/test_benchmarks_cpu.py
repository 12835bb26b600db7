"""benchmarks/cpu.py: both sides do the same work, the tables say what the figures say, and every part runs."""

import argparse
import importlib.util
import json
import shutil
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from paths import BENCHMARKS


@pytest.fixture(autouse=True)
def on_path(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def worker(**settings):
    command = [sys.executable, str(BENCHMARKS / "cpubench" / "worker.py"), json.dumps(settings)]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)


@pytest.mark.slow
@pytest.mark.parametrize("task", ["train", "infer"])
def test_each_side_times_its_steps(torchvision, task):
    common = {"model": "resnet18", "batch_size": 2, "threads": 1, "task": task, "steps": 2}
    for side in ("minicnn fast", "torch channels-last"):
        run = worker(side=side, **common)
        assert len(run["seconds"]) == 2 and min(run["seconds"]) > 0 and run["peak_mib"] > 50
        assert np.isfinite(run["result"]) and run["versions"]


def test_a_slow_side_has_fewer_steps():
    common = {"model": "resnet18", "size": 32, "batch_size": 1, "threads": 1, "task": "infer", "steps": 3}
    assert len(worker(side="minicnn fast", limit=0, **common)["seconds"]) == 1
    assert len(worker(side="minicnn fast", limit=100, **common)["seconds"]) == 3


def test_a_slow_side_has_fewer_turns(monkeypatch):
    from cpubench import turns

    clock, calls = [0.0], []

    def run_one(side, python, limit, **settings):
        calls.append((side, python, limit))
        clock[0] += {"quick": 1.0, "slow": 7.0}[side]
        return settings

    monkeypatch.setattr(turns, "run_one", run_one)
    monkeypatch.setattr(turns.time, "perf_counter", lambda: clock[0])
    runs = turns.take_turns(["quick", "slow"], 3, 10.0, {"slow": "old/python"}, steps=5)
    assert runs == {"quick": [{"steps": 5}] * 3, "slow": [{"steps": 5}] * 2}
    assert [limit for side, _, limit in calls if side == "slow"] == [10.0, 3.0]
    assert {side: python for side, python, _ in calls} == {"quick": sys.executable, "slow": "old/python"}


def test_another_interpreter_is_named_with_its_side():
    import cpu

    assert cpu.side_and_path("chainer=old/bin/python") == ("chainer", "old/bin/python")
    for text in ("chainer", "theano=old/bin/python"):
        with pytest.raises(argparse.ArgumentTypeError, match=f"expected SIDE=PATH .* got '{text}'"):
            cpu.side_and_path(text)


@pytest.mark.parametrize("model", ["alexnet", "resnet18", "resnet50"])
def test_the_described_nets_are_torchvisions(torch, torchvision, model):
    from cpubench.nets import weight_shapes

    with torch.device("meta"):
        state = getattr(torchvision.models, model)().state_dict()
    assert weight_shapes(model) == {
        n: tuple(v.shape) for n, v in state.items() if not n.endswith("num_batches_tracked")
    }


@pytest.fixture(scope="module")
def small_net(torch, torchvision):
    """torchvision's losses of three steps, and its logits before them, of a net with every kind of layer."""
    sys.path.insert(0, str(BENCHMARKS / "cpubench"))
    try:
        exec(SMALL_NET, names := {})
    finally:
        sys.path.pop(0)
    weights, statistics = ({n: torch.from_numpy(a) for n, a in arrays.items()} for arrays in names["weights"])
    x, y = (torch.from_numpy(array) for array in names["batch"])
    net = torchvision.models.ResNet(torchvision.models.resnet.Bottleneck, (1, 1, 1, 1))
    net.layer2, net.layer3, net.layer4 = (torch.nn.Identity() for _ in range(3))
    net.fc = torch.nn.Linear(256, 1000)
    net.load_state_dict(weights | statistics, strict=False)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)
    with torch.no_grad():
        logits = net.eval()(x).tolist()
    net.train()
    losses = []
    for _ in range(3):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(net(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses, logits


SMALL_NET = """
import functools, nets, sides
nets.NETS["small"] = functools.partial(nets.resnet, depths=(1,), bottleneck=True)
net, weights = nets.NETS["small"], nets.random_weights("small")
batch = sides.batch({"batch_size": 4, "size": 32})
"""
LIBRARY = """
import importlib, json
module = importlib.import_module(library + "_nets")
train = module.trainer(net, *weights, *batch)
print(json.dumps([[train() for _ in range(3)], module.predictor(net, *weights, batch[0])().tolist()]))
"""


@pytest.mark.parametrize("library", ["jax", "tinygrad", "chainer"])
def test_every_library_computes_what_pytorch_does(small_net, library):
    from cpubench.turns import environment

    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library}, which is to be checked, is not installed")
    if library == "tinygrad" and shutil.which("clang") is None:
        pytest.skip("clang, with which tinygrad compiles, is not installed")
    env = environment(1) | {"PYTHONPATH": str(BENCHMARKS / "cpubench")}
    command = [sys.executable, "-c", f"library = {library!r}{SMALL_NET}{LIBRARY}"]
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, text=True, check=True)
    (losses, logits), (expected_losses, expected_logits) = json.loads(done.stdout), small_net
    np.testing.assert_allclose(logits, expected_logits, atol=1e-5)
    np.testing.assert_allclose(losses, expected_losses, rtol=2e-3)
    assert losses[0] > losses[1] > losses[2]


def test_the_table_compares_with_the_faster_pytorch():
    from cpubench.turns import rate, table

    def runs(*seconds, peak_mib):
        return [{"seconds": list(seconds), "peak_mib": peak_mib}]

    sides = {
        "minicnn fast": runs(1.0, 2.0, 9.0, peak_mib=100),
        "torch": runs(8.0, peak_mib=50),
        "torch channels-last": runs(4.0, peak_mib=200),
    }
    assert rate(sides["minicnn fast"], 64) == 32  # the median step
    _, ours, slower, best = (line.split() for line in table(sides, 64))
    assert ours[-4:] == ["32.00", "2.00", "100", "0.50"]
    assert slower[-4:] == ["8.00", "0.50", "50", "0.25"] and best[-4:] == ["16.00", "1.00", "200", "1.00"]


def test_layers(torch, monkeypatch):
    from cpubench import layers

    layer = layers.Layer("small", 2, 3, 11, 4, 3, 2, 1)
    assert layer.out_size == 6 and layer.flops == 2 * 2 * 4 * 36 * 27
    expected = [run() for run in layers.torch_passes(layer, "torch", 1)]
    for side in ("minicnn plain", "minicnn fast"):
        results = [run() for run in layers.minicnn_passes(layer, side, 1)]
        theirs = expected[0], expected[1][0], expected[2][1]
        for ours, other in zip(results, theirs, strict=True):
            np.testing.assert_allclose(ours, other.numpy(), rtol=1e-4, atol=1e-4)
    monkeypatch.setattr(layers, "LAYERS", [layer])
    monkeypatch.setattr(layers, "gemm_flops", lambda threads, repeats: 1e9)
    runs = {side: [layers.measure(side, 1, 2)] for side in ("minicnn fast", "torch")}
    header, *lines = layers.layer_table(runs)
    assert "of PyTorch" in header and len(lines) == 3 and all("small" in line for line in lines)


def test_what_a_training_step_must_hold():
    from cpubench.scaling import Net

    net = Net.of(18)
    assert net.parameters == 11_689_512
    assert net.multiplications == pytest.approx(1.81e9, rel=0.01)  # He et al. 2015, table 1, say 1.8e9
    assert net.mib(0) == pytest.approx(12 * 11_689_512 / 2**20)  # nothing but the parameters is left
    assert net.mib(2) - net.mib(1) == pytest.approx(2 * 4 * 2.48e6 / 2**20, rel=0.01)  # timm counts 2.48 M outputs


def test_scaling_draws_and_writes(monkeypatch, tmp_path, capsys):
    from cpubench import scaling

    def run_one(side, model, batch_size, **settings):
        return {"seconds": [1.0], "peak_mib": batch_size * int(model.removeprefix("resnet")) / 18}

    monkeypatch.setattr(scaling, "run_one", run_one)
    monkeypatch.setattr(scaling.Net, "of", lambda depth: scaling.Net(depth * 2**20, depth * 100, 0))
    scaling.scale(SimpleNamespace(threads=1, steps=1, out=tmp_path))
    assert (tmp_path / "scaling.png").stat().st_size > 10_000
    written = json.loads((tmp_path / "scaling_t1.json").read_text())
    assert written["by_batch"][-1] == [128.0, 128] and len(written["by_depth"]) == 5
    assert written["batch_mib"][:2] == [72, 144] and written["depth_mib"][-1] == 4 * 4 * 152
    assert written["depth_speed"][:2] == [4.0, pytest.approx(4.0 * 18 / 34)]
    assert written["batch_speed"] == pytest.approx(scaling.BATCHES)  # each step took a second
    assert "each picture takes 1.0 MiB (R^2 1.0000); backward must keep 72.0 MiB" in capsys.readouterr().out


def test_a_constant_time_and_one_for_each_picture_are_found():
    from cpubench.scaling import fitted_seconds

    batches = (1, 4, 64)
    assert fitted_seconds(batches, [n / (0.5 + 0.1 * n) for n in batches]) == pytest.approx((0.5, 0.1))


def test_rounding_is_that_of_the_algorithm_chosen(monkeypatch):
    from cpubench import rounding

    def recorder(module, x, *args):
        compared.append((module.__name__, x.dtype.name))
        return passes(module, x, *args)

    passes, compared = rounding.passes, []
    monkeypatch.setattr(rounding, "passes", recorder)
    cases = (rounding.Case(2, 64, 24, 64, 3), "winograd"), (rounding.Case(1, 16, 9, 16, 3, 2, 16), "depthwise")
    for case, algorithm in cases:
        chosen, *errors = rounding.rounding(case)
        assert chosen == algorithm
        assert all(1e-8 < error < 1e-5 for error in errors)
    assert compared == 2 * [("minicnn.kernels.cpu.conv", "float32"), ("minicnn.ops.conv", "float64")]
