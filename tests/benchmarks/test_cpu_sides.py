"""The sides of benchmarks/cpu.py: what each computes, in turns, and which are left out."""

import argparse
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from paths import BENCHMARKS


@pytest.fixture(autouse=True)
def on_path(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))


SMALL = {"model": "resnet18", "size": 32, "batch_size": 2, "threads": 1, "steps": 2}


def sides_of(*words, task="train"):
    from cpubench.sides import chosen

    return chosen(words, task)


def test_sides_are_chosen_by_words_of_their_names():
    assert sides_of("minicnn fast") == ["minicnn float32 fast", "minicnn bfloat16 fast"]
    assert sides_of("bfloat16 torch compiled") == [
        "torch bfloat16 NCHW compiled",
        "torch bfloat16 channels-last compiled",
    ]
    assert sides_of("fused") == [] and sides_of("fused", task="infer")[1] == "minicnn bfloat16 fused"
    assert sides_of("onnxruntime", "jax") == ["jax float32"]  # onnxruntime does not train
    assert sides_of("onnxruntime", "jax", task="infer") == ["onnxruntime float32", "jax float32"]
    assert len([side for side in sides_of("") if side.startswith("torch")]) == 8


@pytest.mark.slow
@pytest.mark.parametrize("task", ["train", "infer"])
def test_each_side_times_its_steps(torchvision, task):
    from cpubench.sides import there_is
    from cpubench.turns import run_one

    results = {}
    sides = [side for side in sides_of("minicnn", "torch", task=task) if "compiled" not in side]
    sides.append("torch bfloat16 channels-last compiled")
    if task == "infer" and there_is("onnxruntime") and there_is("onnx"):
        sides.append("onnxruntime float32")
    for side in sides:
        run = run_one(side, task=task, **SMALL)
        assert len(run["seconds"]) == 2 and min(run["seconds"]) > 0 and run["peak_mib"] > run["library_mib"] > 20
        results[side] = run["result"]
    assert all(np.isfinite(result) for result in results.values())
    if task == "infer":  # several steps of training on two pictures multiply every rounding
        pytorch = [result for side, result in results.items() if side.startswith("torch")]
        assert pytorch == pytest.approx([pytorch[0]] * 5, rel=0.05)  # of one seed


def test_pytorch_computes_in_the_precision_that_is_asked_for(torchvision):
    from cpubench import torch_side

    def result(precision, layout, task="infer"):
        settings = {**SMALL, "task": task}
        return torch_side.prepare(settings, precision=precision, layout=layout, compiled=False)()

    exact = result("float32", "NCHW")
    rounded = result("bfloat16", "NCHW")
    assert result("float32", "channels-last") == pytest.approx(exact, rel=1e-4)
    assert rounded != pytest.approx(exact, rel=1e-4) and rounded == pytest.approx(exact, rel=0.05)
    exact, rounded = result("float32", "NCHW", "train"), result("bfloat16", "channels-last", "train")  # a first loss
    assert rounded != pytest.approx(exact, rel=1e-4) and rounded == pytest.approx(exact, rel=0.05)


@pytest.mark.slow
def test_minicnn_computes_in_the_precision_that_is_asked_for():
    from cpubench.turns import run_one

    sides = "minicnn float32 plain", "minicnn float32 fused", "minicnn bfloat16 fused"
    exact, fused, rounded = (run_one(side, task="infer", **SMALL)["result"] for side in sides)
    assert fused == pytest.approx(exact, rel=1e-4)
    assert rounded != pytest.approx(exact, rel=1e-4) and rounded == pytest.approx(exact, rel=0.05)


@pytest.mark.slow
def test_a_compiler_that_is_missing_leaves_a_side_out(torchvision, monkeypatch, tmp_path):
    from cpubench.turns import take_turns

    monkeypatch.setenv("CXX", str(tmp_path / "no-compiler"))
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "nothing-compiled-yet"))
    sides = ["torch float32 NCHW", "torch float32 NCHW compiled"]
    runs, left_out = take_turns(sides, 1, 100.0, {}, task="infer", **SMALL)
    assert list(runs) == sides[:1] and left_out[sides[1]].startswith("torch.compile: ")


@pytest.mark.slow
def test_onnxruntime_predicts_what_pytorch_does(torchvision, monkeypatch, tmp_path):
    from cpubench.turns import run_one

    for library in ("onnx", "onnxruntime"):
        pytest.importorskip(library, reason=f"{library}, which the benchmark uses where there is one, is not installed")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    run = run_one("onnxruntime float32", task="infer", **SMALL)
    theirs = run_one("torch float32 NCHW", task="infer", **SMALL)
    assert run["result"] == pytest.approx(theirs["result"], rel=1e-4)  # the same seed made their weights
    assert [path.name for path in tmp_path.glob("*/*")] == ["resnet18_2x3x32x32.onnx"]
    assert run["peak_mib"] < theirs["peak_mib"]  # the exporter's memory was another process's


@pytest.mark.slow
def test_settings_that_speed_depends_on_are_recorded(torchvision, monkeypatch):
    from cpubench.turns import settings_of

    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    found = settings_of(["minicnn float32 fast", "torch float32 NCHW"], {}, 1)
    assert list(found) == ["minicnn", "torch"]
    assert found["minicnn"]["threads"] == "1" and found["minicnn"]["unit"]
    torch = found["torch"]
    assert "at::get_num_threads() : 1" in torch["parallel_info"] and "Build settings" in torch["config"]
    assert torch["ONEDNN_MAX_CPU_ISA"] == "AVX2"
    if torch["oneDNN"] == "on":
        assert "isa:Intel AVX2" in torch["oneDNN says"] and "convolution_direct" in torch["oneDNN says"]


