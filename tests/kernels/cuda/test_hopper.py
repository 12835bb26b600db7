"""Hopper's kernels, in the emulator: products and convolutions, what TMA brings, what a tensor map is, what is refused.

Factors are whole numbers where a result must be right to the last bit: sums in float are then exact in any order, and
what is left is one rounding.
"""

import ctypes
import subprocess
from pathlib import Path

import numpy as np
import pytest
from checks import needs_compiler, raises
from hypothesis import given, settings
from hypothesis import strategies as st
from real_gpu import back, chosen, there

from minicnn.device import DeviceError
from minicnn.emulated import on_device
from minicnn.kernels.cuda import hopper, matmul, tensor_map
from minicnn.kernels.cuda.emulator.compiler import compiler
from minicnn.kernels.cuda.launch import CudaFile, KernelError
from minicnn.kernels.cuda.source import BFLOAT16

pytestmark = [needs_compiler, pytest.mark.gpu, pytest.mark.untried]

KERNELS = CudaFile(Path(__file__).with_name("kernels_hopper.cu"))
MISTAKES = {  # of kernels_hopper.cu, and a word of the report
    "NO_START": "not been started",
    "NO_FENCE_OF_BARRIER": "fence_async",
    "FENCE_AFTER_BARRIER": "fence_async",
    "TOO_FEW_BYTES": "128 bytes more",
    "TOO_MANY_BYTES": "128 bytes are missing",
    "ONE_ARRIVAL_MORE": "all 1 of this phase",
    "NO_WAIT": "TMA still writes",
    "WRITE_INTO_COPY": "TMA still writes",
    "NO_FENCE_OF_WRITE": "fence_async",
    "FENCE_BEFORE_WRITE": "fence_async",
    "TWO_COPIES": "TMA still writes",
    "MISALIGNED": "multiple of 128",
    "NOBODY_WAITS": "goes on",
    "WRITE_WHILE_STORED": "still reads",
    "NO_WAIT_FOR_STORE": "goes on",
}
WRONG_PRODUCTS = {
    "NO_FENCE_OF_SUMS": "no fence_sums",
    "NO_FENCE_OF_TILES": "no fence_async",
    "CHANGED_SUM": "changes a sum",
    "CHANGED_TILE": "an engine still reads",
    "OTHER_TILES": "other tiles",
    "BEYOND_SHARED_MEMORY": "out of bounds",
    "ONE_THREAD_ABSENT": "not all 128 threads",
    "NOT_CLOSED": "a product goes on",
    "NOT_WAITED_FOR": "a product goes on",
}
SIZES = st.sampled_from([1, 3, 8, 63, 64, 65, 127, 128, 130, 200])


def whole(*shape, most=7, seed=0):
    """Small whole numbers in bfloat16."""
    return np.random.default_rng(seed).integers(-most, most + 1, shape).astype(BFLOAT16)


def exactly(y, expected):
    assert y.dtype == BFLOAT16
    np.testing.assert_array_equal(back(y).astype(np.float32), expected.astype(BFLOAT16).astype(np.float32))


@pytest.fixture(autouse=True)
def for_hopper():
    """With --gpu, skips the tests on any other GPU."""
    has = getattr(getattr(there(np.ones(1, np.float32)), "device", None), "compute_capability", None)
    if chosen() and has != "90":
        pytest.skip(f"these kernels are for compute capability 9.0, and this GPU has {has}")


# Products


def product(a, b, bias=None, a_is_transposed=False, b_is_transposed=True):
    given = there(a.T if a_is_transposed else a), there(b.T if b_is_transposed else b), there(bias)
    transposed = {"a_is_transposed": a_is_transposed, "b_is_transposed": b_is_transposed}
    return matmul.multiply(*given, **transposed, kernel="product_hopper")


@settings(max_examples=15)
@given(rows=SIZES, columns=SIZES, depth=SIZES, b_is_transposed=st.booleans())
def test_products(rows, columns, depth, b_is_transposed):
    a, b, bias = whole(rows, depth), whole(depth, columns, seed=1), whole(columns, seed=2).astype(np.float32)
    exact = a.astype(np.float32) @ b.astype(np.float32)
    exactly(product(a, b, bias, False, b_is_transposed), exact + bias)
    c = product(a, b, None, True, False)
    assert c.dtype == np.float32
    np.testing.assert_array_equal(back(c), exact)


