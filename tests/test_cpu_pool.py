"""Max-pool's winners: one byte each, in the same pass as the maximum; a window that sees nothing but padding."""

import numpy as np
import pytest

from minicnn.kernels.cpu import pool
from minicnn.ops import pool as plain_pool

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("kernel, dtype", [((3, 3), np.uint8), ((16, 16), np.uint8), ((1, 300), np.int32)])
def test_winners_take_a_byte_where_they_fit(kernel, dtype):
    x = RNG.standard_normal((2, 3, 40, 320)).astype(np.float32)
    geometry = kernel, (2, 1), ((0, 0), (0, 0)), (1, 1)
    out_size = (40 - kernel[0]) // 2 + 1, 320 - kernel[1] + 1
    y, winners = pool.max_pool2d_forward_and_winners(x, *geometry, out_size)
    assert winners.dtype == dtype
    expected = plain_pool.max_pool2d_forward(x, *geometry, out_size)
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(winners, plain_pool.max_pool2d_winners(x, expected, *geometry))


def test_a_gradient_of_nothing_but_padding_goes_nowhere():
    x = RNG.standard_normal((1, 1, 3, 3))
    geometry = (2, 2), (1, 1), ((1, 1), (1, 1)), (4, 4)  # the taps are at -1 and 3
    y, winners = pool.max_pool2d_forward_and_winners(x, *geometry, (1, 1))
    assert (y == -np.inf).all() and (winners == 0).all()
    grad_x = pool.max_pool2d_backward(np.ones(y.shape), winners, x.shape, *geometry)
    np.testing.assert_array_equal(grad_x, np.zeros(x.shape))