def test_what_a_compiler_needed_is_not_a_steps_memory():
    from cpubench import worker

    if not worker.FORGET.exists():
        pytest.skip("only Linux can forget the peak of a process's memory")
    np.ones(25_000_000)  # 191 MiB, given back at once
    before = worker.resident_mib("VmHWM")
    worker.forget_peak()
    after = worker.resident_mib("VmHWM")
    assert after < before - 150 and after >= worker.resident_mib("VmRSS") - 1


def test_a_slow_side_has_fewer_steps(monkeypatch):
    from cpubench import worker

    calls = []
    module = SimpleNamespace(prepare=lambda settings, **options: lambda: calls.append(options) or len(calls))
    monkeypatch.setattr(worker.importlib, "import_module", lambda *name: module)
    settings = {"side": "minicnn bfloat16 plain", "steps": 3}
    run = worker.timed({**settings, "limit": 100})
    assert len(run["seconds"]) == 3 and run["result"] == len(calls) == worker.UNTIMED + 3
    assert calls[0] == {"precision": "bfloat16", "way": "plain"}
    calls.clear()
    run = worker.timed({**settings, "limit": 0})
    assert len(run["seconds"]) == 1 and len(calls) == 2  # the first is never timed


def turns_of(monkeypatch, seconds, limit=1000.0, pythons={}, rounds=3):  # noqa: B006  (nobody changes it)
    """take_turns of sides that take so many seconds each, or fail; and the calls."""
    from cpubench import turns

    clock, calls = [0.0], []

    def run_one(side, python, limit, **settings):
        calls.append((side, python, limit))
        if isinstance(seconds[side], Exception):
            raise seconds[side]
        if isinstance(seconds[side], str):
            return {"left_out": seconds[side]}
        clock[0] += seconds[side]
        return {"seconds": [seconds[side]]}

    monkeypatch.setattr(turns, "run_one", run_one)
    monkeypatch.setattr(turns.time, "perf_counter", lambda: clock[0])
    return (*turns.take_turns(list(seconds), rounds, limit, pythons, steps=5), calls)


def test_a_slow_side_has_fewer_turns(monkeypatch):
    quick, slow = "minicnn float32 fast", "chainer float32"
    seconds, pythons = {quick: 1.0, slow: 7.0}, {"chainer": "old/python"}
    runs, left_out, calls = turns_of(monkeypatch, seconds, 10.0, pythons)
    assert runs == {quick: [{"seconds": [1.0]}] * 3, slow: [{"seconds": [7.0]}] * 2} and left_out == {}
    assert [limit for side, _, limit in calls if side == slow] == [10 / 3, 3 / 2]  # what is left, for what is left
    assert {side: python for side, python, _ in calls} == {quick: sys.executable, slow: "old/python"}


def test_ways_of_pytorch_that_are_far_behind_have_one_turn(monkeypatch):
    seconds = {"torch float32 NCHW": 1.2, "torch float32 channels-last": 1.0, "torch float32 NCHW compiled": 1.3}
    seconds |= {"torch bfloat16 NCHW": 3.0, "minicnn float32 plain": 9.0}
    runs, _, _ = turns_of(monkeypatch, seconds)
    assert [len(runs[side]) for side in seconds] == [3, 3, 1, 3, 3]


def test_a_side_that_cannot_run_loses_nothing_of_the_others(monkeypatch):
    failed = subprocess.CalledProcessError(-9, "python")
    seconds = {"minicnn float32 fast": 1.0, "torch float32 NCHW compiled": "no compiler", "jax float32": failed}
    runs, left_out, calls = turns_of(monkeypatch, seconds)
    assert list(runs) == ["minicnn float32 fast"] and len(calls) == 3 + 2
    assert left_out == {
        "torch float32 NCHW compiled": "no compiler",
        "jax float32": "its process ended with status -9",
    }


def test_sides_can_be_left_out_by_words_of_their_names(monkeypatch, tmp_path):
    import cpu

    asked = []
    monkeypatch.setattr(cpu, "settings_of", lambda sides, pythons, threads: asked.extend(sides) or {})
    monkeypatch.setattr(cpu, "take_turns", lambda *args, **settings: ({}, {}))
    words = ["steps", "--sides", "minicnn", "torch", "--without", "plain", "NCHW compiled", "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["cpu.py", *words])
    monkeypatch.setattr(cpu, "there_is", lambda library: True)
    cpu.main()
    assert "torch float32 NCHW" in asked and "torch bfloat16 channels-last compiled" in asked and len(asked) == 2 + 6
    assert not [side for side in asked if "plain" in side or "NCHW compiled" in side]


def test_another_interpreter_is_named_with_its_library():
    import cpu

    assert cpu.library_and_path("chainer=old/bin/python") == ("chainer", "old/bin/python")
    for text in ("chainer", "theano=old/bin/python"):
        with pytest.raises(argparse.ArgumentTypeError, match=f"expected LIBRARY=PATH .* got '{text}'"):
            cpu.library_and_path(text)
    words = "no side has the words 'minicnn slow' .* minicnn float32 fast"
    with pytest.raises(argparse.ArgumentTypeError, match=words):
        cpu.known_words("minicnn slow")
