"""The table of benchmarks/ranks.py, on numbers that can be worked out by hand, and what it takes for waiting."""

import json
import time

import numpy as np
import pytest
from paths import ROOT
from programs import load_example

from minicnn.distributed import World

ranks = load_example(ROOT / "benchmarks" / "ranks.py")


def test_ratios_are_those_of_each_turn():
    def run(*seconds, waiting=0.0):
        return {"batch": 8, "seconds": list(seconds), "waiting": [waiting] * len(seconds)}

    ways = [(2, 1), (1, 2), (1, 1)]
    runs = {
        (2, 1): [run(1.0, 1.0, waiting=0.25), run(4.0, 4.0, waiting=1.0)],
        (1, 2): [run(2.0, 2.0), run(2.0, 2.0)],
        (1, 1): [run(4.0, 4.0), run(4.0, 4.0)],
    }
    two, one, slow = ranks.table("net", runs, ways)
    assert two == "| net, batch 8 | 2 x 1 | 3.2 | 1.25 (0.50 to 2.00) | 25% |"
    assert one == "| net, batch 8 | 1 x 2 | 4.0 | 1 | 0% |"
    assert slow == "| net, batch 8 | 1 x 1 | 2.0 | 0.50 (0.50 to 0.50) | 0% |"


@pytest.mark.parametrize("network", ["resnet18", "resnet20", "alexnet"])
def test_the_table_of_the_documents_is_of_the_raw_figures(network):
    raw = json.loads((ROOT / "benchmarks" / "results" / "ranks" / f"{network}.json").read_text())
    runs = {tuple(map(int, way.split(" x "))): of_way for way, of_way in raw["runs"].items()}
    page = (ROOT / "docs" / "scale.md").read_text(encoding="utf-8").splitlines()
    assert [line for line in ranks.table(network, runs, list(runs)) if line not in page] == []


def test_the_time_of_the_ranks_methods_is_waiting():
    class Slow(World):
        def sum(self, array):
            time.sleep(0.02)
            return 2 * array

    timed = ranks.Timed(Slow())
    assert timed.sum(np.ones(2)).tolist() == [2, 2]
    assert 0.02 <= timed.waited < 1
    before = timed.waited
    timed.start_sum(np.ones(2)).wait()
    assert timed.waited > before


@pytest.mark.slow
def test_it_measures(tmp_path, capsys, monkeypatch):
    pytest.importorskip("mpi4py", reason="mpi4py is not installed")
    monkeypatch.setattr("sys.argv", ["ranks.py", "--networks", "resnet20", "--batch-size", "4", "--steps", "1",
                                     "--rounds", "1", "--out", str(tmp_path)])  # fmt: skip
    ranks.main()
    assert capsys.readouterr().out.count("| resnet20, batch 4 |") == 3
    assert (tmp_path / "resnet20.json").stat().st_size > 0
