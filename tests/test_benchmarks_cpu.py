"""benchmarks/cpu.py: both sides do the same work, the tables say what the figures say, and every part runs."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


@pytest.fixture(autouse=True)
def on_path(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def worker(**settings):
    command = [sys.executable, str(BENCHMARKS / "cpubench" / "worker.py"), json.dumps(settings)]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)


@pytest.mark.parametrize("task", ["train", "infer"])
def test_each_side_times_its_steps(torchvision, task):
    common = {"model": "resnet18", "batch_size": 2, "threads": 1, "task": task, "steps": 2}
    for side in ("minicnn fast", "torch channels-last"):
        run = worker(side=side, **common)
        assert len(run["seconds"]) == 2 and min(run["seconds"]) > 0 and run["peak_mib"] > 50
        assert np.isfinite(run["result"]) and run["versions"]


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
    from cpubench.scaling import expected_mib

    one, two = expected_mib(18, 1), expected_mib(18, 2)
    assert 2 * one - two == pytest.approx(12 * 11_689_512 / 2**20)  # nothing but the parameters is left
    assert two - one == pytest.approx(2 * 4 * 2.48e6 / 2**20, rel=0.01)  # timm counts 2.48 M outputs of convolutions


def test_scaling_draws_and_writes(monkeypatch, tmp_path, capsys):
    from cpubench import scaling

    monkeypatch.setattr(
        scaling, "run_one", lambda side, **settings: {"seconds": [1.0], "peak_mib": settings["batch_size"]}
    )
    monkeypatch.setattr(scaling, "expected_mib", lambda depth, batch_size: float(depth * batch_size))
    scaling.scale(SimpleNamespace(threads=1, steps=1, out=tmp_path))
    assert (tmp_path / "scaling.png").stat().st_size > 10_000
    written = json.loads((tmp_path / "scaling_t1.json").read_text())
    assert written["by_batch"][-1] == [128.0, 128] and len(written["by_depth"]) == 5
    assert "each picture of resnet18 takes 1.0 MiB" in capsys.readouterr().out
