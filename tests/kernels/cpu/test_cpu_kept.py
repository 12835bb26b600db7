"""What is kept of arrays that cannot change: right in every pass of every algorithm, made once, gone with the array."""

import copy
import gc
import itertools
import pickle
import threading

import numpy as np
import pytest
from test_cpu_conv import CASES, inputs
from ways import multiplied_by

from minicnn.immutable import immutable, is_immutable
from minicnn.kernels.cpu import conv, conv_transpose, linear
from minicnn.kernels.cpu.convolution import few_small
from minicnn.kernels.cpu.machine import kept, memory, threads
from minicnn.kernels.cpu.machine.layout import behind_channels, channels_last
from minicnn.precision import narrow, wide

SOME = [name for name in CASES if "many" not in name]


@pytest.fixture
def makes(monkeypatch):
    """The keys for which something has been made, of immutable arrays."""
    made, original = [], kept._space

    def space(name, shape, dtype):
        made.append(name)
        return original(name, shape, dtype)

    monkeypatch.setattr(kept, "_space", space)
    return made


@pytest.mark.parametrize("name", SOME)
def test_convolutions(name, makes):
    """Forward and for grad_x, an immutable weight gives what another one gives, for one picture after the other."""
    _, x_shape, weight_shape, *geometry = CASES[name]
    x, weight, bias, grad_out = inputs(x_shape, weight_shape, geometry)
    fixed, fixed_bias = immutable(weight), immutable(bias)
    for factor in (1.0, -3.0):  # what was kept does not depend on the picture
        y = conv.conv2d_forward(factor * x, fixed, fixed_bias, *geometry)
        expected = conv.conv2d_forward(factor * x, weight, bias, *geometry)
        np.testing.assert_allclose(y, expected, atol=1e-10 * np.abs(expected).max(initial=1))
        grad_x = conv.conv2d_grad_x(factor * grad_out, x.shape, fixed, *geometry)
        expected = conv.conv2d_grad_x(factor * grad_out, x.shape, weight, *geometry)
        np.testing.assert_allclose(grad_x, expected, atol=1e-10 * np.abs(expected).max(initial=1))
        if factor == 1.0:
            made = len(makes)
    assert len(makes) == made  # nothing at the second picture


IN_BFLOAT16 = {"winograd": {"in_float32.weight", "winograd.u"}, "depthwise": {"in_float32.weight"}}  # what is kept


@pytest.mark.parametrize("name", IN_BFLOAT16)
def test_convolutions_in_bfloat16(name, makes, monkeypatch):
    """The same, bit for bit; what Winograd's algorithm makes of a rounded weight is kept, too."""
    multiplied_by("avx512", monkeypatch)
    _, x_shape, weight_shape, *geometry = CASES[name]
    x, weight, bias, grad_out = inputs(x_shape, weight_shape, geometry, np.float32)
    fixed = immutable(weight)
    for factor in (1, -3):
        images, gradients = narrow(factor * x), narrow(factor * grad_out)
        for y, expected in (
            [conv.conv2d_forward(images, each, bias, *geometry) for each in (fixed, weight)],
            [conv.conv2d_grad_x(gradients, x.shape, each, *geometry) for each in (fixed, weight)],
        ):
            np.testing.assert_array_equal(wide(y), wide(expected))
        if factor == 1:
            made = len(makes)
    assert len(makes) == made and set(makes) == IN_BFLOAT16[name]


