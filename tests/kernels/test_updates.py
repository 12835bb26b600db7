"""The optimisers' kernels beside their pages: every setting, sizes that no block divides, arrays with gaps."""

import numpy as np
import pytest
from checks import PLACES, needs_compiler

from minicnn.device import implementation, to_device
from minicnn.optim.adam import adam_update
from minicnn.optim.sgd import sgd_update

SHAPES = [(), (7,), (300, 3), (0, 2), (5, 6), (2, 3, 4, 5), (1,), (19,), (8197,)]  # the last: of two chunks of sgd.cu
SGD_ROWS = [  # lr, momentum, dampening, weight_decay, nesterov
    (0.1, 0.0, 0.0, 0.0, False),
    (0.1, 0.9, 0.3, 0.0, False),
    (0.2, 0.9, 0.0, 0.1, True),
    (0.1, 0.8, 0.0, 0.0, False),
    (0.3, 0.0, 0.0, 0.1, False),
]
ADAM_ROWS = [  # lr, beta1, beta2, eps, weight_decay, decoupled, t
    (0.1, 0.9, 0.999, 1e-8, 0.0, False, 1),
    (0.1, 0.8, 0.99, 1e-3, 0.1, False, 7),
    (0.2, 0.9, 0.999, 1e-8, 0.1, True, 2),
    (0.2, 0.0, 0.9, 1e-8, 0.3, True, 10**6),
]


def normal(rng):
    return [np.asarray(rng.standard_normal(shape)) for shape in SHAPES]


def for_sgd(rng):
    """Lists of arrays, without velocities where there is no momentum, and rows of settings."""
    rows = [SGD_ROWS[i % len(SGD_ROWS)] for i in range(len(SHAPES))]
    velocities = [velocity if row[1] else None for velocity, row in zip(normal(rng), rows, strict=True)]
    return [normal(rng), normal(rng), velocities], rows


def for_adam(rng):
    """Likewise; every second parameter has amsgrad, whose largest squares are some larger, some smaller than now's."""
    squares = [array**2 for array in normal(rng)]
    largest = [array**2 if i % 2 else None for i, array in enumerate(normal(rng))]
    rows = [ADAM_ROWS[i // 2 % len(ADAM_ROWS)] for i in range(len(SHAPES))]
    return [normal(rng), normal(rng), normal(rng), squares, largest], rows


UPDATES = {"sgd": (sgd_update, for_sgd), "adam": (adam_update, for_adam)}
MIRRORS = [pytest.param(place, marks=needs_compiler if str(place) == "cuda-fast" else []) for place in PLACES[1:]]
TOLERANCE = {np.float32: 1e-5, np.float64: 1e-12}


def placed(array, device, dtype):
    """A copy; one with two axes has gaps between its rows."""
    if array is None:
        return None
    values = np.array(array, dtype)
    return to_device(np.repeat(values, 2, axis=0), device)[::2] if values.ndim == 2 else to_device(values, device)


def check_update(stem, place, dtype=np.float64):
    """The mirror changes the arrays as the page does, and the gradients not at all."""
    update, arguments = UPDATES[stem]
    lists, rows = arguments(np.random.default_rng(0))
    results = []
    with place.active():
        for device, tier in (("cpu", "plain"), place):
            arrays = [[placed(array, device, dtype) for array in each] for each in lists]
            implementation(update, device, tier)(*arrays, rows)
            results.append([array for each in arrays for array in each if array is not None])
        for expected, found in zip(*results, strict=True):
            np.testing.assert_allclose(to_device(found, "cpu"), expected, TOLERANCE[dtype], TOLERANCE[dtype])


@pytest.mark.parametrize("mirror", MIRRORS, ids=str)
@pytest.mark.parametrize("dtype", list(TOLERANCE))
@pytest.mark.parametrize("stem", list(UPDATES))
def test_equals_the_page(stem, dtype, mirror):
    check_update(stem, mirror, dtype)


@pytest.mark.parametrize("stem", list(UPDATES))
def test_a_loss_that_is_not_finite_changes_nothing(stem, place):
    """A finite one changes what none at all would."""
    update, arguments = UPDATES[stem]
    lists, rows = arguments(np.random.default_rng(0))

    def after(loss):
        arrays = [[placed(array, place.device, np.float64) for array in each] for each in lists]
        given = None if loss is None else to_device(np.array(loss), place.device)
        implementation(update, *place)(*arrays, rows, given)
        return [to_device(array, "cpu") for each in arrays for array in each if array is not None]

    before = [placed(array, "cpu", np.float64) for each in lists for array in each if array is not None]
    for loss in (np.nan, np.inf, -np.inf):
        for found, expected in zip(after(loss), before, strict=True):
            np.testing.assert_array_equal(found, expected)
    for found, expected in zip(after(2.5), after(None), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert any((a != b).any() for a, b in zip(after(2.5), before, strict=True))


WRONG = [
    ("its gradient is shorter", lambda lists, rows: lists[1].__setitem__(2, lists[1][2][:1])),
    ("its gradient is of another shape", lambda lists, rows: lists[1].__setitem__(4, lists[1][4].reshape(6, 5))),
    ("what is kept is shorter", lambda lists, rows: lists[2].__setitem__(2, lists[2][2][:1])),
    ("the last list is shorter", lambda lists, rows: lists[-1].__setitem__(5, lists[0][1])),
    ("another dtype", lambda lists, rows: lists[1].__setitem__(2, lists[1][2].astype(np.float32))),
    ("a gradient is missing", lambda lists, rows: lists[1].pop()),
    ("what is kept is missing", lambda lists, rows: lists[-1].pop()),
    ("settings are missing", lambda lists, rows: rows.pop()),
]


@pytest.mark.parametrize("change", [pytest.param(change, id=name) for name, change in WRONG])
@pytest.mark.parametrize("mirror", MIRRORS, ids=str)
@pytest.mark.parametrize("stem", list(UPDATES))
def test_arrays_that_do_not_belong_together_reach_no_kernel(stem, mirror, change):
    update, arguments = UPDATES[stem]
    with mirror.active():
        lists, rows = arguments(np.random.default_rng(0))
        lists = [[placed(array, mirror.device, np.float64) for array in each] for each in lists]
        change(lists, rows)
        before = [to_device(array, "cpu").copy() for array in lists[0]]
        with pytest.raises(ValueError):
            implementation(update, mirror.device, mirror.tier)(*lists, rows)
        for old, array in zip(before, lists[0], strict=True):
            assert np.array_equal(old, to_device(array, "cpu"))


@pytest.mark.parametrize("stem", list(UPDATES))
@pytest.mark.parametrize("mirror", MIRRORS, ids=str)
def test_nan_goes_into_every_mean(stem, mirror):
    """A gradient that is NaN must not be taken for a small one, by the largest square either."""
    update, arguments = UPDATES[stem]
    with mirror.active():
        lists, rows = arguments(np.random.default_rng(0))
        lists[1][1][3] = np.nan
        lists = [[placed(array, mirror.device, np.float64) for array in each] for each in lists]
        implementation(update, mirror.device, mirror.tier)(*lists, rows)
        for each in lists:
            assert each[1] is None or np.isnan(to_device(each[1], "cpu")).nonzero() == ([3],)
