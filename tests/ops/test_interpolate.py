"""Interpolation: both modes, sizes and scale factors as PyTorch rounds them, what is not finite, what is refused."""

import numpy as np
import pytest
from checks import check_close, check_equals_torch, check_float32, check_gradients, forward, gradient, raises, run
from hypothesis import given
from hypothesis import strategies as st
from strategies import LAYOUTS, SEEDS, Case, pairs

import minicnn.functional as F
from minicnn import Tensor
from minicnn.ops.interpolate import axis

CORNERS = {"nearest": [None], "bilinear": [None, False, True]}
both_modes = pytest.mark.parametrize("mode", CORNERS)


@st.composite
def resizings(draw):
    """(x,) and every option: sizes and scale factors, larger, smaller and one pixel."""
    x = (draw(st.integers(1, 2)), draw(st.integers(1, 3)), draw(st.integers(1, 5)), draw(st.integers(1, 5)))
    mode = draw(st.sampled_from(list(CORNERS)))
    options = {"mode": mode, "align_corners": draw(st.sampled_from(CORNERS[mode]))}
    if draw(st.booleans()):
        options["size"] = draw(pairs(1, 8))
    else:
        factors = st.sampled_from([1.0, 2.0, 1.5, 2.7, 3.3, 1.1])
        options["scale_factor"] = draw(factors | st.tuples(factors, factors))
        options["recompute_scale_factor"] = draw(st.sampled_from([None, False, True]))
    return Case((x,), options, draw(SEEDS), draw(st.sampled_from(list(LAYOUTS))))


@given(case=resizings())
def test_gradients(place, case):
    check_gradients(place, F.interpolate, case.arrays(), **case.options)


@given(case=resizings())
def test_equals_torch(place, torch, case):
    check_equals_torch(place, F.interpolate, torch.nn.functional.interpolate, case.arrays(), **case.options)


@given(case=resizings())
def test_float32(place, case):
    check_float32(place, F.interpolate, case.arrays(), **case.options)


@both_modes
def test_many_sizes_are_rounded_as_pytorch_does(torch, mode):
    for size in (1, 2, 3, 7, 10, 33, 100):
        x = np.arange(size, dtype=np.float32).reshape(1, 1, 1, size)
        given = [{"size": (1, out)} for out in (1, 2, 3, 5, 14, 20, 99, 101)]
        given += [{"scale_factor": (1, s)} for s in (1, 1.3, 0.7, 1 / 3, 2, 2.1, 3, 4.999, 0.1) if int(size * s)]
        for options in given:
            y = F.interpolate(Tensor(x), mode=mode, **options).numpy()
            expected = torch.nn.functional.interpolate(torch.from_numpy(x), mode=mode, **options).numpy()
            assert y.shape == expected.shape, options
            np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5 * size, err_msg=f"{size} {options}")


def test_by_hand(place):
    x = np.array([[[[0.0, 4.0]]]])
    np.testing.assert_array_equal(forward(place, F.interpolate, x, size=(1, 4))[0, 0], [[0, 0, 4, 4]])
    y = forward(place, F.interpolate, x, size=(1, 4), mode="bilinear")
    np.testing.assert_array_equal(y[0, 0], [[0, 1, 3, 4]])
    y = forward(place, F.interpolate, x, size=(2, 5), mode="bilinear", align_corners=True)
    np.testing.assert_array_equal(y[0, 0], [[0, 1, 2, 3, 4]] * 2)


def test_a_pixel_collects_from_its_outputs(place):
    grad = gradient(place, F.interpolate, np.zeros((1, 1, 2, 2)), scale_factor=(2, 3))
    np.testing.assert_array_equal(grad[0, 0], [[6, 6], [6, 6]])
    grad = gradient(place, F.interpolate, np.zeros((1, 1, 1, 2)), [[[[1, 0, 0, 0]]]], size=(1, 4), mode="bilinear")
    np.testing.assert_array_equal(grad[0, 0], [[1, 0]])
    grad = gradient(place, F.interpolate, np.zeros((1, 1, 1, 2)), [[[[0, 1, 0, 0]]]], size=(1, 4), mode="bilinear")
    np.testing.assert_array_equal(grad[0, 0], [[0.75, 0.25]])