@pytest.mark.parametrize("name", ["pointwise", "im2col", "winograd", "strided, few filters", "stem"])
def test_few_pictures_by_any_number_of_threads(name):
    """Compiled work that threads share by rows, filters, bands or places: the same to the last bit, twice over."""
    few = {  # (x, weight, stride, padding): of 49 windows threads share the filters, of 784 the rows
        "pointwise": ((1, 64, 7, 7), (160, 64, 1, 1), 1, 0),
        "im2col": ((1, 24, 14, 14), (200, 24, 3, 3), 2, 1),
        "winograd": ((2, 160, 13, 14), (96, 160, 3, 3), 1, 1),
        "strided, few filters": ((1, 24, 57, 56), (40, 24, 3, 3), 2, 1),
        "stem": ((2, 3, 64, 61), (33, 3, 7, 7), 2, 3),
    }
    x_shape, weight_shape, stride, pad = few[name]
    geometry = (stride, stride), ((pad, pad), (pad, pad)), (1, 1), 1
    x, weight, bias, y = inputs(x_shape, weight_shape, geometry, np.float32)
    fixed, before = immutable(weight), threads.threads()
    try:
        for given in itertools.product((bias, None), (y, None), (True, False)):  # bias, residual, relu
            results, (own, residual, relu) = [], given
            for count in (1, 2, 3, 2):
                threads.set_threads(count)
                more = {"residual": None if residual is None else channels_last(residual), "relu": relu}
                results.append(conv.convolved(x, fixed, own, geometry, **more))
            expected = conv.convolved(x, weight, own, geometry, **more)
            for result in results:
                np.testing.assert_array_equal(result, expected)
    finally:
        threads.set_threads(before)


@pytest.mark.parametrize("padding", [((3, 3), (3, 3)), ((0, -2), (-1, 4)), ((9, 0), (0, 9))])
def test_a_picture_in_either_order_in_memory(padding):
    """The first layer's pictures are turned round on the way into frames, by few_stem.py, or lie as they should."""
    x, weight, bias, _ = inputs((2, 3, 20, 23), (17, 3, 7, 5), ((2, 3), padding, (1, 1), 1), np.float32)
    expected = conv.conv2d_forward(x, weight, bias, (2, 3), padding, (1, 1), 1)
    for picture in (x, behind_channels(channels_last(x)), immutable(x)):
        result = conv.conv2d_forward(picture, immutable(weight), bias, (2, 3), padding, (1, 1), 1)
        np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize(
    "x_shape, weight_shape, padding",
    [
        ((1, 120, 7, 7), (152, 120, 3, 3), ((1, 1), (1, 1))),
        ((1, 130, 8, 9), (127, 130, 3, 3), ((0, 2), (2, 0))),
        ((1, 256, 12, 5), (64, 256, 3, 3), ((0, 0), (1, 1))),
    ],
)
def test_small_maps(x_shape, weight_shape, padding):
    """By tiles of 2 x 2 (few_small.py): few digits lost, the same to the last bit by any number of threads; a number
    that stands out changes no window that does not see it."""
    geometry = (1, 1), padding, (1, 1), 1
    x, weight, bias, residual = inputs(x_shape, weight_shape, geometry, np.float32)
    fixed, before = immutable(weight), threads.threads()
    assert conv._plan(x.shape, weight.shape, geometry, x.dtype, True)[1] is few_small
    exact = conv.conv2d_forward(*(array.astype(np.float64) for array in (x, weight, bias)), *geometry)
    try:
        for own, more, relu in itertools.product((bias, None), (residual, None), (True, False)):
            expected = exact - (0 if own is not None else bias.reshape(-1, 1, 1)) + (0 if more is None else more)
            expected = np.maximum(expected, 0) if relu else expected
            results = []
            for count in (1, 2, 3, 2):
                threads.set_threads(count)
                added = None if more is None else channels_last(more)
                results.append(conv.convolved(x, fixed, own, geometry, residual=added, relu=relu))
            np.testing.assert_allclose(results[0], expected, rtol=0, atol=1e-6 * np.abs(exact).max())
            for result in results:
                np.testing.assert_array_equal(result, results[0])
    finally:
        threads.set_threads(before)
    x[0, 1, 3, 2] = 1e9
    expected = conv.conv2d_forward(x, weight, bias, *geometry)
    np.testing.assert_array_equal(conv.conv2d_forward(x, fixed, bias, *geometry), expected)
    weight[1, 2, 0, 1] = 1e9
    expected = conv.conv2d_forward(x, weight, bias, *geometry)
    np.testing.assert_array_equal(conv.conv2d_forward(x, immutable(weight), bias, *geometry), expected)


