"""Numba's kernels: how they are launched, on a GPU and where Python plays one."""

import types

import fake_cupy
import numpy as np
import pytest
from checks import PYTHON_GPU, raises

from minicnn.device import KernelError
from minicnn.emulated import EmulatedArray, on_device

with PYTHON_GPU.active():
    from minicnn.kernels.numba_cuda import launch
    from minicnn.kernels.numba_cuda.launch import Pair, Pairs, T, bool_, cuda, float32, int64, kernel, optional, uint64
    from minicnn.kernels.numba_cuda.reduction import block_max, block_sum

pytestmark = pytest.mark.emulator


@kernel
def scaled(x: T[:, :], bias: optional(T[:]), y: T[:, :], scale: T, rows: int64):
    for i in range(cuda.grid(1), rows, cuda.gridsize(1)):
        for j in range(x.shape[1]):
            y[i, j] = x[i, j] * scale
            if bias is not None:
                y[i, j] += bias[j]


@kernel
def pairs(y: T[:], size: Pair, padding: Pairs):
    (top, bottom), (left, right) = padding
    y[0], y[1], y[2], y[3], y[4] = size[0] * size[1], top, bottom, left, right


@kernel
def numbers(y: T[:], whole: int64, small: float32, key: uint64, flag: bool_):
    y[0], y[1], y[2], y[3] = whole, small, key % 1000, flag


@kernel
def places(y: int64[:, :, :], x: T[:]):
    i, j, k = cuda.grid(3)
    if i < y.shape[0] and j < y.shape[1] and k < y.shape[2]:
        y[i, j, k] += (cuda.blockIdx.x * 10 + cuda.threadIdx.x) * cuda.blockDim.y + cuda.gridsize(3)[2]


@kernel
def neighbours(x: T[:], y: T[:], barrier: bool_):
    """y[i] = x of the next thread, by way of shared memory."""
    tile = cuda.shared.array(4, x.dtype)
    i = cuda.threadIdx.x
    tile[i] = x[i]
    if barrier:
        cuda.syncthreads()
    y[i] = tile[(i + 1) % 4]


@kernel
def divergent(x: T[:]):
    if cuda.threadIdx.x < 2:
        cuda.syncthreads()
    x[0] = x[0]


@kernel
def different(x: T[:]):
    if cuda.threadIdx.x < 2:
        cuda.syncthreads()
    else:
        cuda.syncthreads()


@kernel
def beyond(x: T[:], shift: int64):
    i = cuda.grid(1)
    x[i] = x[i + shift]


@kernel
def reductions(x: T[:, :], sums: T[:], largest: T[:]):
    partial = cuda.shared.array(launch.THREADS, x.dtype)
    value = x[cuda.blockIdx.x, cuda.threadIdx.x]
    total, most = block_sum(value, partial), block_max(value, partial)
    if cuda.threadIdx.x == 0:
        sums[cuda.blockIdx.x], largest[cuda.blockIdx.x] = total, most


def ones(*shape, dtype=np.float32):
    return on_device(np.ones(shape, dtype))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("biased", [True, False])
def test_arrays_and_numbers(dtype, biased):
    x = np.arange(6, dtype=dtype).reshape(3, 2)
    y, bias = ones(3, 2, dtype=dtype), on_device(np.array([5, 7], dtype)) if biased else None
    scaled[2, 1](on_device(x), bias, y, 0.1, np.int32(3))
    assert np.array_equal(np.asarray(y), x * dtype(0.1) + (np.asarray(bias) if biased else dtype(0)))


def test_numbers_keep_their_value():
    y = ones(4, dtype=np.float64)
    numbers[1, 1](y, -(2**40), 0.1, 2**64 - 1, True)
    assert np.asarray(y).tolist() == [-(2**40), np.float32(0.1), (2**64 - 1) % 1000, 1]


def test_tuples_of_numbers():
    y = ones(5, dtype=np.float64)
    pairs[1, 1](y, (2, 3), ((4, 5), (6, 7)))
    assert np.asarray(y).tolist() == [6, 4, 5, 6, 7]
    for size in ((2, 3.0), (2, 3, 4), [2, 3], 2):
        with raises(TypeError, "pairs (test_numba_cuda.py)", "size: ", str(size)):
            pairs[1, 1](y, size, ((4, 5), (6, 7)))


