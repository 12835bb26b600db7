"""bfloat16 numbers in compiled loops: what they are made of, how they are rounded, and where such arrays lie."""

import re

import numba
import numpy as np
import pytest
from llvmlite.binding import get_host_cpu_features

from minicnn.kernels.cpu.machine import layout, memory
from minicnn.kernels.cpu.machine.bfloat16 import bits, narrowed, real, rounded, widened
from minicnn.kernels.cpu.machine.jit import jit
from minicnn.precision import BFLOAT16

ALL = np.arange(1 << 16, dtype=np.uint16)  # the bits of every bfloat16 number
LOWER = np.array([0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF], np.uint32)  # of a float32 number: what is cut off


@jit
def _widen(x, y):
    for i in range(x.size):
        y[i] = widened(x[i])


@jit
def _round(x, y):
    for i in range(x.size):
        y[i] = rounded(x[i])


@jit
def _sums(x, y):
    """y[i] = x[0] + ... + x[i], with the partial sums in a work space."""
    sums = np.zeros(x.size + 1, real(x))
    for i in range(x.size):
        sums[i + 1] = sums[i] + widened(x[i]) * real(x)(1)
        y[i] = narrowed(sums[i + 1], y)


def test_every_number_is_widened_exactly():
    found = np.empty(ALL.size, np.float32)
    _widen(ALL, found)
    np.testing.assert_array_equal(found, ALL.view(BFLOAT16).astype("f"))
    np.testing.assert_array_equal(np.signbit(found), ALL >= 0x8000)


def test_numbers_are_rounded_to_nearest_even_nan_stays_and_the_largest_become_infinite():
    numbers = (ALL.astype(np.uint32)[:, None] << 16 | LOWER).reshape(-1).view(np.float32)
    found = np.empty(numbers.size, np.uint16)
    _round(numbers, found)
    with np.errstate(over="ignore", invalid="ignore"):
        expected = numbers.astype(BFLOAT16)
    nan = np.isnan(numbers)
    np.testing.assert_array_equal(found[~nan], bits(expected)[~nan])
    assert np.isnan(found.view(BFLOAT16)[nan].astype("f")).all() and (found[nan] & 0x40).all()  # 0x40: a quiet one
    assert np.isinf(found.view(BFLOAT16)[numbers == np.finfo("f").max].astype("f")).all()


@pytest.mark.parametrize("dtype", [np.dtype("f"), np.dtype("d"), BFLOAT16], ids=str)
def test_one_loop_is_right_for_every_dtype(dtype):
    """In bfloat16, sums that were rounded at each step would stop at 256."""
    x, y = np.ones(1001, dtype), np.empty(1001, dtype)
    x[0] = 2.0**-12 if dtype == np.float64 else 0.125  # float64 keeps it, beside 1000
    _sums(bits(x), bits(y))
    np.testing.assert_array_equal(y, np.cumsum(x, dtype="d").astype(dtype))


def test_a_loop_that_rounds_takes_the_widest_vectors():
    if not get_host_cpu_features().get("avx512bw"):
        pytest.skip("this processor has no vectors of 512 bits")
    fresh = numba.njit(_round.py_func)  # what has been loaded from disk shows no instructions
    fresh(np.ones(4, "f"), np.empty(4, np.uint16))
    (asked,) = fresh.inspect_llvm().values()
    assert '"prefer-vector-width"="512"' in asked  # LLVM takes them by itself on some processors, not on others
    (text,) = fresh.inspect_asm().values()
    assert re.search(r"vpmovdw\s+%zmm", text)  # sixteen words become sixteen halves


def test_bits_are_a_view():
    x = np.array([[1.0, -2.0]], BFLOAT16)
    assert bits(x).tolist() == [[0x3F80, 0xC000]] and np.shares_memory(bits(x), x)
    x = np.ones(3)
    assert bits(x) is x and bits(None) is None


def test_arrays_in_memory_that_is_used_again_are_bfloat16():
    small, large = memory.empty((3,), BFLOAT16), memory.empty((300, 100), BFLOAT16)
    assert small.dtype == large.dtype == BFLOAT16 and large.flags.carray
    images = memory.empty_images((2, 30, 40, 50), BFLOAT16)
    images[...] = 1.5
    assert images.dtype == BFLOAT16 and images.strides == (120000, 2, 3000, 60) and (images == 1.5).all()


@pytest.mark.parametrize("name", ["C order", "channels-last", "Fortran order", "every second", "read-only"])
def test_layouts(name):
    images = np.arange(2 * 40 * 3 * 5, dtype="f").reshape(2, 40, 3, 5).astype(BFLOAT16)
    last = np.ascontiguousarray(np.moveaxis(images, 1, -1))
    x = {
        "C order": images, "channels-last": np.moveaxis(last, -1, 1), "Fortran order": np.asfortranarray(images),
        "every second": np.repeat(images, 2, axis=1)[:, ::2], "read-only": images.copy(),
    }[name]  # fmt: skip
    x.flags.writeable = name != "read-only"
    for found, expected in ((layout.channels_last(x), last), (layout.contiguous(x), images)):
        assert found.dtype == BFLOAT16 and found.flags.carray
        np.testing.assert_array_equal(found, expected)
