"""The mathematics, the clock and the table of benchmarks/gpu.py, on numbers that can be worked out by hand."""

import json
import math
import time

import numpy as np
import pytest
from gpu_benchmark import FakeEvents, part, result_of, table_rows

cases, checking, clock, report = map(part, ("cases", "checking", "clock", "report"))


# The mathematics


def test_medians_and_quartiles():
    rows = [{"name": "a", "ms": [5.0, 1.0, 2.0, 4.0, 3.0]}, {"name": "b", "ms": [7.0], "covered": False}]
    timed = report.timed([*rows, {"name": "emulated", "ms": []}, {"name": "late", "skipped": "no time left"}])
    assert list(timed) == ["a", "b"]
    assert (timed["a"]["quartiles"], timed["a"]["median"]) == ([2.0, 3.0, 4.0], 3.0)
    assert report.milliseconds(timed["a"]) == "3 (67 %)"
    assert report.milliseconds(timed["b"]) == "7 (0 %, with launching)"


def test_operations():
    assert {case.operations for case in cases.linears(2, 3, 4)} == {48, 0}
    # AlexNet's second convolution, its multiplications counted by hand: 27 x 27 positions of 192 filters of 64 x 5 x 5
    alexnet = cases.convolutions("", (128, 64, 27, 27), (192, 64, 5, 5), 1, 2)
    assert {case.operations for case in alexnet} == {2 * 128 * 729 * 192 * 1600, 0}
    two_groups = cases.convolutions("", (1, 4, 9, 9), (6, 2, 3, 3), groups=2)
    assert {case.operations for case in two_groups} == {2 * 49 * 6 * 18, 0}


def test_errors_are_of_the_worst_number():
    expected = np.array([4.0, -8.0, 0.0])
    assert checking.relative_error(np.array([4.0, -8.0, 0.0]), expected) == 0
    assert checking.relative_error(np.array([4.0, -8.0, 1.0], np.float32), expected) == pytest.approx(1 / 8)
    assert checking.relative_error(np.zeros(2) + 0.5, np.zeros(2)) == 0.5
    assert checking.relative_error(np.zeros((0, 3)), np.zeros((0, 3))) == 0


@pytest.mark.parametrize("value", [[4.0, math.nan, 0.0], [4.0, math.inf, 0.0], [4.0, -8.0], [[4.0, -8.0, 0.0]]])
def test_what_is_not_there_is_infinitely_wrong(value):
    assert checking.relative_error(np.array(value), np.array([4.0, -8.0, 0.0])) == math.inf


def test_integers_are_right_or_wrong():
    assert checking.relative_error(np.array([1, 2], np.int32), np.array([1, 2], np.uint8)) == 0
    assert checking.relative_error(np.array([1, 3], np.uint8), np.array([1, 2], np.uint8)) == math.inf


def test_the_cover_outlasts_the_launching():
    assert clock.covers(launch_ms=0.0, cover_ms=0.25) == 1
    assert clock.covers(launch_ms=0.3, cover_ms=0.25) == 3
    assert clock.covers(launch_ms=99.0, cover_ms=0.25) == clock.MOST_COVERS


def test_as_many_samples_as_fit():
    assert clock.how_many(0.4, each_ms=20.0) == 20
    assert clock.how_many(0.4, each_ms=500.0) == 7
    assert clock.how_many(0.4, each_ms=0.1) == 40


# The clock


def test_samples_are_of_the_function_alone_behind_a_cover():
    events = FakeEvents()
    sampled = events.clock().samples(events.work, 0.1)
    ms = sampled["ms"]
    assert ms == [3.0] * len(ms) and clock.FEWEST <= len(ms) <= clock.MOST
    assert sampled["covered"] and sampled["launch_us"] > 0 and events.covers >= len(ms)


def test_steps_are_from_end_to_end():
    events = FakeEvents()
    ms = events.clock().steps(events.work, 1.0)["ms"]
    assert ms == [3.0] * len(ms) and len(ms) >= clock.FEWEST and events.covers == 0


def test_launching_that_outlasts_the_cover_is_told():
    events = FakeEvents()
    assert events.clock().samples(lambda: time.sleep(0.2), 0.1)["covered"] is False


