"""Max-pool's winners: one byte each, in the same pass as the maximum; a window that sees nothing but padding."""

import numpy as np
import pytest

from minicnn.kernels.cpu import max_pool
from minicnn.ops import max_pool as plain_max_pool
from minicnn.ops.geometry import output_size
from minicnn.ops.windows import Windows

RNG = np.random.default_rng(0)


def windows_on(x, kernel, stride, padding, dilation):
    out_size = output_size("max_pool2d", x.shape[2:], kernel, stride, padding, dilation)
    return Windows(kernel, stride, padding, dilation, out_size)


@pytest.mark.parametrize("kernel, dtype", [((3, 3), np.uint8), ((16, 16), np.uint8), ((1, 300), np.int32)])
def test_winners_take_a_byte_where_they_fit(kernel, dtype):
    x = RNG.standard_normal((2, 3, 40, 320)).astype(np.float32)
    windows = windows_on(x, kernel, (2, 1), ((0, 0), (0, 0)), (1, 1))
    y, winners = max_pool.max_pool2d_forward_and_winners(x, windows)
    assert winners.dtype == dtype
    expected, its_winners = plain_max_pool.max_pool2d_forward_and_winners(x, windows)
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(winners, its_winners)


def test_the_first_of_equals_wins():
    x = RNG.integers(0, 2, (2, 20, 9, 8)).astype(float)
    for kernel, dilation in (((3, 3), (1, 1)), ((2, 4), (1, 2))):
        windows = windows_on(x, kernel, (1, 1), ((1, 1), (1, 1)), dilation)
        _, winners = max_pool.max_pool2d_forward_and_winners(x, windows)
        np.testing.assert_array_equal(winners, plain_max_pool.max_pool2d_forward_and_winners(x, windows)[1])


GEOMETRIES = [  # kernel, stride, padding, dilation
    ((3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1)),
    ((3, 2), (1, 2), ((1, 0), (0, 1)), (2, 3)),
    ((4, 5), (2, 3), ((2, 1), (2, 2)), (1, 1)),
]


@pytest.mark.parametrize("kernel, stride, padding, dilation", GEOMETRIES)
def test_windows_that_overlap(kernel, stride, padding, dilation):
    """Forward and back, the same as the page's."""
    x = RNG.standard_normal((3, 21, 14, 17))
    windows, results = windows_on(x, kernel, stride, padding, dilation), []
    for ops in (plain_max_pool, max_pool):
        y, winners = ops.max_pool2d_forward_and_winners(x, windows)
        results.append([y, winners, ops.max_pool2d_backward(y, winners, x.shape, windows)])
    for expected, value in zip(*results, strict=True):
        assert value.shape == expected.shape
        np.testing.assert_allclose(value, expected, rtol=1e-12, atol=1e-12)


def test_a_gradient_of_nothing_but_padding_goes_nowhere():
    x = RNG.standard_normal((1, 1, 3, 3))
    windows = windows_on(x, (2, 2), (1, 1), ((1, 1), (1, 1)), (4, 4))  # the taps are at -1 and 3
    y, winners = max_pool.max_pool2d_forward_and_winners(x, windows)
    assert (y == -np.inf).all() and (winners == 0).all()
    grad_x = max_pool.max_pool2d_backward(np.ones(y.shape), winners, x.shape, windows)
    np.testing.assert_array_equal(grad_x, np.zeros(x.shape))