@pytest.mark.parametrize("b_is_transposed", [True, False])
def test_a_product_longer_than_its_stages(b_is_transposed):
    """And of several blocks, the last ones at the edges."""
    a, b = whole(135, 5 * 64 + 9), whole(5 * 64 + 9, 193, seed=1)
    exactly(product(a, b, None, False, b_is_transposed), a.astype(np.float32) @ b.astype(np.float32))


def test_sums_in_parts(monkeypatch):
    """Three parts, the last one shorter."""
    monkeypatch.setattr(hopper, "SHORTEST", 128)
    a, b = whole(470, 70), whole(470, 130, seed=1)
    c = product(a.T, b, None, True, False)
    np.testing.assert_array_equal(back(c), a.T.astype(np.float32) @ b.astype(np.float32))


def test_a_weight_in_float32_is_rounded_first():
    a, b = np.ones((3, 8), BFLOAT16), np.full((8, 8), 1 + 2**-9, np.float32)
    exactly(product(a, b), np.full((3, 8), 8.0))


def test_sums_are_float_and_rounded_once():
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal(shape).astype(BFLOAT16) for shape in ((40, 500), (500, 30)))
    a64, b64 = a.astype(np.float64), b.astype(np.float64)
    error = np.abs(back(product(a, b)).astype(np.float64) - a64 @ b64)
    assert (error <= np.abs(a64 @ b64) * 2**-8 + np.abs(a64) @ np.abs(b64) * 1e-6).all()


def test_nan_and_infinity_stay_in_their_rows():
    a, b = whole(3, 70), np.ones((70, 5), BFLOAT16)
    a[0, 7], a[1, 33] = np.nan, -np.inf
    c = back(product(a, b)).astype(np.float32)
    assert np.isnan(c[0]).all() and (c[1] == -np.inf).all() and np.isfinite(c[2]).all()


@pytest.mark.parametrize("rows, columns, depth", [(0, 3, 4), (3, 0, 4), (3, 4, 0)])
def test_products_of_nothing(rows, columns, depth):
    bias = np.arange(columns, dtype=np.float32)
    a, b = whole(rows, depth), whole(depth, columns)
    exactly(product(a, b, bias), np.zeros((rows, columns)) + bias)
    assert back(product(a, b, None, True, False)).tolist() == np.zeros((rows, columns)).tolist()


def test_what_no_gradient_is():
    for options in ({"b_is_transposed": True}, {"bias": np.ones(1, np.float32), "b_is_transposed": False}):
        with raises(ValueError, "product_hopper", "transposed a", "no bias"):
            product(whole(1, 1), whole(1, 1), a_is_transposed=True, **options)


# TMA


def brought(box, swizzle=True):
    """What lies in shared memory when rows of 64 numbers have come: vectors of 8 numbers change places."""
    rows = box.reshape(-1, 8, 8)
    places = np.arange(8) ^ (np.arange(len(rows)) % 8)[:, None]
    return np.take_along_axis(rows, places[:, :, None], 1).reshape(-1)


def copy_box(x, box, at, store_to=None, mistake="NONE"):
    boxes = tensor_map.of_boxes(x, box)
    to = boxes if store_to is None else tensor_map.of_boxes(store_to, box)
    y = there(np.zeros(int(np.prod(box)), BFLOAT16))
    at = (*at, -1) if len(at) == 2 else at
    number = 0 if mistake == "NONE" else 1 + list(MISTAKES).index(mistake)
    reaches = [x] if store_to is None else [x, store_to]
    KERNELS.copy_box[1, 32](
        boxes, to, y, y.size, *at, store_to is not None, number, shared=y.nbytes + 1024, reaches=reaches
    )
    return back(y)


@pytest.mark.parametrize("x, row", [(0, 0), (8, 3), (40, 30), (-5, -2), (500, 0)])
def test_boxes_and_what_is_outside(x, row):
    array = whole(37, 72)
    padded = np.zeros((200, 1200), BFLOAT16)
    padded[50:87, 600:672] = array
    box = padded[50 + row : 50 + row + 16, 600 + x : 600 + x + 64]
    y = np.zeros_like(array)
    np.testing.assert_array_equal(copy_box(there(array), (16, 64), (x, row), store_to := there(y)), brought(box))
    expected = np.zeros_like(padded)
    expected[50 + row : 50 + row + 16, 600 + x : 600 + x + 64] = box
    np.testing.assert_array_equal(back(store_to), expected[50:87, 600:672])