@pytest.mark.parametrize("grid, block, error", [(-1, 4, ValueError), (1, 1025, ValueError), (1.5, 4, TypeError)])
def test_sizes(grid, block, error):
    with raises(error, "scaled (test_numba_cuda.py)", "block" if grid == 1 else "grid"):
        scaled[(grid,), block](ones(3, 2), None, ones(3, 2), 5, 3)


def test_places_in_the_grid():
    y = on_device(np.zeros((3, 4, 5), np.int64))
    places[(2, 2, 3), (2, 3, 2)](y, ones(1))
    i = np.arange(3)[:, None, None]
    assert np.array_equal(np.asarray(y), np.broadcast_to((i // 2 * 10 + i % 2) * 3 + 6, (3, 4, 5)))


@pytest.mark.parametrize("grid", [0, (3, 0), (0, 1, 1)])
def test_a_launch_of_nothing(grid):
    y = ones(3, 2)
    scaled[grid, 1](ones(3, 2), None, y, 5, 3)
    assert (np.asarray(y) == 1).all()


@pytest.mark.parametrize(
    "given, error, parts",
    [
        ((ones(3, 2), None, ones(3, 2), 2.0), TypeError, ["takes 5 arguments", "x: T[:, :]", "rows: int64", "got 4"]),
        ((ones(3, 2), None, ones(3, 2, dtype=np.float64), 2, 3), TypeError, ["float32 (x)", "float64 (y)"]),
        ((ones(3, 2, dtype=np.int64), None, ones(3, 2, dtype=np.int64), 2, 3), TypeError, ["float32 or float64"]),
        ((None, None, None, 2, 3), TypeError, ["no array says what T is"]),
        ((None, None, ones(3, 2), 2, 3), TypeError, ["x: T[:, :]", "takes an array", "NoneType"]),
        (([1.0], None, ones(3, 2), 2, 3), TypeError, ["x: T[:, :]", "list"]),
        ((np.ones((3, 2), np.float32), None, ones(3, 2), 2, 3), TypeError, ["x: T[:, :]", "'cpu'", "to_device"]),
        ((ones(3, 2), ones(1, 2), ones(3, 2), 2, 3), ValueError, ["bias: T[:]", "1 axes", "(1, 2)"]),
        ((ones(2, 3).T, None, ones(3, 2), 2, 3), ValueError, ["x: T[:, :]", "C-contiguous", "(3, 2)"]),
        ((ones(3, 2), None, ones(3, 2), "2", 3), TypeError, ["scale: T", "takes a number", "str"]),
        ((ones(3, 2), None, ones(3, 2), 2, 3.0), TypeError, ["rows: int64", "whole number", "3.0"]),
        ((ones(3, 2), None, ones(3, 2), 2, 2**63), ValueError, ["rows: int64", str(2**63)]),
    ],
)
def test_arguments(given, error, parts):
    with raises(error, "scaled (test_numba_cuda.py)", *parts):
        scaled[1, 1](*given)


def test_shared_memory_and_barriers():
    x = np.arange(4.0)
    y = ones(4, dtype=np.float64)
    neighbours[1, 4](on_device(x), y, True)
    assert np.asarray(y).tolist() == [1, 2, 3, 0]
    neighbours[1, 4](on_device(x), y, False)
    assert np.isnan(np.asarray(y)[:3]).all() and np.asarray(y)[3] == 0, "nobody had written what the first three read"


def test_reductions():
    x = np.random.default_rng(0).standard_normal((3, launch.THREADS))
    x[1, 2] = np.nan
    sums, largest = ones(3, dtype=np.float64), ones(3, dtype=np.float64)
    reductions[3, launch.THREADS](on_device(x), sums, largest)
    np.testing.assert_allclose(np.asarray(sums), x.sum(axis=1), rtol=1e-14)
    np.testing.assert_array_equal(np.asarray(largest), x.max(axis=1))


@pytest.mark.parametrize(
    "launched, parts",
    [
        (
            lambda: divergent[(1, 2), 4](ones(4)),
            ["divergent", "a barrier", "block (0, 0, 0)", "(1, 0, 0) waits"],
        ),
        (lambda: divergent[1, 4](ones(4)), ["thread (2, 0, 0) has returned"]),
        (lambda: different[1, 4](ones(4)), ["thread (1, 0, 0) waits at", "thread (2, 0, 0) waits at"]),
        (
            lambda: beyond[2, 2](ones(4), 2),
            ["beyond (test_numba_cuda.py:", "(0, 0, 0) of block (1, 0, 0)", "index 4"],
        ),
        (lambda: beyond[1, 4](ones(4), -1), ["thread (0, 0, 0) of block (0, 0, 0)", "index -1 is below 0"]),
    ],
)
def test_mistakes_are_told_by_line_block_and_thread(launched, parts):
    with raises(KernelError, *parts):
        launched()
    y = ones(4)
    neighbours[1, 4](ones(4) * 3, y, True)  # and the next launch finds everything in order
    assert (np.asarray(y) == 3).all()


@pytest.fixture
def on_gpu(monkeypatch):
    """Stand-ins for CuPy and numba.cuda: (cupy, the list of launches, each (sizes, values))."""
    launched = []
    numba_cuda = types.SimpleNamespace(external_stream=lambda pointer: ("stream", pointer))
    monkeypatch.setattr(launch, "SIMULATED", False)
    monkeypatch.setattr(launch, "cuda", numba_cuda)
    monkeypatch.setattr(scaled, "compiled", Compiled(launched))
    monkeypatch.setattr(scaled, "plans", {})
    launch._stream.cache_clear()
    with fake_cupy.installed() as cupy:
        yield cupy, launched
    launch._stream.cache_clear()


def test_on_a_gpu_arrays_go_as_they_are_on_cupys_stream(on_gpu):
    cupy, launched = on_gpu
    cupy.cuda.get_current_stream().ptr = 77
    x, y = (cupy.ndarray(np.ones((3, 2), np.float32)) for _ in "xy")
    scaled[5, 256](x, None, y, 0.5, 3)
    (sizes, values) = launched[0]
    assert sizes == ((5, 1, 1), (256, 1, 1), ("stream", 77)) and values[1:2] + values[3:] == (None, 0.5, 3)
    for lent, array in ((values[0], x), (values[2], y)):
        assert lent.numbers == (0, 0, 6, 4, array.data.ptr, 3, 2, 8, 4)
    assert type(values[3]) is np.float32 and type(values[4]) is np.int64
    with raises(TypeError, "scaled", "x: T[:, :]", "emulated", "MINICNN_EMULATE_GPU"):
        scaled[1, 1](ones(3, 2), None, ones(3, 2), 2, 3)


def test_the_second_launch_goes_by_its_plan(on_gpu, monkeypatch):
    cupy, launched = on_gpu
    x, y = (cupy.ndarray(np.ones((3, 2), np.float32)) for _ in "xy")
    scaled[5, 256](x, None, y, 0.5, 3)
    with monkeypatch.context() as patch:
        patch.setattr(scaled, "checked", None)
        scaled[5, 256](x, None, y, 0.5, 3)
    assert [values[3:] for _, values in launched] == [(0.5, 3)] * 2 and launched[0][0] == launched[1][0]
    assert launched[0][1][0].numbers == launched[1][1][0].numbers
    for wrong, error, parts in (
        ((x, None, cupy.ndarray(np.ones(3, np.float32)), 0.5, 3), ValueError, ["y: T[:, :]", "2 axes", "(3,)"]),
        ((x, None, None, 0.5, 3), TypeError, ["y: T[:, :]", "NoneType"]),
        ((x, None, y, 0.5, 3.0), TypeError, ["rows: int64", "3.0"]),
        ((x, None, y, 0.5), TypeError, ["takes 5 arguments"]),
        ((x, None, cupy.ndarray(np.ones((3, 2), np.float32), 1), 0.5, 3), ValueError, ["several GPUs"]),
    ):
        with raises(error, "scaled (test_numba_cuda.py)", *parts):
            scaled[5, 256](*wrong)
    assert len(launched) == 2


class Compiled:
    def __init__(self, launched):
        self.launched = launched

    def __getitem__(self, sizes):
        return lambda *values: self.launched.append((sizes, values))


def test_helpers():
    assert [launch.blocks(n) for n in (0, 1, 8, 9, 10**9)] == [0, 1, 1, 2, launch.MAX_BLOCKS]
    assert launch.SIMULATED and isinstance(on_device(np.ones(1)), EmulatedArray)


@pytest.mark.parametrize("annotation, says", [(None, "has no annotation"), (int, "int"), ("T[:]", "T[:]")])
def test_a_parameter_that_does_not_say_what_it_takes(annotation, says):
    def halved(x: T[:], count):
        pass

    if annotation:
        halved.__annotations__["count"] = annotation
    with raises(TypeError, "halved (test_numba_cuda.py)", "parameter count", says, "int64"):
        kernel(halved)
    halved.__annotations__["count"] = int64
    assert [str(p) for p in kernel(halved).parameters] == ["x: T[:]", "count: int64"]
