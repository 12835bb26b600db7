"""Negative log-likelihood on the processor: in any layout, by three threads, and labels that no class has."""

import numpy as np
import pytest

from minicnn.kernels.cpu import nll_loss as fast
from minicnn.kernels.cpu.machine import threads
from minicnn.ops import nll_loss as plain

RNG = np.random.default_rng(0)
X = RNG.standard_normal((5, 7, 60, 70)).astype(np.float32)
TARGET = RNG.integers(-1, 7, (5, 60, 70))  # -1 is ignored
WEIGHT = RNG.random(7, np.float32)
LAYOUTS = {
    "C order": X,
    "channels-last": np.moveaxis(np.ascontiguousarray(np.moveaxis(X, 1, -1)), -1, 1),
    "Fortran order": np.asfortranarray(X),
    "every second": np.repeat(X, 2, axis=3)[..., ::2],
}


@pytest.fixture(autouse=True)
def three_threads():
    before = threads.threads()
    threads.set_threads(3)
    yield
    threads.set_threads(before)


@pytest.mark.parametrize("x", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["plain", "weighted"])
def test_equals_the_page(x, weight):
    assert TARGET.size > 2 * fast.LEAST  # there is something to do for two threads
    loss, total = fast.nll_loss_forward(x, TARGET, weight, -1)
    expected, expected_total = plain.nll_loss_forward(X, TARGET, weight, -1)
    np.testing.assert_array_equal(loss, expected)
    np.testing.assert_allclose(total, expected_total, rtol=1e-6)
    for upstream in (np.array(0.7, np.float32), RNG.standard_normal(TARGET.shape).astype(np.float32)):
        grad = fast.nll_loss_backward(upstream, X.shape, TARGET, weight, -1)
        expected = plain.nll_loss_backward(upstream, X.shape, TARGET, weight, -1)
        assert grad.dtype == np.float32
        np.testing.assert_array_equal(grad, expected)


@pytest.mark.parametrize("label", [3, -1, 10**10, np.iinfo(np.int64).min])
def test_a_label_that_no_class_has_is_not_used(label):
    for wrong in (0, 3):
        target = np.array([0, 1, 2, -100])
        target[wrong] = label
        for call in (
            lambda target=target: fast.nll_loss_forward(np.zeros((4, 3)), target, None, -100),
            lambda target=target: fast.nll_loss_backward(np.array(1.0), (4, 3), target, None, -100),
        ):
            with pytest.raises(IndexError, match=f"nll_loss: target holds label {label}; there are classes 0 to 2"):
                call()