def test_boxes_of_three_axes():
    array = whole(3, 5, 64)
    box = np.zeros((2, 4, 64), BFLOAT16)
    box[:1, :2] = array[2:, 3:]
    np.testing.assert_array_equal(copy_box(there(array), (2, 4, 64), (0, 3, 2)), brought(box))


@pytest.mark.parametrize("lower, upper, steps, tap, first", [
    ((-1, -1), (-1, -1), (1, 1), (0, 0), 0),
    ((-1, -1), (-1, -1), (1, 1), (2, 1), 17),
    ((0, -2), (-2, -1), (2, 3), (1, 0), 3),
    ((-2, 0), (2, 1), (1, 2), (4, 2), 60),
])  # fmt: skip
def test_windows(lower, upper, steps, tap, first):
    """lower, upper and steps as in tensor_map.of_windows, (h, w), the tap likewise; from position `first` on."""
    n, sizes, count = 3, (6, 7), 24
    images = whole(n, *sizes, 72)
    ranges = [range(low, size + high, step) for low, size, high, step in zip(lower, sizes, upper, steps, strict=True)]
    positions = [(i, h, w) for i in range(n) for h in ranges[0] for w in ranges[1]]
    box = np.zeros((count, 64), BFLOAT16)
    for row, (i, h, w) in zip(box, positions[first : first + count], strict=False):
        if 0 <= h + tap[0] < sizes[0] and 0 <= w + tap[1] < sizes[1]:
            row[:56] = images[i, h + tap[0], w + tap[1], 16:]  # 72 channels, from 16 on: beyond the last are zeros
    x, y = there(images), there(np.zeros(box.size, BFLOAT16))
    maps = tensor_map.of_windows(x, lower, upper, steps, count)
    i, h, w = positions[first]
    shared = y.nbytes + 1024
    KERNELS.copy_windows[1, 32](maps, y, y.size, 16, w, h, i, tap[1], tap[0], shared=shared, reaches=[x])
    np.testing.assert_array_equal(back(y), brought(box))


@pytest.mark.emulator
@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_reported(mistake):
    array = there(whole(16, 64))
    with raises(KernelError, "kernels_hopper.cu", "thread", MISTAKES[mistake]):
        copy_box(array, (16, 64), (0, 0), array if "STORE" in mistake else None, mistake)


# wgmma


def multiply_tiles(mistake="RIGHT"):
    a, b, y = whole(64, 16), whole(128, 16, seed=1), there(np.zeros((64, 128), np.float32))
    number = 0 if mistake == "RIGHT" else 1 + list(WRONG_PRODUCTS).index(mistake)
    KERNELS.multiply_tiles[1, 128](there(a), there(b), y, number, shared=(64 + 128) * 128 + 1024)
    np.testing.assert_array_equal(back(y), a.astype(np.float32) @ b.astype(np.float32).T)


def test_a_product_of_tiles_that_threads_have_written():
    multiply_tiles()


@pytest.mark.emulator
@pytest.mark.parametrize("mistake", WRONG_PRODUCTS)
def test_wrong_products_are_reported(mistake):
    with raises(KernelError, "kernels_hopper.cu", WRONG_PRODUCTS[mistake]):
        multiply_tiles(mistake)


# Tensor maps


@pytest.mark.emulator
def test_what_tma_cannot_copy():
    for array, box, words in [
        (whole(4, 9), (4, 64), ["begin", "16", "(18, 2)"]),
        (whole(4, 64).T, (4, 64), ["begin", "(2, 128)"]),
        (whole(4, 64), (257, 64), ["257", "256"]),
        (whole(4, 64), (4, 32), ["32 bfloat16", "128"]),
        (whole(0, 64), (4, 64), ["(0, 64)"]),
    ]:
        with raises(KernelError, "TMA cannot copy", *words):
            tensor_map.of_boxes(on_device(array), box)
    images = on_device(whole(1, 4, 4, 8))
    with raises(KernelError, "TMA cannot copy", "-129"):
        tensor_map.of_windows(images, (-129, 0), (0, 0), (1, 1), 128)
    with raises(KernelError, "TMA cannot copy", "stride (1, 9)", "8"):
        tensor_map.of_windows(images, (0, 0), (0, 0), (1, 9), 128)


