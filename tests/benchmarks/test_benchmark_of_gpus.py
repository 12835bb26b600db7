"""benchmarks/two_gpus.py without GPUs: all of it runs on emulated ones, and a wrong result is one."""

import json

import mpi
import numpy as np
import pytest
from checks import needs_compiler
from gpu_benchmark import program
from paths import BENCHMARKS

TWO_GPUS = BENCHMARKS / "two_gpus.py"


@pytest.mark.slow
@needs_compiler
@mpi.skip_without_mpi
def test_everything_runs_on_emulated_gpus(tmp_path):
    ended = mpi.run(2, TWO_GPUS, "--tiny", "--out", tmp_path, timeout=240, MINICNN_EMULATE_GPU="1")
    assert ended.code == 0, str(ended)
    assert ended.out[0].startswith('{\n "minicnn": ') and ended.out[1] == ""  # versions first, by rank 0
    found = json.loads((tmp_path / "two_gpus_emulated_x2.json").read_text())
    assert len(found["collectives"]) == 62 and len(found["training"]) == 2
    assert all(row["ok"] for row in found["collectives"] + found["training"])
    assert found["training"][0]["error"] < 1e-12 and found["training"][0]["same_bits"]
    assert 1e-6 < found["training"][1]["error"] < 0.1, "bfloat16 rounds"
    assert len(found["bandwidth"]) == 2 and len(found["weak_scaling"]) == 2 and found["skipped"] == []
    assert not any(row["float32_ms"] for row in found["bandwidth"])  # nothing is timed


def test_a_wrong_sum_is_found(monkeypatch):
    sums = program("ncclbench.sums")
    monkeypatch.setenv("MINICNN_EMULATE_GPU", "1")
    rows = dict(sums.checks(tiny=True))  # on one rank, which has nobody to talk to
    assert rows["gather, float32 (3, 5)"]()["ok"]
    for wrong, method in ((lambda array: 2 * array[None], "gather"), (lambda array: array[0], "exchange")):
        monkeypatch.setattr(type(sums.world()), method, lambda self, array, wrong=wrong: wrong(array))
        assert not rows[f"{method}, float32 (3, 5)"]()["ok"]


def test_shares_of_a_step():
    """A step of 100 ms alone takes 110 with the others: of sums of 40 ms, 30 are hidden behind backward."""
    times = {"alone": 100, "float32": 110, "bfloat16": 100, "sums, float32": 40, "sums, bfloat16": 20}
    found = program("ncclbench.training").shares({name: [ms - 1, ms, ms + 1] for name, ms in times.items()})
    assert found["float32"] == pytest.approx(
        {"efficiency": 100 / 110, "not_hidden_ms": 10, "not_hidden": 10 / 110, "sums_hidden": 0.75}
    )
    assert found["bfloat16"]["efficiency"] == 1 and found["bfloat16"]["sums_hidden"] == 1


def test_bytes_on_the_bus(monkeypatch):
    """As nccl-tests count: 8 ranks, 1 GB in 10 ms is 100 GB/s, and 175 on the bus."""
    sums = program("ncclbench.sums")
    monkeypatch.setenv("MINICNN_EMULATE_GPU", "1")
    monkeypatch.setattr(sums, "together", lambda functions, seconds: {"float32": [9, 10, 11], "bfloat16": []})
    monkeypatch.setattr(type(sums.world()), "size", 8)
    row = sums.bandwidth(1_000, 1.0)
    assert row["float32_bus_gb_s"] == pytest.approx(1000 / 1e9 / 0.01 * 1.75) and "bfloat16_bus_gb_s" not in row
    assert np.isfinite(row["float32_bus_gb_s"])
