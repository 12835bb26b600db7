"""Max-pool's winners: one byte each, in the same pass as the maximum; a window that sees nothing but padding."""

import numpy as np
import pytest

from minicnn.kernels.cpu import avg_pool, max_pool
from minicnn.ops import avg_pool as plain_avg_pool
from minicnn.ops import max_pool as plain_max_pool
from minicnn.ops.geometry import output_size
from minicnn.ops.summation import FEW

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("kernel, dtype", [((3, 3), np.uint8), ((16, 16), np.uint8), ((1, 300), np.int32)])
def test_winners_take_a_byte_where_they_fit(kernel, dtype):
    x = RNG.standard_normal((2, 3, 40, 320)).astype(np.float32)
    geometry = kernel, (2, 1), ((0, 0), (0, 0)), (1, 1)
    out_size = (40 - kernel[0]) // 2 + 1, 320 - kernel[1] + 1
    y, winners = max_pool.max_pool2d_forward_and_winners(x, *geometry, out_size)
    assert winners.dtype == dtype
    expected = plain_max_pool.max_pool2d_forward(x, *geometry, out_size)
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(winners, plain_max_pool.max_pool2d_winners(x, expected, *geometry))


def test_the_first_of_equals_wins():
    x = RNG.integers(0, 2, (2, 20, 9, 8)).astype(float)
    for kernel, dilation in (((3, 3), (1, 1)), ((2, 4), (1, 2))):
        geometry = kernel, (1, 1), ((1, 1), (1, 1)), dilation
        out_size = output_size("max_pool2d", x.shape[2:], kernel, (1, 1), ((1, 1), (1, 1)), dilation)
        y, winners = max_pool.max_pool2d_forward_and_winners(x, *geometry, out_size)
        np.testing.assert_array_equal(winners, plain_max_pool.max_pool2d_winners(x, y, *geometry))


GEOMETRIES = [  # kernel, stride, padding, dilation
    ((3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1)),
    ((3, 2), (1, 2), ((1, 0), (0, 1)), (2, 3)),
    ((4, 5), (2, 3), ((2, 1), (2, 2)), (1, 1)),
]


@pytest.mark.parametrize("kind", ["max", "average"])
@pytest.mark.parametrize("kernel, stride, padding, dilation", GEOMETRIES)
def test_windows_that_overlap(kernel, stride, padding, dilation, kind):
    """Forward and back, the same as the page's."""
    x = RNG.standard_normal((3, 21, 14, 17))
    results = []
    pages = (plain_max_pool, max_pool) if kind == "max" else (plain_avg_pool, avg_pool)
    for ops in pages:
        if kind == "max":
            out_size = output_size("max_pool2d", x.shape[2:], kernel, stride, padding, dilation)
            y = ops.max_pool2d_forward(x, kernel, stride, padding, dilation, out_size)
            winners = ops.max_pool2d_winners(x, y, kernel, stride, padding, dilation)
            grad_x = ops.max_pool2d_backward(y, winners, x.shape, kernel, stride, padding, dilation)
            results.append([y, winners, grad_x])
            continue
        out_size = output_size("avg_pool2d", x.shape[2:], kernel, stride, padding, (1, 1))
        results.append([])
        for divisor in ((True, None), (False, None), (True, 7)):
            y = ops.avg_pool2d_forward(x, kernel, stride, padding, out_size, *divisor)
            results[-1] += [y, ops.avg_pool2d_backward(y, x.shape, kernel, stride, padding, *divisor)]
    for expected, value in zip(*results, strict=True):
        assert value.shape == expected.shape
        np.testing.assert_allclose(value, expected, rtol=1e-12, atol=1e-12)


def test_a_gradient_of_nothing_but_padding_goes_nowhere():
    x = RNG.standard_normal((1, 1, 3, 3))
    geometry = (2, 2), (1, 1), ((1, 1), (1, 1)), (4, 4)  # the taps are at -1 and 3
    y, winners = max_pool.max_pool2d_forward_and_winners(x, *geometry, (1, 1))
    assert (y == -np.inf).all() and (winners == 0).all()
    grad_x = max_pool.max_pool2d_backward(np.ones(y.shape), winners, x.shape, *geometry)
    np.testing.assert_array_equal(grad_x, np.zeros(x.shape))


def test_averages_of_large_windows():
    """Their pixels are added piece by piece: each window's own, of its own image."""
    x = np.random.default_rng(0).standard_normal((3, 2, 14, 31))
    kernel, stride, padding = (9, 20), (2, 3), ((1, 1), (2, 2))
    out_size = output_size("avg_pool2d", x.shape[2:], kernel, stride, padding, (1, 1))
    assert kernel[0] * kernel[1] > FEW and min(out_size) > 1
    y, expected = (
        ops.avg_pool2d_forward(x, kernel, stride, padding, out_size, True, None) for ops in (avg_pool, plain_avg_pool)
    )
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-13)
