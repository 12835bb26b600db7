"""Max, average and adaptive pooling: who wins, who shares, and where the padding counts."""

import numpy as np
import pytest
from checks import check_close, check_equals_torch, check_float32, check_gradients, forward, gradient, raises
from hypothesis import given
from hypothesis import strategies as st
from strategies import LAYOUTS, PERHAPS, SEEDS, SIDES, Case, distinct, poolings

import minicnn.functional as F
from minicnn import Tensor

MAX = poolings(dilated=True)
AVERAGE = poolings(count_include_pad=PERHAPS, divisor_override=st.sampled_from([None, 2, -3]))


@st.composite
def adaptive(draw):
    sizes = st.integers(1, 6)
    x = draw(st.tuples(st.integers(1, 2), SIDES, sizes, sizes))
    out = st.none() | sizes
    options = {"output_size": draw(sizes | st.tuples(out, out))}
    return Case((x,), options, draw(SEEDS), draw(st.sampled_from(list(LAYOUTS))))


POOLINGS = [
    pytest.param(F.max_pool2d, MAX, id="max"),
    pytest.param(F.avg_pool2d, AVERAGE, id="average"),
    pytest.param(F.adaptive_avg_pool2d, adaptive(), id="adaptive"),
]
every_pooling = pytest.mark.parametrize("function, drawn_from", POOLINGS)


@every_pooling
@given(data=st.data())
def test_gradients(place, function, drawn_from, data):
    case = data.draw(drawn_from)
    check_gradients(place, function, case.arrays(distinct), **case.options)


@every_pooling
@given(data=st.data())
def test_equals_torch(place, torch, function, drawn_from, data):
    case = data.draw(drawn_from)
    torch_function = getattr(torch.nn.functional, function.__name__)
    check_equals_torch(place, function, torch_function, case.arrays(distinct), **case.options)


@given(case=MAX)
def test_ties_nan_and_infinities_equal_torch(place, torch, case):
    def few_values(rng, shape):
        return rng.choice([0.0, 1.0, np.nan, -np.inf, np.inf], shape, p=[0.3, 0.2, 0.1, 0.3, 0.1])

    check_equals_torch(place, F.max_pool2d, torch.nn.functional.max_pool2d, case.arrays(few_values), **case.options)


@every_pooling
@given(data=st.data())
def test_float32(place, function, drawn_from, data):
    case = data.draw(drawn_from)
    check_float32(place, function, case.arrays(distinct), **case.options)


def image(rows):
    return np.array([[rows]], np.float64)


def test_the_first_of_equals_gets_the_gradient(place):
    check_close(gradient(place, F.max_pool2d, image([[7, 7], [7, 7]]), kernel_size=2), image([[1, 0], [0, 0]]), 0)


def test_overlapping_windows_add_up(place):
    x = image([[1, 5, 2], [3, 4, 0]])
    check_close(gradient(place, F.max_pool2d, x, kernel_size=2, stride=1), image([[0, 2, 0], [0, 0, 0]]), 0)


def test_nan_wins_wherever_it_stands(place):
    for spot in np.ndindex(2, 2):
        x = image([[9, 9], [9, 9]])
        x[0, 0][spot] = np.nan
        assert np.isnan(forward(place, F.max_pool2d, x, kernel_size=2)).all()
        assert gradient(place, F.max_pool2d, x, kernel_size=2)[0, 0][spot] == 1


def test_padding_never_wins(place):
    x = image([[-5, -6], [-7, -8]])
    check_close(forward(place, F.max_pool2d, x, kernel_size=2, padding=1), image([[-5, -6], [-7, -8]]), 0)
    lowest = np.full((1, 1, 2, 2), -np.inf)
    assert np.isneginf(forward(place, F.max_pool2d, lowest, kernel_size=3, padding=1)).all()
    check_close(gradient(place, F.max_pool2d, lowest, kernel_size=3, padding=1), image([[1, 0], [0, 0]]), 0)


def test_a_window_whose_taps_all_miss_the_image_sends_its_gradient_nowhere(place):
    x, window = np.ones((1, 1, 1, 1)), {"kernel_size": 2, "padding": 1, "dilation": 2}  # taps at -1 and 1
    assert np.isneginf(forward(place, F.max_pool2d, x, **window)).all()
    assert not gradient(place, F.max_pool2d, x, **window).any()


def test_an_infinite_gradient_reaches_the_winner_only(place):
    grad = gradient(place, F.max_pool2d, image([[1, 2], [3, 4]]), image([[np.inf]]), kernel_size=2)
    check_close(grad, image([[0, 0], [0, np.inf]]), 0)


