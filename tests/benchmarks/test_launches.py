"""What a training step asks of a GPU does not grow: the table of benchmarks/launches.py, counted again.

Where a figure has fallen, the table is written anew and committed with the change that did it:

    python benchmarks/launches.py --out benchmarks/results
"""

import json
import subprocess
import sys

import numpy as np
import pytest
from checks import PYTHON_GPU, raises
from gpu_benchmark import program
from paths import BENCHMARKS

from minicnn import Tensor
from minicnn import functional as F
from minicnn.device import DeviceError, copy_to_host, full, to_device
from minicnn.emulated import on_device
from minicnn.kernels.arguments import empty
from minicnn.kernels.cuda.counting import counting

pytestmark = pytest.mark.emulator

launches = program("launches")
HELD = json.loads((BENCHMARKS / "results" / "launches.json").read_text(encoding="utf-8"))
LONG = ("alexnet", "resnet18")  # 60 million weights; the blocks of ResNet-20
NETWORKS = [pytest.param(name, marks=pytest.mark.slow if name.startswith(LONG) else []) for name in HELD]
FIGURES = ("launches", "waits", "uploads", "uploaded_bytes", "array_mb", "grown")
MOST_LAUNCHES = {"resnet50 float32": 450, "resnet50 bfloat16": 455}  # of a step, all told


@pytest.fixture(autouse=True)
def emulated(monkeypatch):
    monkeypatch.setenv("MINICNN_EMULATE_GPU", "1")


def all_told(row):
    """A row in which it is the same whether a launch is ours or the array library's."""
    return {**row, "launches": row["launches"] + row["library"]}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_step_asks_no_more_than_it_did(name):
    found, held = (all_told(row) for row in (launches.counted(*name.split()), HELD[name]))
    grown = {what: (found[what], held[what]) for what in FIGURES if found[what] > held[what]}
    assert not grown, f"{name}: {{what: (now, held)}} {grown}; by kernel {found['kernels']}, held {held['kernels']}"
    assert found["waits"] == 1 and found["grown"] == 0
    assert found["launches"] <= MOST_LAUNCHES.get(name, found["launches"])


def test_the_table_has_every_network_in_every_precision():
    names = [f"{network} {precision}" for network in launches.NETWORKS for precision in launches.PRECISIONS]
    assert list(HELD) == names
    for row in HELD.values():
        assert row["launches"] + row["library"] == sum(row["kernels"].values())


def test_what_python_takes_for_a_launch_is_measured(tmp_path):
    command = [sys.executable, str(BENCHMARKS / "launch_cost.py"), "--rounds", "3", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    rows = json.loads((tmp_path / "launch_cost.json").read_text(encoding="utf-8"))["microseconds"]
    assert "batch_norm_forward" in done.stdout and rows["relu_forward"]["arguments"] == 3
    assert all(0 < row["cupy"] < row["ours"] < 1000 for row in rows.values())


# What is counted


def test_kernels_and_calls_of_the_array_library():
    x = to_device(np.ones((2, 3), np.float32), "cuda")
    with counting(execute=False) as counts:
        F.relu(Tensor(x))
        x + 1, x.sum(), np.concatenate([x, x]), x.copy(), x.astype("float64"), x.T.reshape(-1), x[np.array([0])]
        x[...] = 0
        x *= 2
        full(x, (2,), 1)
    assert counts.launches == {"relu_forward<float>": 1}
    assert counts.library == {
        "add": 2, "concatenate": 1, "copy": 1, "astype": 1, "reshape": 1, "index": 1, "assignment": 1, "multiply": 1,
        "full": 1,
    }  # fmt: skip
    assert counts.all_launches == 11 and counts.arrays == 9  # all but the assignment and the multiplication in place
    assert (x == 0).all()  # relu was not executed, the array library was


def test_what_is_no_launch():
    with counting() as counts:
        x = to_device(np.ones((2, 3), np.float32), "cuda")
        counts.reset()
        x.T, x[0], x[:, 1:], x.reshape(3, 2), np.broadcast_to(x, (4, 2, 3)), np.empty_like(x), np.shape(x)
        np.may_share_memory(x, x), np.expand_dims(x, 0), empty(x, (5,))
        F.relu(Tensor(x))
        x.astype("float32", copy=False)
        assert counts.arrays == 3  # of empty_like, empty and relu
    assert counts.library == {} and counts.launches == {"relu_forward<float>": 1}


def test_kernels_run_unless_told_not_to():
    with counting() as counts:
        y = F.relu(Tensor(to_device(np.array([-1.0, 2.0], np.float32), "cuda"))).numpy()
    assert y.tolist() == [0, 2] and counts.launches.total() == 1


def test_numbas_kernels_are_counted_too():
    with PYTHON_GPU.active(), counting(execute=False) as counts:
        F.relu(Tensor(to_device(np.ones(3, np.float32), "cuda")))
    assert counts.launches == {"relu_forward_kernel": 1}


def test_copies_and_waits():
    with counting() as counts:
        x = to_device(np.ones(8, np.float32), "cuda")
        to_device(x, "cuda")
        assert (counts.uploads, counts.uploaded_bytes, counts.waits) == (1, 32, 0)
        copy_to_host(x)
        assert (counts.waits, counts.bytes_to_host) == (1, 32)
        to_device(x, "cpu")  # and the marks of labels with it
        assert counts.waits == 2 and counts.bytes_to_host >= 64
        for wait in (float, int, bool, type(x).item, type(x).tolist):
            before = counts.waits
            wait(x[0])
            assert counts.waits == before + 1
        before = counts.waits
        x[x > 0]  # how many are there?
        assert counts.waits == before + 1
        counts.reset()
        assert (counts.waits, counts.uploads, counts.bytes_to_host, counts.uploaded_bytes) == (0, 0, 0, 0)


def test_memory():
    with counting() as counts:
        kept = [on_device(np.empty(1000, np.uint8)) for _ in range(3)]
        view = kept[0][10:]
        assert (counts.arrays, counts.array_bytes, counts.grown) == (3, 3000, 3000)
        counts.reset()
        del kept[1:]
        kept.append(empty(view, (2000,)))
        assert (counts.arrays, counts.array_bytes, counts.grown) == (1, 2000, 0)
        kept.append(view.copy())
        assert counts.grown == 990 and counts.arrays == 2
        counts.reset()
        kept.clear()
        more = empty(view, (2990,))  # the first array lives on in its view
        assert counts.grown == 0 and more.nbytes == 2990
        empty(view, (1001,))
        assert counts.grown == 1001


def test_counting_ends_with_the_block():
    x = to_device(np.ones(3, np.float32), "cuda")
    with counting() as outer:
        with counting() as inner:
            x + 1
        x * 1
    x - 1
    assert inner.library == {"add": 1} and outer.library == {"multiply": 1}


def test_on_a_gpu_nothing_is_counted(monkeypatch):
    monkeypatch.delenv("MINICNN_EMULATE_GPU")
    with raises(DeviceError, "counting", "MINICNN_EMULATE_GPU=1"), counting():
        pass