def test_weights_that_winograd_leaves_alone(makes):
    """One of them stands out: that is found out once, and im2col's panels are kept, too."""
    _, x_shape, weight_shape, *geometry = CASES["winograd"]
    x, weight, bias, _ = inputs(x_shape, weight_shape, geometry, np.float32)
    weight[1, 2, 0, 1] = 1e9
    fixed = immutable(weight)
    first = conv.conv2d_forward(x, fixed, bias, *geometry)
    np.testing.assert_array_equal(first, conv.conv2d_forward(x, weight, bias, *geometry))
    made = len(makes)
    np.testing.assert_array_equal(first, conv.conv2d_forward(x, fixed, bias, *geometry))
    assert len(makes) == made


def test_others_that_take_weights():
    rng = np.random.default_rng(0)
    x, weight, bias = rng.standard_normal((5, 7)), rng.standard_normal((3, 7)), rng.standard_normal(3)
    arguments = (immutable(array) for array in (weight, bias))
    np.testing.assert_array_equal(linear.linear_forward(x, *arguments), linear.linear_forward(x, weight, bias))
    x, weight = rng.standard_normal((2, 4, 5, 6)), rng.standard_normal((4, 3, 3, 3))
    geometry = (11, 13), (2, 2), ((0, 0), (0, 0)), (1, 1), 1
    y = conv_transpose.conv_transpose2d_forward(x, immutable(weight), immutable(bias), *geometry)
    np.testing.assert_array_equal(y, conv_transpose.conv_transpose2d_forward(x, weight, bias, *geometry))


def test_what_is_no_immutable_array(makes):
    """Read-only is not enough: there may be a view that is not, and the flag can be lifted. Nor is a view of one."""
    _, x_shape, weight_shape, *geometry = CASES["pointwise"]
    x, weight, _, _ = inputs(x_shape, weight_shape, geometry)
    view = weight[:]
    weight.flags.writeable = False
    for factor in (1, 2):
        view *= factor
        y = conv.conv2d_forward(x, weight, None, *geometry)
        np.testing.assert_array_equal(y, conv.conv2d_forward(x, view, None, *geometry))
    fixed = immutable(view)
    others = weight, view, fixed[:], fixed.copy(), copy.deepcopy(fixed), pickle.loads(pickle.dumps(fixed))
    assert [is_immutable(array) for array in others] == [False] * len(others)
    assert is_immutable(fixed) and immutable(fixed) is fixed
    assert not makes
    assert kept.kept(weight, "a", lambda space: space) is memory.scratch


def test_it_goes_with_the_array():
    _, x_shape, weight_shape, *geometry = CASES["winograd"]
    x, weight, bias, _ = inputs(x_shape, weight_shape, geometry)
    gc.collect()
    before = set(kept._made)
    fixed = immutable(weight)
    conv.conv2d_forward(x, fixed, bias, *geometry)
    assert set(kept._made) - before == {id(fixed)}
    del fixed
    assert set(kept._made) <= before


def test_an_array_in_the_place_of_another():
    """The call that an array has gone may come when another one lies there already: that one's is not forgotten."""
    array = immutable(np.ones(3))
    assert kept.kept(array, "a", lambda space: 1) == 1
    kept._forget(id(array), reference=None)
    assert kept.kept(array, "a", lambda space: 2) == 1


def test_two_threads():
    """Both make it at once, or one finds what the other has made: all results are the same."""
    _, x_shape, weight_shape, *geometry = CASES["winograd"]
    x, weight, bias, _ = inputs(x_shape, weight_shape, geometry, np.float32)
    expected = conv.conv2d_forward(x, weight, bias, *geometry)
    for _ in range(5):
        fixed, results, start = immutable(weight), [], threading.Barrier(2)

        def work(fixed=fixed, results=results, start=start):
            start.wait()
            results.extend(conv.conv2d_forward(x, fixed, bias, *geometry) for _ in range(3))

        both = [threading.Thread(target=work) for _ in range(2)]
        for thread in both:
            thread.start()
        for thread in both:
            thread.join()
        assert len(results) == 6
        for result in results:
            np.testing.assert_array_equal(result, expected)