def test_what_is_not_finite_stays_where_it_is_seen(place):
    x = np.zeros((1, 1, 3, 3))
    x[0, 0, 1, 1] = np.inf
    y = forward(place, F.interpolate, x, scale_factor=2)
    assert (np.isinf(y).sum(), np.isnan(y).sum()) == (4, 0)
    for corners, seen in ((True, 9), (False, 16)):
        y = forward(place, F.interpolate, x, size=(5, 5) if corners else 6, mode="bilinear", align_corners=corners)
        assert (np.isinf(y).sum(), np.isnan(y).sum()) == (seen, 0)
    upstream = np.zeros((1, 1, 5, 5))
    upstream[0, 0, 2, 2] = np.nan  # output (2, 2) is pixel (1, 1), and no other has a share of it
    options = {"size": (5, 5), "mode": "bilinear", "align_corners": True}
    assert np.isnan(gradient(place, F.interpolate, x, upstream, **options)).sum() == 1


@both_modes
def test_results_repeat_bit_for_bit_in_any_layout(place, mode):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 3, 5, 4)).astype(np.float32)
    y, (grad,) = run(place, F.interpolate, [x], size=(7, 9), mode=mode)
    for layout in ("C", "F", "channels last"):
        again, (grad_again,) = run(place, F.interpolate, [LAYOUTS[layout](x)], size=(7, 9), mode=mode)
        assert np.array_equal(again, y) and np.array_equal(grad_again, grad)


def test_no_images(place):
    for shape in ((0, 3, 2, 2), (2, 0, 2, 2)):
        y, (grad,) = run(place, F.interpolate, [np.empty(shape)], scale_factor=2, mode="bilinear")
        assert y.shape == (*shape[:2], 4, 4) and grad.shape == shape


@pytest.mark.parametrize("size, out", [(1, 1), (1, 7), (7, 1), (5, 13), (13, 5), (6, 6)])
@pytest.mark.parametrize("mode, corners", [("nearest", False), ("bilinear", False), ("bilinear", True)])
def test_each_pixel_knows_its_outputs(size, out, mode, corners):
    source, share, first, end = axis(size, out, None, mode, corners, np.float64)
    for pixel in range(size):
        looked = [i for i in range(out) if source[i] == pixel or (share[i] > 0 and source[i] + 1 == pixel)]
        assert list(range(first[pixel], end[pixel])) == looked
    assert (source + (share > 0)).max() < size and share.min() >= 0 and share.max() < 1


@pytest.mark.parametrize(
    "shape, options, error, parts",
    [
        ((2, 3, 4), {"size": 2}, ValueError, ["input", "(N, C, H, W)", "(2, 3, 4)"]),
        ((1, 1, 0, 4), {"size": 2}, ValueError, ["(1, 1, 0, 4)", "no pixels"]),
        ((1, 1, 3, 4), {}, ValueError, ["size or scale_factor", "None and None"]),
        ((1, 1, 3, 4), {"size": 2, "scale_factor": 2}, ValueError, ["one of the two", "2 and 2"]),
        ((1, 1, 3, 4), {"size": (2, 0)}, ValueError, ["size", "at least 1", "0"]),
        ((1, 1, 3, 4), {"size": 2.0}, TypeError, ["size", "2.0"]),
        ((1, 1, 3, 4), {"scale_factor": 0}, ValueError, ["scale_factor", "above 0", "0"]),
        ((1, 1, 3, 4), {"scale_factor": (1, 2, 3)}, TypeError, ["scale_factor", "(1, 2, 3)"]),
        ((1, 1, 3, 4), {"scale_factor": "2"}, TypeError, ["scale_factor", "'2'"]),
        ((1, 1, 3, 4), {"scale_factor": 0.3}, ValueError, ["scale_factor 0.3", "(0, 1)", "(3, 4)"]),
        ((1, 1, 3, 4), {"size": 2, "mode": "bicubic"}, ValueError, ["mode", "'bicubic'", "'nearest' or 'bilinear'"]),
        ((1, 1, 3, 4), {"size": 2, "align_corners": True}, ValueError, ["align_corners", "bilinear", "True"]),
        ((1, 1, 3, 4), {"size": 2, "antialias": True}, ValueError, ["antialias is not built", "avg_pool2d"]),
        ((1, 1, 3, 4), {"size": 2, "recompute_scale_factor": True}, ValueError, ["recompute_scale_factor", "size 2"]),
    ],
)
def test_errors(shape, options, error, parts):
    with raises(error, "interpolate", *parts):
        F.interpolate(Tensor(np.ones(shape)), **options)


def test_the_gradient_of_a_mean_is_shared(place):
    grad = gradient(place, F.interpolate, np.zeros((1, 1, 2, 2)), size=1, mode="bilinear")
    check_close(grad, np.full((1, 1, 2, 2), 0.25), 0)
