"""One call of SGD for all parameters: the plain page's update, whatever the sizes, the layouts and the threads."""

import numpy as np
import pytest

from minicnn.kernels.cpu.machine import threads
from minicnn.kernels.cpu.sgd import sgd_update
from minicnn.optim import sgd as plain

SHAPES = [(), (3,), (500, 100), (7, 5, 3, 3), (1,), (0, 4), (211, 97), (64,)]
SETTINGS = [
    (0.1, 0.9, 0.0, 0.0, False),
    (0.1, 0.9, 0.3, 0.01, False),
    (0.2, 0.8, 0.0, 0.02, True),
    (0.1, 0.0, 0.0, 0.0, False),
    (0.1, 0.0, 0.0, 0.05, False),
]


def arrays(dtype, layout):
    rng = np.random.default_rng(0)
    values = [np.asarray(rng.standard_normal(shape), dtype) for shape in SHAPES]
    if layout == "with gaps":
        return [np.repeat(v[..., None], 2, axis=-1)[..., 0] for v in values]
    return [np.array(v, order=layout) for v in values]


@pytest.fixture(params=[1, 3])
def some_threads(request):
    before = threads.threads()
    threads.set_threads(request.param)
    yield
    threads.set_threads(before)


@pytest.mark.parametrize("layout", ["C", "F", "with gaps"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_equals_the_plain_update(some_threads, dtype, layout):
    results = []
    for update in (plain.sgd_update, sgd_update):
        parameters, gradients, velocities = (arrays(dtype, layout) for _ in range(3))
        settings = [SETTINGS[i % len(SETTINGS)] for i in range(len(SHAPES))]
        momenta = [v if rates[1] else None for v, rates in zip(velocities, settings, strict=True)]
        for _ in range(3):
            update(parameters, gradients, momenta, settings)
        results.append(parameters + velocities)
    tolerance = 1e-5 if dtype == np.float32 else 1e-12
    for expected, value in zip(*results, strict=True):
        np.testing.assert_allclose(value, expected, rtol=tolerance, atol=tolerance)


def test_every_setting_on_a_large_parameter(some_threads):
    rng = np.random.default_rng(1)
    w, grad, velocity = rng.standard_normal((3, 3 * threads.LEAST))
    for rates in SETTINGS:
        results = []
        for update in (plain.sgd_update, sgd_update):
            own_w, own_velocity = w.copy(), velocity.copy() if rates[1] else None
            update([own_w], [grad], [own_velocity], [rates])
            results.append([own_w] if own_velocity is None else [own_w, own_velocity])
        for expected, value in zip(*results, strict=True):
            np.testing.assert_allclose(value, expected, rtol=1e-12, atol=1e-12)


def test_nothing_to_do():
    sgd_update([], [], [], [])
