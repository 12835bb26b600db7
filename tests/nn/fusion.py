"""What the tests of ``minicnn.fuse`` share."""

import numpy as np
from networks import with_statistics

import minicnn
from minicnn import Tensor, nn, no_grad
from minicnn.nn.watch import tensors_in

PICTURE = 3, 6, 6


def noise(*shape, dtype="f"):
    return Tensor(np.random.default_rng(1).standard_normal(shape).astype(dtype))


def check_same(model, fused, *pictures, tolerance=1e-5):
    with no_grad():
        results = zip(tensors_in(model(*pictures)), tensors_in(fused(*pictures)), strict=True)
    for expected, found in [(a.numpy(), b.numpy()) for a, b in results]:
        assert found.dtype == expected.dtype and np.isfinite(expected).all() and expected.any()
        np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * np.abs(expected).max())
        if expected.ndim == 2:
            np.testing.assert_array_equal(found.argmax(1), expected.argmax(1))


def small():
    minicnn.manual_seed(0)
    return with_statistics(
        nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(inplace=True),
            nn.Conv2d(8, 8, 3, groups=8),
            nn.BatchNorm2d(8),
            nn.ReLU6(),
            nn.Dropout(0.5),
            nn.Flatten(),
            nn.Linear(128, 4),
        )
    )
