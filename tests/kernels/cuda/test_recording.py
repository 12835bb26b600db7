"""What the emulator records of a launch, and what is counted in it, against figures worked out by hand."""

import os
from pathlib import Path

import numpy as np
import pytest
from checks import needs_compiler, raises

from minicnn.device import DeviceError, KernelError
from minicnn.emulated import on_device
from minicnn.kernels.cuda import conv
from minicnn.kernels.cuda.emulator import recording as record
from minicnn.kernels.cuda.emulator.recording import loaded_bytes, recording, requests, sectors, turns
from minicnn.kernels.cuda.launch import Kernel
from minicnn.kernels.cuda.matmul import LADDER, multiply

pytestmark = [needs_compiler, pytest.mark.emulator]

FILE = Path(__file__).with_name("kernels_recorded.cu")


@pytest.fixture
def launched(monkeypatch):
    """launched(name, grid, block, *arguments) -> its record."""
    monkeypatch.setenv("MINICNN_EMULATE_GPU", "1")

    def launched(name, grid, block, *arguments):
        with recording() as launches:
            Kernel(FILE, name)[grid, block](*arguments)
        (launch,) = launches
        return launch

    return launched


def zeros(size, dtype=np.float32):
    return on_device(np.zeros(size, dtype))


def test_every_access_of_every_thread(launched):
    launch = launched("gather", 2, 48, zeros(96 * 3 + 5), zeros(96), 3, 5)
    assert (launch.kernel, launch.grid, launch.block) == ("gather", (2, 1, 1), (48, 1, 1))
    reads, writes = launch.reads("x"), launch.writes("y")
    assert launch.names == ["y", "x"] and not len(launch.writes("x")) and not len(launch.reads("y"))
    np.testing.assert_array_equal(reads["offset"], 4 * (5 + 3 * np.arange(96)))
    np.testing.assert_array_equal(writes["offset"], 4 * np.arange(96))
    np.testing.assert_array_equal(reads["thread"], np.tile(np.arange(48), 2))
    np.testing.assert_array_equal(reads["block"], np.repeat([0, 1], 48))
    assert len(np.unique(requests(reads))) == 4  # of 32 and 16 threads, twice


@pytest.mark.parametrize(
    "dtype, stride, first, expected",
    [
        (np.float32, 0, 9, 1),  # all of one number
        (np.float32, 1, 0, 4),  # 32 numbers of 4 bytes
        (np.float32, 1, 1, 5),  # which begin within a sector
        (np.float32, 2, 0, 8),
        (np.float32, 8, 0, 32),  # a sector for each
        (np.float32, 100, 0, 32),
        (np.float64, 1, 0, 8),
    ],
)
def test_sectors_of_one_warp(launched, dtype, stride, first, expected):
    launch = launched("gather", 1, 32, zeros(3200, dtype), zeros(32, dtype), stride, first)
    assert sectors(launch.reads("x")) == expected