DRIVER = """
#include <cstdint>
#include <cstring>
static char *put(char *to, const void *from, int bytes) { memcpy(to, from, bytes); return to + bytes; }
#define COMMON void *map, int type, uint32_t rank, void *address, const uint64_t *sizes, const uint64_t *strides
#define MODES const uint32_t *steps, int interleave, int swizzle, int promotion, int fill
static char *begin(COMMON) {
    char *to = put(put(static_cast<char *>(map), &type, 4), &rank, 4);
    return put(put(put(to, &address, 8), sizes, 8 * rank), strides, 8 * (rank - 1));
}
extern "C" int cuTensorMapEncodeTiled(COMMON, const uint32_t *box, MODES) {
    if (reinterpret_cast<uintptr_t>(map) % 64 || interleave || swizzle != 3 || promotion != 3 || fill) return 1;
    put(put(begin(map, type, rank, address, sizes, strides), box, 4 * rank), steps, 4 * rank);
    return 0;
}
extern "C" int cuTensorMapEncodeIm2col(COMMON, const int *lower, const int *upper, uint32_t channels, uint32_t pixels,
                                       MODES) {
    if (reinterpret_cast<uintptr_t>(map) % 64 || interleave || swizzle != 3 || promotion != 3 || fill) return 1;
    if (pixels > 1024) return 700;
    char *to = put(put(begin(map, type, rank, address, sizes, strides), lower, 4 * (rank - 2)), upper, 4 * (rank - 2));
    put(put(put(to, &channels, 4), &pixels, 4), steps, 4 * rank);
    return 0;
}
"""


class OnGpu:
    """What of a CuPy array a tensor map looks at."""

    def __init__(self, array):
        self.shape, self.strides, self.dtype = array.shape, array.strides, array.dtype
        self.ndim, self.size, self.itemsize = array.ndim, array.size, array.itemsize

        class data:
            ptr = 4096

        self.data = data


@pytest.fixture
def driver(tmp_path, monkeypatch):
    """A library with the driver's two functions (their types are NVIDIA's), which write down what they are given."""
    (tmp_path / "driver.cpp").write_text(DRIVER)
    command = [compiler(), "-shared", "-fPIC", tmp_path / "driver.cpp", "-o", tmp_path / "driver.so"]
    subprocess.run(command, check=True)
    monkeypatch.setattr(tensor_map, "_driver", lambda: ctypes.CDLL(str(tmp_path / "driver.so")))


@pytest.mark.emulator
def test_what_the_driver_is_given(driver):
    map_ = tensor_map.of_boxes(OnGpu(whole(3, 5, 72)), (2, 4, 64)).tobytes()
    assert np.frombuffer(map_, np.uint32, 2).tolist() == [9, 3]  # CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, axes
    assert np.frombuffer(map_, np.uint64, 6, 8).tolist() == [4096, 72, 5, 3, 144, 720]
    assert np.frombuffer(map_, np.uint32, 6, 56).tolist() == [64, 4, 2, 1, 1, 1]
    map_ = tensor_map.of_windows(OnGpu(whole(2, 6, 7, 16)), (-1, -2), (-3, -4), (2, 3), 128).tobytes()
    assert np.frombuffer(map_, np.uint32, 2).tolist() == [9, 4]
    assert np.frombuffer(map_, np.uint64, 8, 8).tolist() == [4096, 16, 7, 6, 2, 32, 224, 1344]
    assert np.frombuffer(map_, np.int32, 10, 72).tolist() == [-2, -1, -4, -3, 64, 128, 1, 3, 2, 1]


@pytest.mark.emulator
def test_what_the_driver_refuses(driver):
    with raises(KernelError, "cuTensorMapEncodeIm2col", "(2, 6, 7, 16)", "700"):
        tensor_map.of_windows(OnGpu(whole(2, 6, 7, 16)), (0, 0), (0, 0), (1, 1), 2000)


# Which GPUs


class Array:
    dtype = BFLOAT16

    class device:
        compute_capability = "80"


@pytest.mark.emulator
def test_other_gpus_are_refused(monkeypatch):
    with raises(DeviceError, "9.0", "8.0", "MINICNN_HOPPER"):
        hopper.multiply(Array, Array)
    array = there(whole(1, 1))
    for value, is_chosen in (("", False), ("0", False), ("1", True)):
        monkeypatch.setenv("MINICNN_HOPPER", value)
        assert hopper.is_chosen(array) == is_chosen and not hopper.is_chosen(Array)