# The table


def times(name, ms, **rest):
    return {"name": name, "ms": ms, "launch_us": 20.0, "covered": True, "bytes": 0, "operations": 0, **rest}


def test_shares_of_the_copy_and_of_cublas():
    ours = [
        times("copy", [1.0, 1.0, 1.0], bytes=4e9),
        times("relu, x", [2.0, 2.0, 2.0], bytes=4e9),
        times("conv, y", [4.0, 4.0, 4.0], operations=40e9, like="conv, y"),
    ]
    rival = [
        times(f"conv, {layout} {precision}", [ms] * 3, like="conv, y", precision=precision)
        for layout, precision, ms in (("a", "fp32", 3.0), ("b", "fp32", 2.0), ("a", "TF32", 0.5), ("b", "TF32", 1.0))
    ]
    numba = [times("relu, x", [5.0] * 3, bytes=4e9), times("conv, y", [16.0] * 3, operations=40e9, like="conv, y")]
    text = report.table(result_of(time_cuda=ours, time_torch=rival, time_numba=numba))
    assert table_rows(text, "Bound by memory") == [
        ["copy", "1 (0 %)", "4000", "100 %", "20", "-", "-", "-"],
        ["relu, x", "2 (0 %)", "2000", "50 %", "20", "5 (0 %)", "20", "0.40"],
    ]
    assert table_rows(text, "Bound by arithmetic") == [
        ["conv, y", "4 (0 %)", "10.0", "50 %", "12 %", "-", "16 (0 %)", "20", "0.25"],
    ]


def test_training_steps_beside_one_another():
    steps = {"network": "alexnet", "batch": 128, "precision": "TF32", "first_loss": 6.9, "last_loss": 6.5}
    ours = times("alexnet, batch 128, minicnn", [4.0] * 3, **steps, peak_bytes=3 << 20, pool_bytes=5 << 20)
    theirs = times("alexnet, batch 128, PyTorch", [2.0] * 3, **steps, peak_bytes=2 << 20, pool_bytes=4 << 20)
    text = report.table(result_of(steps_minicnn=[ours], steps_torch=[theirs]))
    assert table_rows(text, "Training steps") == [
        ["alexnet, batch 128, minicnn", "4 (0 %)", "32000", "100 %", "3", "5", "6.900 to 6.500"],
        ["alexnet, batch 128, PyTorch", "2 (0 %)", "64000", "50 %", "2", "4", "6.900 to 6.500"],
    ]


def test_the_table_names_what_is_wrong_and_what_is_missing():
    right = {"dtype": "float32", "ok": True, "error": 1e-7, "tolerance": 1e-4, "repeats": True, "faults": []}
    rows = [
        {"name": "relu, 3", **right},
        {"name": "conv, 3", **right, "ok": False, "error": 0.5, "faults": ["error 5e-01"]},
        {"name": "tanh, 3", "skipped": "no time left"},
    ]
    result = result_of(check_cuda=rows)
    text = report.table(result)
    assert [row[:2] for row in table_rows(text, "Correctness")] == [
        ["relu", "1e-07"],
        ["conv", "**WRONG** in 1 of 1: error 5e-01"],
    ]
    assert "- check_cuda: no time left: tanh, 3" in text
    assert report.wrong(result["sections"]) and not report.wrong(result_of(check_cuda=rows[:1])["sections"])


def test_the_table_has_the_name_of_the_gpu():
    gpu = {"name": "gpu", "missing": "nvidia-smi"}, {"name": "pytorch", "torch": "2.9", "gpu_name": "NVIDIA H200"}
    done = result_of(machine=list(gpu))["sections"]
    assert report.gpu_name(done) == "NVIDIA H200" and report.gpu_name([]) is None
    assert "# benchmarks/gpu.py: NVIDIA H200" in report.table(result_of(machine=list(gpu)))


def test_what_is_no_number_is_a_text_in_json():
    text = part("run").as_json({"error": math.inf, "rows": [{"loss": math.nan}, {"loss": 1.5}], "ok": False})
    assert json.loads(text) == {"error": "inf", "rows": [{"loss": "nan"}, {"loss": 1.5}], "ok": False}