@pytest.mark.parametrize(
    "dtype, pitch, expected",
    [
        (np.float32, 0, 1),  # one word for all
        (np.float32, 1, 1),
        (np.float32, 2, 2),
        (np.float32, 32, 32),  # all of one bank
        (np.float32, 33, 1),
        (np.float64, 0, 2),  # two halves of a warp
        (np.float64, 1, 2),
        (np.float64, 2, 4),
        (np.float64, 16, 32),
    ],
)
def test_turns_of_one_warp(launched, dtype, pitch, expected):
    launch = launched("through_shared", 1, 32, zeros(1056, dtype), zeros(32, dtype), pitch, 1)
    assert turns(launch.reads("tile")) == 2 * expected  # two reads
    assert turns(launch.writes("tile")) == 33 * (np.dtype(dtype).itemsize // 4)


def test_what_a_thread_reads_again_is_in_a_register_up_to_the_next_barrier(launched):
    for again in (1, 5):
        launch = launched("through_shared", 1, 64, zeros(1056), zeros(64), 1, again)
        assert loaded_bytes(launch.reads("tile")) == 64 * 2 * 4
        assert loaded_bytes(launch.writes("tile")) == 1056 * 4


def test_an_atomic_is_a_write(launched):
    launch = launched("sum_up", 1, 8, zeros(8), zeros(1))
    assert len(launch.writes("y")) == 8 and not len(launch.reads("y"))


def test_an_asynchronous_copy_reads_and_writes_once(launched):
    launch = launched("copied_ahead", 1, 32, zeros(128), zeros(32))
    for rows in (launch.reads("x"), launch.writes("tile")):
        np.testing.assert_array_equal(rows["offset"], 16 * np.arange(32))
        assert set(rows["bytes"]) == {16}
    assert sectors(launch.reads("x")) == 16 and turns(launch.writes("tile")) == 4


# kernel: bytes of global memory that requests fetch, bytes that threads load from shared memory, for a multiply-add
TABLE = {
    "matmul_naive": (16 + 1, 0),
    "matmul_coalesced": (1 + 4, 0),
    "matmul_shared": (8 / 16, 8),
    "matmul_register": (8 / 64, 8 / 4),
    "matmul_vector": (8 / 64, 8 / 4),
    "matmul_double": (8 / 64, 8 / 4),
    "matmul_large": (8 / 128, 8 / 8),
    "matmul_split": (8 / 128, 8 / 8),
}


@pytest.mark.parametrize("rung", list(LADDER))
def test_the_ladder_of_matmul_reads_what_its_comment_says(rung, monkeypatch):
    monkeypatch.setenv("MINICNN_EMULATE_GPU", "1")
    with recording() as launches:
        multiply(zeros((128, 16)), zeros((16, 128)), kernel=rung)
    (launch,) = launches
    fetched = sum(32 * sectors(launch.reads(factor)) for factor in "ab")
    loaded = sum(loaded_bytes(launch.reads(tile)) for tile in ("a_tile", "b_tile") if tile in launch.names)
    multiply_adds = 128 * 128 * 16
    assert (fetched / multiply_adds, loaded / multiply_adds) == TABLE[rung]


@pytest.mark.parametrize("rung", ["matmul_shared", "matmul_vector", "matmul_large"])
def test_the_ladder_of_matmul_writes_whole_sectors_and_no_bank_twice(rung, monkeypatch):
    monkeypatch.setenv("MINICNN_EMULATE_GPU", "1")
    with recording() as launches:
        multiply(zeros((128, 32)), zeros((32, 128)), kernel=rung)
    (launch,) = launches
    assert sectors(launch.writes("c")) == 128 * 128 * 4 / 32
    if rung == "matmul_shared":
        for rows in (launch.writes("a_tile"), launch.reads("a_tile"), launch.writes("b_tile"), launch.reads("b_tile")):
            assert turns(rows) == len(np.unique(requests(rows)))


@pytest.mark.parametrize("stride, of_weights", [(1, 8.3), (2, 18)])
def test_gradients_of_images_fetch_neighbouring_weights_and_multiply_no_zeros(monkeypatch, stride, of_weights):
    """Sectors for each read of the weights; four times the pixels with stride 2, and as many multiply-adds."""
    monkeypatch.setenv("MINICNN_EMULATE_GPU", "1")
    side, geometry = 8 * stride, ((stride, stride), ((1, 1), (1, 1)), (1, 1), 1)
    with recording() as launches:
        conv.conv2d_grad_x(zeros((1, 16, 8, 8)), (1, 64, side, side), zeros((16, 64, 3, 3)), *geometry)
    (launch,) = launches
    weights = launch.reads("weight")
    assert sectors(weights) / len(np.unique(requests(weights))) < of_weights
    steps = 16 * 9 // 8  # pairs of tiles; 8 warps read 8 rows of each
    assert len(np.unique(requests(launch.reads("b_tile")))) == steps * 8 * 8
    if stride == 1:
        assert sectors(launch.writes("grad_x")) == 64 * 8 * 8 * 4 / 32
        assert turns(launch.writes("a_tile")) == len(np.unique(requests(launch.writes("a_tile"))))


def test_nothing_is_recorded_outside_or_of_a_launch_that_failed(launched):
    gather = Kernel(FILE, "gather")
    with recording() as launches:
        with raises(KernelError, "out of bounds", "x[8]"):
            gather[1, 32](zeros(8), zeros(32), 1, 0)
        gather[1, 1](zeros(1), zeros(1), 1, 0)
    gather[1, 32](zeros(32), zeros(32), 1, 0)
    assert [len(launch.reads("x")) for launch in launches] == [1]


def test_too_many_accesses_are_an_error(launched, monkeypatch):
    monkeypatch.setattr(record, "LIMIT", 63)
    with raises(KernelError, "gather<float> (kernels_recorded.cu", "more than 63 accesses to record", "smaller arrays"):
        launched("gather", 1, 32, zeros(32), zeros(32), 1, 0)
    monkeypatch.setattr(record, "LIMIT", 64)
    assert len(launched("gather", 1, 32, zeros(32), zeros(32), 1, 0).reads("x")) == 32


def test_an_array_that_is_not_there_and_a_gpu(launched, monkeypatch):
    launch = launched("gather", 1, 1, zeros(1), zeros(1), 1, 0)
    with raises(ValueError, "gather has no array 'z'", "y, x"):
        launch.reads("z")
    monkeypatch.delenv("MINICNN_EMULATE_GPU")
    assert "MINICNN_EMULATE_GPU" not in os.environ
    with raises(DeviceError, "recording", "MINICNN_EMULATE_GPU=1"), recording():
        pass
