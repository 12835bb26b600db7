"""One call of Adam for all parameters: the plain page's update, wherever the threads' chunks begin and end."""

import numpy as np
import pytest
from test_cpu_sgd import some_threads  # noqa: F401, a fixture

from minicnn.kernels.cpu.adam import adam_update
from minicnn.kernels.cpu.machine import threads
from minicnn.optim import adam as plain

SHAPES = [(3,), (threads.LEAST + 77,), (), (3, threads.LEAST), (0, 4), (211, 97)]
SETTINGS = [
    (0.1, 0.9, 0.999, 1e-8, 0.0, False, 3),
    (0.1, 0.8, 0.99, 1e-3, 0.1, False, 1),
    (0.1, 0.9, 0.9, 0, 0.1, True, 2),
]


@pytest.mark.parametrize("first", range(len(SETTINGS)))
@pytest.mark.usefixtures("some_threads")
def test_equals_the_plain_update(first):
    rng = np.random.default_rng(first)
    lists = [[np.asarray(rng.standard_normal(shape)) for shape in SHAPES] for _ in range(5)]
    lists[3] = [np.asarray(array**2) for array in lists[3]]
    lists[4] = [np.asarray(array**2) if i % 2 else None for i, array in enumerate(lists[4])]
    settings = [SETTINGS[(i + first) % len(SETTINGS)] for i in range(len(SHAPES))]
    results = []
    for update in (plain.adam_update, adam_update):
        arrays = [[None if array is None else array.copy() for array in each] for each in lists]
        update(*arrays, settings)
        results.append([array for each in arrays for array in each if array is not None])
    for expected, value in zip(*results, strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-12, atol=1e-12)


def test_nothing_to_do():
    adam_update([], [], [], [], [], [])