@pytest.mark.parametrize("function", [F.max_pool2d, F.avg_pool2d])
def test_ceil_mode_keeps_only_windows_that_start_inside(function):
    x = Tensor(np.zeros((1, 1, 6, 5)))
    assert function(x, 3, 2, ceil_mode=True).shape == (1, 1, 3, 2)
    assert function(x, 3, 2).shape == (1, 1, 2, 2)
    assert function(x, 2, 3, padding=1, ceil_mode=True).shape == (1, 1, 3, 2)  # the third column would start at 5


def test_the_average_counts_padding_but_not_what_hangs_over(place):
    x = np.ones((1, 1, 2, 2))
    at_corner = {"kernel_size": 2, "stride": 3, "padding": 1}
    assert forward(place, F.avg_pool2d, x, **at_corner).item() == 0.25
    assert forward(place, F.avg_pool2d, x, **at_corner, count_include_pad=False).item() == 1
    assert forward(place, F.avg_pool2d, x, kernel_size=(3, 2), ceil_mode=True).item() == 1


@every_pooling
def test_empty_batch(place, function, drawn_from):
    x = np.empty((0, 2, 4, 6))
    options = {"output_size" if function is F.adaptive_avg_pool2d else "kernel_size": (2, 2)}
    assert forward(place, function, x, **options).shape[:2] == (0, 2)
    assert gradient(place, function, x, **options).shape == x.shape


@pytest.mark.parametrize("name", ["max_pool2d", "avg_pool2d"])
def test_ceil_mode_lets_a_window_be_larger_than_the_image(place, torch, name):
    options = {"kernel_size": (3, 2), "stride": (3, 1), "ceil_mode": True}
    x = np.arange(4.0).reshape(1, 1, 1, 4)
    check_equals_torch(place, getattr(F, name), getattr(torch.nn.functional, name), [x], **options)


def test_a_large_window(place, torch):
    x = np.random.default_rng(0).standard_normal((1, 2, 17, 18))
    check_equals_torch(place, F.max_pool2d, torch.nn.functional.max_pool2d, [x], kernel_size=(17, 17))  # 289 taps


X = (2, 3, 5, 6)


@pytest.mark.parametrize(
    "function, x, options, error, parts",
    [
        (F.max_pool2d, (3, 5, 6), {"kernel_size": 2}, ValueError, ["input", "(N, C, H, W)", "(3, 5, 6)"]),
        (F.max_pool2d, (2, 0, 5, 6), {"kernel_size": 2}, ValueError, ["input", "no channels", "(2, 0, 5, 6)"]),
        (F.max_pool2d, X, {"kernel_size": 0}, ValueError, ["kernel_size", "at least 1", "0"]),
        (F.max_pool2d, X, {"kernel_size": 2, "stride": 0}, ValueError, ["stride", "at least 1", "0"]),
        (F.max_pool2d, X, {"kernel_size": 3, "padding": 2}, ValueError, ["padding", "half", "(3, 3)", "(2, 2)"]),
        (F.max_pool2d, X, {"kernel_size": 3, "padding": -1}, ValueError, ["padding", "at least 0", "-1"]),
        (F.max_pool2d, X, {"kernel_size": 2, "dilation": 0}, ValueError, ["dilation", "at least 1", "0"]),
        (F.max_pool2d, X, {"kernel_size": (7, 2)}, ValueError, ["height", "7", "5 + 0 + 0", "smaller kernel"]),
        (F.max_pool2d, X, {"kernel_size": 2.0}, TypeError, ["kernel_size", "2.0"]),
        (F.avg_pool2d, X, {"kernel_size": 7}, ValueError, ["height", "7"]),
        (F.avg_pool2d, X, {"kernel_size": 2, "divisor_override": 0}, ValueError, ["divisor_override", "0"]),
        (F.adaptive_avg_pool2d, X, {"output_size": 0}, ValueError, ["output_size", "at least 1"]),
        (F.adaptive_avg_pool2d, X, {"output_size": (1, 2, 3)}, TypeError, ["output_size", "(1, 2, 3)"]),
        (F.adaptive_avg_pool2d, (2, 3, 0, 6), {"output_size": 1}, ValueError, ["(2, 3, 0, 6)", "nothing to average"]),
        (F.adaptive_avg_pool2d, (3, 5, 6), {"output_size": 1}, ValueError, ["input", "(3, 5, 6)"]),
    ],
)
def test_errors(function, x, options, error, parts):
    with raises(error, function.__name__, *parts):
        function(Tensor(np.ones(x)), **options)
