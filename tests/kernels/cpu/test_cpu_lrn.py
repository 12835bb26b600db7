"""LRN's windows of any size, at the ends of the channels and beyond them, and powers other than the paper's."""

import numpy as np
import pytest

from minicnn.kernels.cpu import lrn
from minicnn.ops import lrn as plain


@pytest.mark.parametrize("beta", [0.75, 0.5, 1.0])
@pytest.mark.parametrize("size", [1, 2, 4, 5, 9, 40])
def test_equals_the_page(size, beta):
    x, grad_out = np.random.default_rng(0).standard_normal((2, 3, 11, 4, 5))
    arguments = size, 2.0, beta, 1.5, 1
    y, expected = (ops.local_response_norm_forward(x, *arguments) for ops in (lrn, plain))
    np.testing.assert_allclose(y, expected, rtol=1e-12)
    grad_x, expected = (ops.local_response_norm_backward(grad_out, x, *arguments) for ops in (lrn, plain))
    np.testing.assert_allclose(grad_x, expected, rtol=1e-12, atol=1e-12)
