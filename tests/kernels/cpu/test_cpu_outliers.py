"""Which numbers stand out among those of their image, for a Winograd convolution."""

import numpy as np
import pytest

from minicnn.kernels.cpu.convolution import outliers


def images(kind, dtype):
    x = np.random.default_rng(0).standard_normal((4, 14, 14, 32)).astype(dtype)
    if kind == "after ReLU":
        x = np.maximum(x, 0)
    elif kind == "a fifth of them large":  # as gradients are behind max-pooling and batch norm
        x[np.random.default_rng(1).random(x.shape) > 0.2] *= 1e-4
    elif kind == "half the channels tiny":
        x[..., ::2] *= 1e-20
    elif kind == "zeros":
        x[...] = 0
    return x


def marks(x):
    found = np.zeros(len(x), bool)
    some = outliers.mark_outliers(x.reshape(-1), np.abs(x).max(axis=(1, 2)).reshape(-1), found)
    assert some == found.any()
    return found.tolist()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", ["ordinary", "after ReLU", "a fifth of them large", "half the channels tiny", "zeros"])
def test_nothing_stands_out(kind, dtype):
    for scale in (1e-30, 1, 1e30):
        assert not any(marks(images(kind, dtype) * dtype(scale)))


@pytest.mark.parametrize("dtype, factor", [(np.float32, 2.0**14), (np.float64, 2.0**45)])
@pytest.mark.parametrize("kind", ["ordinary", "after ReLU"])
def test_a_number_that_stands_out_marks_its_image(kind, dtype, factor):
    for value in (factor, -factor, np.inf, -np.inf, np.nan):
        x = images(kind, dtype)
        x[1, 3, 4, 5] = x[3, 13, 13, 31] = value
        assert marks(x) == [False, True, False, True]


@pytest.mark.parametrize("kind", ["ordinary", "after ReLU"])
def test_some_of_them_stand_out_as_one_does(kind):
    x = images(kind, np.float32)
    x[0, 2] = x[2, 3:5, 3:5] = x[3, :, 7] = 1e6
    assert marks(x) == [True, False, True, True]


def test_numbers_that_the_sums_would_be_too_large_for():
    x = images("ordinary", np.float32)
    x[2] *= np.float32(1e37)
    assert marks(x) == [False, False, True, False]
