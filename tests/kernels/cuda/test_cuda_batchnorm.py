"""Batch norm in CUDA C++: digits that are kept, two launches each way, the bytes that it moves, and bfloat16."""

import ml_dtypes
import numpy as np
import pytest
from checks import Place, needs_compiler

from minicnn.emulated import on_device
from minicnn.kernels.arguments import is_channels_last
from minicnn.kernels.cuda import batchnorm, sync_batchnorm
from minicnn.kernels.cuda.emulator.recording import recording, sectors
from minicnn.ops import batchnorm as page

pytestmark = needs_compiler

BFLOAT16 = ml_dtypes.bfloat16


@pytest.fixture(autouse=True)
def _emulated():
    with Place("cuda", "fast").active():
        yield


def there(value):
    if isinstance(value, tuple):
        return tuple(there(part) for part in value)
    return on_device(value.copy()) if isinstance(value, np.ndarray) else value


def scene(name, shape=(8, 3, 60, 61)):
    """float32 numbers, more of a channel than one thread block takes."""
    rng = np.random.default_rng(1)
    x = rng.standard_normal(shape)
    if name == "large mean":
        x = 1e4 + x / 100
    elif name == "a mean that drifts":
        x += np.linspace(-100, 100, 8).reshape(8, 1, 1, 1)
    elif name == "one image unlike the rest":
        x[0] *= 1e-3
        x[-1] += 1e4
    elif name == "the first number unlike the rest":
        x[:, :, 0, 0] = 1e4
    else:
        x[...] = 0.1
    return x.astype(np.float32)


SCENES = [
    "large mean",
    "a mean that drifts",
    "one image unlike the rest",
    "the first number unlike the rest",
    "constant",
]


@pytest.mark.parametrize("name", SCENES)
@pytest.mark.parametrize("rows", [False, True])
def test_statistics_in_one_pass_lose_no_digits(rows, name):
    x = scene(name)
    exact = x.astype(np.float64)
    mean, var = exact.mean(axis=(0, 2, 3)), exact.var(axis=(0, 2, 3))
    given = np.ascontiguousarray(np.moveaxis(x, 1, -1)).reshape(-1, 3) if rows else x  # (N, C): channels side by side
    _, found, variance = np.asarray(sync_batchnorm.batch_norm_moments(there(given)))
    np.testing.assert_allclose(found, mean, rtol=1e-6, atol=1e-7 * np.abs(x).max())
    np.testing.assert_allclose(variance, var, rtol=1e-5, atol=1e-14)


def test_a_variance_beyond_the_largest_number_is_infinite():
    x = np.random.default_rng(0).uniform(-1, 1, (4, 2, 30, 31)).astype(np.float32)  # several numbers a thread
    x[:, 0] *= 1e36
    _, mean, var = np.asarray(sync_batchnorm.batch_norm_moments(there(x)))
    assert np.isfinite(mean).all() and var[0] == np.inf and np.isfinite(var[1])


@pytest.mark.parametrize("dtype", [np.float32, BFLOAT16])
def test_nan_stays_and_an_infinite_pixel_has_a_finite_gradient(dtype):
    x = np.random.default_rng(0).standard_normal((2, 8, 5, 4)).astype(dtype)
    x[0, 3, 2, 1], x[1, 4, 0, 0] = np.inf, np.nan
    statistics = there((np.zeros(8, np.float32), np.ones(8, np.float32)))
    for residual in (None, x[::-1].copy()):
        y = batchnorm.batch_norm_relu_forward(there(x), None, None, *statistics, there(residual))
        assert np.isnan(np.asarray(y)[1, 4, 0, 0]) and np.isinf(np.asarray(y)[0, 3, 2, 1])
        added = x.astype(np.float32) + (0 if residual is None else residual.astype(np.float32))
        ones = there(np.ones_like(x))
        grads = batchnorm.batch_norm_relu_backward(
            ones, there(x), y, None, None, statistics, False, residual is not None
        )
        np.testing.assert_array_equal(np.asarray(grads[0]), np.where(added <= 0, 0, 1))


def test_too_many_images_are_refused():
    with pytest.raises(ValueError, match="too many images for one call"):
        batchnorm._plan((2**16, 3, 2**8, 2**8), 4, False, True, 8)


# Launches and bytes


