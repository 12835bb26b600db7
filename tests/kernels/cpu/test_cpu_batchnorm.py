"""Batch norm with ReLU and residual in one pass: the same as one after the other; statistics that keep their digits."""

import numpy as np
import pytest

from minicnn.kernels.cpu import activation, arithmetic, batchnorm
from minicnn.kernels.cpu.machine import threads
from minicnn.ops import batchnorm as plain

RNG = np.random.default_rng(0)
SHAPE = (6, 20, 17, 15)


@pytest.fixture(autouse=True)
def _number_of_threads():
    before = threads.threads()
    yield
    threads.set_threads(before)


def images(dtype=np.float32):
    return RNG.standard_normal(SHAPE).astype(dtype)


def vector(dtype=np.float32):
    return RNG.standard_normal(SHAPE[1]).astype(dtype)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("with_residual", [True, False])
def test_one_pass_is_one_after_the_other(with_residual, affine, training):
    x, grad_out, residual = images(), images(), images() if with_residual else None
    weight, bias = (vector(), vector()) if affine else (None, None)
    mean, inv_std = batchnorm.batch_norm_statistics(x, None, 0.1, 1e-5)

    y = batchnorm.batch_norm_relu_forward(x, weight, bias, mean, inv_std, residual)
    normalised = batchnorm.batch_norm_forward(x, weight, bias, mean, inv_std)
    added = normalised if residual is None else arithmetic.residual_add_forward(normalised, residual)
    np.testing.assert_array_equal(y, activation.relu_forward(added, None))

    fused = batchnorm.batch_norm_relu_backward(
        grad_out, x, y, weight, bias, (mean, inv_std), training, residual=with_residual
    )
    behind = activation.relu_backward(grad_out, y)
    sums = plain.batch_norm_grad_weight_bias(behind, x, mean, inv_std)
    grad_x = plain.batch_norm_grad_x(behind, x, weight, mean, inv_std, sums if training else None)
    expected = grad_x, *sums, behind if with_residual else None
    for value, wanted in zip(fused, expected, strict=True):
        if wanted is None:
            assert value is None
        else:
            np.testing.assert_allclose(value, wanted, rtol=2e-5, atol=2e-5 * np.abs(wanted).max())


def test_nan_passes_through_and_back():
    x = images()
    x[0, 3, 2, 1] = np.nan
    mean, inv_std = vector(), np.ones(20, np.float32)
    for residual in (None, images()):
        y = batchnorm.batch_norm_relu_forward(x, None, None, mean, inv_std, residual)
        assert np.isnan(y[0, 3, 2, 1]) and np.isnan(y).sum() == 1
        grads = batchnorm.batch_norm_relu_backward(x, x, y, None, None, (mean, inv_std), False, residual is not None)
        assert np.isnan(grads[0][0, 3, 2, 1])


@pytest.mark.parametrize("residual", [False, True])
def test_in_evaluation_the_gradient_of_an_infinite_pixel_is_finite(residual):
    x, mean, inv_std = images(), vector(), np.ones(20, np.float32)
    x[0, 3, 2, 1], x[1, 4, 0, 0] = np.inf, np.nan
    y = batchnorm.batch_norm_relu_forward(x, None, None, mean, inv_std, images() if residual else None)
    grads = batchnorm.batch_norm_relu_backward(np.ones_like(x), x, y, None, None, (mean, inv_std), False, residual)
    np.testing.assert_array_equal(grads[0], np.where(y <= 0, 0, 1))


@pytest.mark.parametrize("scene", ["large mean", "a mean that drifts", "one block unlike the rest", "constant"])
@pytest.mark.parametrize("channels", [3, 64, 700])
@pytest.mark.parametrize("count", [1, 3])
def test_statistics_in_one_pass_lose_no_digits(count, channels, scene):
    threads.set_threads(count)
    rng = np.random.default_rng(1)
    x = rng.standard_normal((8, channels, 20, 30)).astype(np.float32)
    if scene == "large mean":
        x += 1000
    elif scene == "a mean that drifts":
        x += np.linspace(-100, 100, 8, dtype=np.float32).reshape(8, 1, 1, 1)
    elif scene == "one block unlike the rest":
        x[0] *= 1e-3
        x[-1] += 1e4
    else:
        x[...] = 0.1
    mean, var = batchnorm.mean_and_variance(x)
    exact = x.astype(np.float64)
    np.testing.assert_allclose(mean, exact.mean(axis=(0, 2, 3)), rtol=1e-6, atol=1e-7 * np.abs(x).max())
    np.testing.assert_allclose(var, exact.var(axis=(0, 2, 3)), rtol=5e-6, atol=1e-14)


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("odd", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("where", [0, -1])
def test_an_infinity_has_the_pages_statistics(where, odd, count):
    threads.set_threads(count)
    x = images()
    x[where, 3, where, where] = odd
    x[0, 5, 0, 0], x[-1, 5, -1, -1] = np.inf, -np.inf
    with np.errstate(invalid="ignore"):
        for value, expected in zip(batchnorm.mean_and_variance(x), plain.mean_and_variance(x), strict=True):
            assert value.dtype == expected.dtype
            np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-6)
            assert not np.isfinite(value[[3, 5]]).any() and np.isfinite(value).sum() == SHAPE[1] - 2
