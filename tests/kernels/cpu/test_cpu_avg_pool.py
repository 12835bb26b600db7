"""Average-pooling's windows: those that overlap, and large ones, whose pixels are summed PIECE at a time."""

import numpy as np
import pytest
from test_cpu_max_pool import GEOMETRIES, windows_on

from minicnn.kernels.cpu import avg_pool
from minicnn.ops import avg_pool as plain_avg_pool
from minicnn.ops.summation import FEW

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("kernel, stride, padding", [geometry[:3] for geometry in GEOMETRIES])
def test_windows_that_overlap(kernel, stride, padding):
    """Forward and back, the same as the page's."""
    x = RNG.standard_normal((3, 21, 14, 17))
    windows = windows_on(x, kernel, stride, padding, (1, 1))
    for divide in ((True, None), (False, None), (True, 7)):
        y, expected = (ops.avg_pool2d_forward(x, windows, *divide) for ops in (avg_pool, plain_avg_pool))
        np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-12)
        back, expected = (ops.avg_pool2d_backward(y, x.shape, windows, *divide) for ops in (avg_pool, plain_avg_pool))
        assert back.shape == x.shape
        np.testing.assert_allclose(back, expected, rtol=1e-12, atol=1e-12)


def test_averages_of_large_windows():
    """Their pixels are added PIECE at a time: each window's own, of its own image."""
    x = np.random.default_rng(0).standard_normal((3, 2, 14, 31))
    windows = windows_on(x, (9, 20), (2, 3), ((1, 1), (2, 2)), (1, 1))
    assert windows.kernel[0] * windows.kernel[1] > FEW and min(windows.out_size) > 1
    y, expected = (ops.avg_pool2d_forward(x, windows, True, None) for ops in (avg_pool, plain_avg_pool))
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-13)
