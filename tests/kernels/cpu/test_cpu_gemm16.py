"""kernels/cpu/gemm/bfloat16.py: products of bfloat16 numbers, against float64."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ml_dtypes import bfloat16
from ways import WAYS, multiplying

from minicnn.kernels.cpu.gemm.bfloat16 import (
    multiply16,
    multiply_transposed16,
    padded16,
    panels16,
    store_rows16,
)

SIZES = st.tuples(st.integers(1, 70), st.integers(1, 600), st.integers(1, 70))
NAN = 0x7FC0  # what lies between the rows of a matrix


@pytest.fixture(params=WAYS, scope="module", autouse=True)
def way(request):
    with multiplying(request.param):
        yield


def matrix(rng, rows, columns, gap):
    """(values, (1-D array of bits, where it begins, how far rows are apart)): random numbers, NaN around them."""
    values = rng.standard_normal((rows, columns)).astype(bfloat16)
    bits = np.full((rows, columns + gap), NAN, np.uint16)
    bits[:, :columns] = values.view(np.uint16)
    return values.astype(float), (np.concatenate([np.full(gap, NAN, np.uint16), bits.reshape(-1)]), gap, columns + gap)


def product(a, weight, columns, gap=0):
    """multiply16 of a matrix() and weight (columns, depth) float32: c, of which nothing else was written to."""
    depth = weight.shape[1]
    rows = (len(a[0]) - a[1]) // a[2]
    b = panels16("test.b", weight.reshape(-1), 0, (1, 1, depth), (1, 1, 1), columns, depth)
    c = np.full(gap + rows * (columns + gap), 7, np.float32)
    multiply16(a, b, (c, gap, columns + gap), (rows, depth, columns))
    assert (c[:gap] == 7).all()
    c = c[gap:].reshape(rows, columns + gap)
    assert (c[:, columns:] == 7).all()
    return c[:, :columns]


def assert_close(found, expected, depth):
    """To 1e-6 of the largest result; a few may all be near 0 by chance, and are compared with their usual size."""
    assert np.abs(found - expected).max() <= 1e-6 * max(np.abs(expected).max(), depth**0.5)


@given(SIZES, st.integers(0, 3), st.integers(0, 99))
def test_a_product_is_that_of_the_rounded_factors(size, gap, seed):
    (rows, depth, columns), rng = size, np.random.default_rng(seed)
    x, a = matrix(rng, rows, depth, gap)
    weight = rng.standard_normal((columns, depth)).astype(np.float32)
    expected = x @ weight.astype(bfloat16).astype(float).T
    c = product(a, weight, columns, gap)
    assert_close(c, expected, depth)
    np.testing.assert_array_equal(c, product(a, weight, columns, gap))


@given(SIZES, st.integers(0, 3), st.booleans(), st.integers(0, 99))
def test_a_transposed_product_is_that_of_the_factors(size, gap, more, seed):
    (rows, depth, columns), rng = size, np.random.default_rng(seed)
    (x, a), (z, b) = matrix(rng, depth, rows, gap), matrix(rng, depth, columns, gap)
    before = rng.standard_normal((rows, padded16(columns))).astype(np.float32)
    expected = x.T @ z + (before[:, :columns] if more else 0)
    results = []
    for _ in range(2):
        c = before.reshape(-1).copy()
        multiply_transposed16(a, b, (c, 0, padded16(columns)), (depth, rows, columns), more)
        results.append(c.reshape(rows, -1)[:, :columns])
    assert_close(results[0], expected, depth)
    np.testing.assert_array_equal(*results)


@pytest.mark.parametrize(("rows", "depth", "columns"), [(90, 1152, 66), (3, 9216, 33), (540, 530, 5)])
def test_large_sums_round_no_more(rows, depth, columns):
    rng = np.random.default_rng(rows)
    x, a = matrix(rng, rows, depth, 0)
    weight = rng.standard_normal((columns, depth)).astype(np.float32)
    expected = x @ weight.astype(bfloat16).astype(float).T
    assert_close(product(a, weight, columns), expected, depth)
    (x, a), (z, b) = matrix(rng, depth, rows, 0), matrix(rng, depth, columns, 0)
    c = np.empty((rows, padded16(columns)), np.float32)
    multiply_transposed16(a, b, (c.reshape(-1), 0, padded16(columns)), (depth, rows, columns), False)
    assert_close(c[:, :columns], x.T @ z, depth)


def test_no_products_at_all_are_zero():
    c = np.full(6, 7, np.float32)
    b = panels16("test.b", np.zeros(0, np.float32), 0, (1, 1, 0), (1, 1, 1), 3, 0)
    multiply16((np.zeros(0, np.uint16), 0, 0), b, (c, 0, 3), (2, 0, 3))
    np.testing.assert_array_equal(c, np.zeros(6))
    c = np.full((2, 32), 7, np.float32)
    nothing = np.zeros(0, np.uint16), 0, 2
    multiply_transposed16(nothing, nothing, (c.reshape(-1), 0, 32), (0, 2, 2), False)
    np.testing.assert_array_equal(c[:, :2], np.zeros((2, 2)))


@pytest.mark.parametrize("lie", ["by columns", "by rows", "by taps"])
@pytest.mark.parametrize(("depth", "columns"), [(6, 5), (24, 40), (302, 64), (4130, 33)])
def test_weights_are_packed_however_they_lie(lie, depth, columns):
    """As those of a pass forward, of a gradient of images, of a window of taps: (columns, depth/2, 2) in memory."""
    rng = np.random.default_rng(0)
    x, a = matrix(rng, 3, depth, 0)
    weight = rng.standard_normal((columns, depth)).astype(np.float32)
    counts, steps, step = (1, 1, depth), (1, 1, 1), depth
    given, expected = weight, x @ weight.astype(bfloat16).astype(float).T
    if lie == "by rows":
        given, steps, step = np.ascontiguousarray(weight.T), (1, 1, columns), 1
    elif lie == "by taps":  # the sum goes over the taps first
        counts, steps = (1, 2, depth // 2), (2, 1, 2)
        in_order = weight.reshape(columns, depth // 2, 2).transpose(0, 2, 1).reshape(columns, depth)
        expected = x @ in_order.astype(bfloat16).astype(float).T
    b = panels16("test.b", np.append(np.float32(7), given), 1, counts, steps, columns, step)
    c = np.empty((3, columns), np.float32)
    multiply16(a, b, (c.reshape(-1), 0, columns), (3, depth, columns))
    assert_close(c, expected, depth)


def test_weights_are_rounded_to_the_even_one_of_two():
    halves = np.array([1 + 2**-8, 1 + 3 * 2**-8, -1 - 2**-8, 1 + 2**-8 + 2**-20, np.inf, np.nan], np.float32)
    one = np.array([1], np.float32).astype(bfloat16).view(np.uint16)
    found = product((one, 0, 1), halves.reshape(-1, 1), len(halves))[0]
    np.testing.assert_array_equal(found, [1, 1 + 2**-6, -1, 1 + 2**-7, np.inf, np.nan])


@pytest.mark.parametrize("with_bias", [True, False])
def test_rows_are_stored_with_their_bias_rounded_once(with_bias):
    rng = np.random.default_rng(0)
    c, bias = rng.standard_normal((5, 9)).astype(np.float32), rng.standard_normal(7).astype(np.float32)
    y = np.full((5, 8), NAN, np.uint16)
    store_rows16((c.reshape(-1), 1, 9), bias if with_bias else None, (y.reshape(-1), 1, 8), (5, 7))
    expected = (c[:, 1:8] + (bias if with_bias else 0)).astype(bfloat16)
    np.testing.assert_array_equal(y[:, 1:].view(bfloat16), expected)
    assert (y[:, 0] == NAN).all()
