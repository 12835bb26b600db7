"""What the emulator counts while a kernel runs, against what the record of each access says afterwards."""

from pathlib import Path

import numpy as np
import pytest
from checks import needs_compiler, raises

from minicnn.device import DeviceError
from minicnn.emulated import on_device
from minicnn.kernels.cuda.emulator.counting import counting
from minicnn.kernels.cuda.emulator.recording import loaded_bytes, recording, requests, sectors, turns
from minicnn.kernels.cuda.launch import Kernel
from minicnn.kernels.cuda.matmul import multiply

pytestmark = [needs_compiler, pytest.mark.emulator]

FILE = Path(__file__).with_name("kernels_recorded.cu")


@pytest.fixture(autouse=True)
def _emulated(monkeypatch):
    monkeypatch.setenv("MINICNN_EMULATE_GPU", "1")


def zeros(size, dtype=np.float32):
    return on_device(np.zeros(size, dtype))


def rows(counts, *, shared, write):
    return counts.accesses[(counts.accesses["shared"] == shared) & (counts.accesses["write"] == write)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("stride, first", [(0, 9), (1, 0), (1, 1), (2, 0), (3, 5), (8, 0), (100, 0)])
def test_requests_and_sectors(dtype, stride, first):
    def launch():
        Kernel(FILE, "gather")[2, 48](zeros(9600, dtype), zeros(96, dtype), stride, first)

    with recording() as recorded:
        launch()
    with counting() as counted:
        launch()
    reads = recorded[0].reads("x")
    (counts,) = rows(counted[0], shared=0, write=0)
    assert counts["requests"] == len(np.unique(requests(reads))) == 4 and counts["lanes"] == 96
    assert counts["pieces"] == sectors(reads)
    wanted = [np.unique(reads["offset"][requests(reads) == r]) for r in np.unique(requests(reads))]
    assert counts["least"] == sum(-(-len(offsets) * np.dtype(dtype).itemsize // 32) for offsets in wanted)
    assert counts["bytes"] == 96 * np.dtype(dtype).itemsize
    touched = np.unique(np.concatenate([reads["offset"] // 32, (reads["offset"] + reads["bytes"] - 1) // 32]))
    assert counted[0].sectors["x"][:2] == (len(touched), 0)
    assert counted[0].sectors["y"][:2] == (0, 96 * np.dtype(dtype).itemsize // 32)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("pitch", [0, 1, 2, 5, 16, 32, 33])
def test_wavefronts(dtype, pitch):
    def launch():
        Kernel(FILE, "through_shared")[1, 32](zeros(1056, dtype), zeros(32, dtype), pitch, 1)

    with recording() as recorded:
        launch()
    with counting() as counted:
        launch()
    reads = rows(counted[0], shared=1, write=0)
    assert reads["pieces"].sum() == turns(recorded[0].reads("tile"))
    assert reads["least"].sum() == 2 * np.dtype(dtype).itemsize // 4  # two reads
    assert reads["worst"].max() == turns(recorded[0].reads("tile")) / 2
    assert rows(counted[0], shared=1, write=1)["pieces"].sum() == turns(recorded[0].writes("tile"))


def test_what_a_thread_reads_again_is_in_a_register_up_to_the_next_barrier():
    for again in (1, 5):
        with counting() as counted:
            Kernel(FILE, "through_shared")[1, 64](zeros(1056), zeros(64), 1, again)
        reads = rows(counted[0], shared=1, write=0)
        assert reads["requests"].sum() == 2 * 2  # two warps
        assert reads["kept"].sum() == 2 * (again - 1)


def test_atomics_and_asynchronous_copies():
    with counting() as counted:
        Kernel(FILE, "sum_up")[1, 8](zeros(8), zeros(1))
        Kernel(FILE, "copied_ahead")[1, 32](zeros(128), zeros(32))
    atomic, copied = counted
    assert rows(atomic, shared=0, write=1)["requests"].sum() == 1
    assert rows(copied, shared=0, write=0)["pieces"].sum() == 16
    assert rows(copied, shared=1, write=1)["pieces"].sum() == 4


def test_rungs_of_matmul_read_what_their_records_say():
    a, b = zeros((64, 16)), zeros((16, 64))
    for rung in ("matmul_naive", "matmul_register", "matmul_double"):
        with recording() as recorded:
            multiply(a, b, kernel=rung)
        with counting() as counted:
            multiply(a, b, kernel=rung)
        assert rows(counted[0], shared=0, write=0)["pieces"].sum() == sum(sectors(recorded[0].reads(x)) for x in "ab")
        loaded = sum(loaded_bytes(recorded[0].reads(name)) for name in recorded[0].names if "tile" in name)
        assert rows(counted[0], shared=1, write=0)["bytes"].sum() == loaded


def test_nothing_is_counted_outside_and_on_a_gpu(monkeypatch):
    with counting() as launches:
        pass
    Kernel(FILE, "gather")[1, 1](zeros(1), zeros(1), 1, 0)
    assert launches == []
    monkeypatch.delenv("MINICNN_EMULATE_GPU")
    with raises(DeviceError, "counting", "MINICNN_EMULATE_GPU=1"), counting():
        pass
