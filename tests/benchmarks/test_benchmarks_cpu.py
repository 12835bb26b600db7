"""benchmarks/cpu.py: every library does the same work, and every part runs."""

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
    sys.path.insert(0, str(BENCHMARKS))
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
import functools
from cpubench import nets, sides
nets.NETS["small"] = functools.partial(nets.resnet, depths=(1,), bottleneck=True)
net, weights = nets.NETS["small"], nets.random_weights("small")
batch = sides.batch({"batch_size": 4, "size": 32})
"""
LIBRARY = """
import importlib, json
module = importlib.import_module(f"cpubench.{library}_nets")
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
    command = [sys.executable, "-c", f"library = {library!r}{SMALL_NET}{LIBRARY}"]
    done = subprocess.run(command, env=environment(1), stdout=subprocess.PIPE, text=True, check=True)
    (losses, logits), (expected_losses, expected_logits) = json.loads(done.stdout), small_net
    np.testing.assert_allclose(logits, expected_logits, atol=1e-5)
    np.testing.assert_allclose(losses, expected_losses, rtol=2e-3)
    assert losses[0] > losses[1] > losses[2]


def test_layers(torch, monkeypatch):
    from cpubench import layers

    layer = layers.Layer("small", 2, 3, 11, 4, 3, 2, 1)
    assert layer.out_size == 6 and layer.flops == 2 * 2 * 4 * 36 * 27
    expected = [run() for run in layers.torch_passes(layer, "torch float32 NCHW", 1)]
    theirs = expected[0], expected[1][0], expected[2][1]
    for side in (side for side in layers.SIDES if side.startswith("minicnn")):
        error = 0.05 if "bfloat16" in side else 1e-4
        for run, other in zip(layers.minicnn_passes(layer, side, 1), theirs, strict=True):
            ours = run()
            np.testing.assert_allclose(ours.astype(np.float32), other.numpy(), rtol=error, atol=error)
            assert (ours.dtype == "float32") == ("float32" in side or ours.shape == (4, 3, 3, 3))  # or of the weight
    assert layers.torch_passes(layer, "torch bfloat16 NCHW", 1)[0]().dtype == torch.bfloat16
    monkeypatch.setattr(layers, "LAYERS", [layer])
    monkeypatch.setattr(layers, "gemm_flops", lambda threads, repeats: 1e9)
    runs = {side: [layers.measure(side, 1, 2)] for side in ("minicnn float32 fast", "torch float32 NCHW")}
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


def test_rounding_is_that_of_the_algorithm_chosen():
    from cpubench import rounding

    cases = {rounding.Case(2, 64, 24, 64, 3): "winograd", rounding.Case(1, 16, 9, 16, 3, 2, 16): "depthwise"}
    for case, algorithm in {**cases, rounding.Linear(8, 32, 16): "product"}.items():
        (chosen, chosen16), float32, rounded, exact = rounding.rounding(case)
        assert chosen == algorithm and chosen16
        assert all(1e-8 < error < 1e-5 for error in float32)
        assert all(5e-4 < error < 1e-2 for error in exact)
        assert max(rounded) < (1e-5 if chosen16 == "winograd16" else 1e-6)


def test_errors_of_a_bfloat16_result_are_those_before_it_was_rounded():
    from cpubench.rounding import before_rounding

    from minicnn.precision import BFLOAT16

    result = np.array([1.0, -1.0, 1.0, 256.0, 0.0], BFLOAT16)  # bfloat16 numbers lie 2^-7 apart above 1, 2^-8 below
    exact = np.array([1 + 2.0**-8, -1 - 2.0**-8, 1 - 2.0**-7, 259.0, 0.0])
    assert before_rounding(result, exact).tolist() == [0, 0, 2.0**-7 - 2.0**-9, 2, 0]
    assert before_rounding(np.float32([1.5]), np.array([1.25])).tolist() == [0.25]


def test_functions_are_called_as_the_engine_calls_them():
    from cpubench.arrays import called

    from minicnn.ops import linear
    from minicnn.precision import BFLOAT16, narrow

    rng = np.random.default_rng(0)
    x, weight = rng.standard_normal((4, 8), np.float32), rng.standard_normal((3, 8), np.float32)
    for tier in ("plain", "fast"):
        y = called(linear.linear_forward, tier)(narrow(x), weight, None)
        exact = narrow(x).astype(np.float64) @ narrow(weight).astype(np.float64).T
        np.testing.assert_array_equal(y, exact.astype(np.float32).astype(BFLOAT16))
        assert called(linear.linear_forward, tier)(x, weight, None).dtype == np.float32