@pytest.mark.parametrize("with_residual", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, BFLOAT16])
def test_training_is_two_launches_forward_and_two_back(dtype, with_residual):
    rng = np.random.default_rng(0)
    shape = (4, 16, 20, 32)  # vectors of 16 bytes in both layouts
    x, grad_out, residual = (laid_out(rng.standard_normal(shape).astype(dtype)) for _ in range(3))
    weight, bias, *running = there(tuple(rng.random((4, 16), np.float32)))
    with recording() as launches:
        statistics = batchnorm.batch_norm_statistics(x, running, 0.1, 1e-5)
        y = batchnorm.batch_norm_relu_forward(x, weight, bias, *statistics, residual if with_residual else None)
        batchnorm.batch_norm_relu_backward(grad_out, x, y, weight, bias, statistics, True, with_residual)
    names = "statistics", "forward", "grad_weight_bias", "grad_x"
    assert [launch.kernel for launch in launches] == [f"batch_norm_{name}" for name in names]
    least = x.nbytes // 32  # sectors of one array
    reads, writes = (
        [sum(passes(launch, kind, least) for kind in kinds) for launch in launches]
        for kinds in (["x", "grad_out", "residual", "y"], ["y!", "behind!", "grad_x!"])
    )
    assert reads == ([1, 2, 3, 2] if with_residual else [1, 1, 2, 2])  # as in the kernels' comment
    assert writes == ([0, 1, 1, 1] if with_residual else [0, 1, 0, 1])


def laid_out(array):
    """On the device; channels-last if it is of bfloat16."""
    if array.dtype == BFLOAT16:
        array = np.ascontiguousarray(array.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
        return array.view(type(on_device(array)))
    return there(array)


def passes(launch, name, least):
    """How often an array crosses the bus ("y!": is written), in sectors that requests touch."""
    if name.rstrip("!") not in launch.names:
        return 0
    rows = launch.writes(name[:-1]) if name.endswith("!") else launch.reads(name)
    rows = rows[rows["bytes"] == 16]  # whoever reads one number, the first of a channel, reads it beside the others
    return sectors(rows) / least


# bfloat16: computed in float32, and rounded once


@pytest.mark.parametrize(
    "shape", [(5, 3, 13, 17), (3, 24, 9, 30), (7, 40), (2, 4, 6), (2, 8, 3, 5, 4), (40, 300, 5, 6)]
)
@pytest.mark.parametrize("with_residual", [False, True])
def test_bfloat16_is_float32_rounded_once(shape, with_residual):
    rng, channels = np.random.default_rng(0), shape[1]
    x, grad_out, residual = ((rng.standard_normal(shape) + 1).astype(BFLOAT16) for _ in range(3))
    weight, bias, mean, var = rng.random((4, channels), np.float32)
    running = mean.copy(), var.copy()
    wide = [array.astype(np.float32) for array in (x, grad_out, residual)]
    moved = there(running)
    statistics = batchnorm.batch_norm_statistics(there(x), moved, 0.3, 1e-3)
    expected = page.batch_norm_statistics(wide[0], running, 0.3, 1e-3)
    for value, wanted in zip((*statistics, *moved), (*expected, *running), strict=True):
        assert value.dtype == np.float32
        np.testing.assert_allclose(np.asarray(value), wanted, rtol=3e-6, atol=1e-6)

    added = (residual, wide[2]) if with_residual else (None, None)
    y = batchnorm.batch_norm_relu_forward(there(x), *there((weight, bias, *expected, added[0])))
    check_rounded(y, page.batch_norm_relu_forward(wide[0], weight, bias, *expected, added[1]))
    statistics = there(expected)
    grads = batchnorm.batch_norm_relu_backward(
        there(grad_out), there(x), y, *there((weight, bias)), statistics, True, with_residual
    )
    of_page = page.batch_norm_relu_backward(
        wide[1], wide[0], np.asarray(y).astype(np.float32), weight, bias, expected, True, with_residual
    )
    check_rounded(grads[0], of_page[0])
    for value, wanted in zip(grads[1:3], of_page[1:3], strict=True):
        assert value.dtype == np.float32
        np.testing.assert_allclose(np.asarray(value), wanted, rtol=1e-4, atol=1e-4 * np.abs(wanted).max())
    if with_residual:
        check_rounded(grads[3], of_page[3])
    else:
        assert grads[3] is None


def check_rounded(value, wanted):
    """bfloat16, channels-last, the number next to the one that is wanted or, where float32 falls between, the other."""
    assert value.dtype == BFLOAT16 and value.shape == wanted.shape
    assert value.ndim != 4 or is_channels_last(value)
    np.testing.assert_allclose(np.asarray(value).astype(np.float32), wanted, rtol=2**-8, atol=1e-5)
