"""The convolutions of kernels/cpu/ one by one, on sizes beyond their blocks and edges; how much they round; threads."""

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from checks import check_close, raises
from numba.types import NamedTuple, NamedUniTuple
from paths import SUPPORT

from minicnn.kernels.cpu import conv, conv_relu
from minicnn.kernels.cpu.convolution import depthwise, im2col, pointwise, stem, windows, winograd, winograd_tiles
from minicnn.kernels.cpu.convolution.cook_toom import cook_toom
from minicnn.kernels.cpu.gemm import matmul, shares
from minicnn.kernels.cpu.machine import threads
from minicnn.kernels.cpu.machine.layout import behind_channels, channels_last
from minicnn.ops import conv as reference
from minicnn.ops.geometry import output_size

ONE, NONE = (1, 1), ((0, 0), (0, 0))
CASES = {  # module, x (N, C, H, W), weight (OC, C/groups, KH, KW), stride, padding, dilation, groups
    "pointwise": (pointwise, (3, 40, 5, 7), (35, 40, 1, 1), ONE, NONE, ONE, 1),
    "pointwise, deep": (pointwise, (1, 600, 3, 2), (64, 600, 1, 1), ONE, NONE, ONE, 1),
    "pointwise, deeper": (pointwise, (1, 1100, 15, 18), (70, 1100, 1, 1), ONE, NONE, ONE, 1),
    "pointwise, few": (pointwise, (1, 2, 1, 3), (3, 2, 1, 1), ONE, NONE, ONE, 1),
    "pointwise, many pixels": (pointwise, (2, 100, 31, 23), (520, 100, 1, 1), ONE, NONE, ONE, 1),
    "pointwise, most pixels": (pointwise, (2, 20, 13, 17), (33, 20, 1, 1), ONE, NONE, ONE, 1),
    "pointwise with other padding": (im2col, (2, 20, 5, 7), (24, 20, 1, 1), ONE, ((0, 1), (0, 0)), ONE, 1),
    "pointwise with padding": (im2col, (2, 20, 5, 7), (24, 20, 1, 1), ONE, ((1, 0), (0, 2)), ONE, 1),
    "winograd": (winograd, (2, 33, 13, 18), (50, 33, 3, 3), ONE, ((1, 1), (1, 1)), ONE, 1),
    "winograd, uneven sides": (winograd, (3, 64, 9, 21), (32, 64, 3, 3), ONE, ((2, 0), (0, 1)), ONE, 1),
    "winograd, many tiles": (winograd, (2, 64, 56, 56), (64, 64, 3, 3), ONE, ((1, 1), (1, 1)), ONE, 1),
    "winograd, 5 taps": (winograd, (2, 20, 14, 11), (37, 20, 5, 5), ONE, ((2, 2), (2, 2)), ONE, 1),
    "winograd, 5 taps, wide padding": (winograd, (2, 40, 9, 9), (32, 40, 5, 5), ONE, ((4, 0), (3, 4)), ONE, 1),
    "stem of AlexNet": (stem, (2, 3, 67, 53), (64, 3, 11, 11), (4, 4), ((2, 2), (2, 2)), ONE, 1),
    "stem of ResNet": (stem, (1, 3, 64, 63), (40, 3, 7, 7), (2, 2), ((3, 3), (3, 3)), ONE, 1),
    "stem, wider padding than taps": (stem, (2, 1, 4, 5), (3, 1, 2, 3), (1, 3), ((3, 3), (4, 4)), ONE, 1),
    "strided": (im2col, (2, 48, 15, 14), (64, 48, 3, 3), (2, 2), ((1, 1), (1, 1)), ONE, 1),
    "strided, few pixels": (im2col, (1, 24, 6, 5), (40, 24, 3, 3), (2, 2), ((1, 1), (1, 1)), ONE, 1),
    "strided, pointwise": (im2col, (2, 48, 15, 14), (33, 48, 1, 1), (2, 3), NONE, ONE, 1),
    "dilated": (im2col, (2, 20, 19, 17), (40, 20, 3, 3), (3, 2), ((2, 2), (4, 4)), (2, 3), 1),
    "dilated like the stride": (im2col, (1, 20, 15, 17), (24, 20, 3, 3), (2, 4), ((2, 2), (1, 3)), (2, 2), 1),
    "groups": (im2col, (2, 96, 13, 13), (64, 48, 3, 3), ONE, ((1, 1), (1, 1)), ONE, 2),
    "groups of pixels": (im2col, (2, 48, 9, 7), (40, 24, 1, 1), ONE, NONE, ONE, 2),
    "padding beyond the window": (im2col, (1, 32, 6, 5), (32, 32, 3, 3), ONE, ((3, 3), (4, 4)), ONE, 1),
    "no pixels but padding": (im2col, (1, 256, 0, 60), (48, 256, 3, 3), ONE, ((2, 2), (2, 2)), ONE, 1),
    "depthwise": (depthwise, (3, 40, 12, 9), (40, 1, 3, 3), (2, 1), ((1, 1), (1, 1)), ONE, 40),
    "depthwise, in parts": (depthwise, (2, 64, 61, 83), (64, 1, 3, 2), (1, 2), ((2, 0), (0, 1)), (2, 3), 64),
    "depthwise, parts smaller than taps": (depthwise, (1, 64, 3, 700), (64, 1, 5, 1), ONE, ((2, 2), (0, 0)), ONE, 64),
}
SIZES = {  # of the networks' layers: images, channels, filters, side, taps, stride, and groups if there are
    "pointwise": (4, 1024, 256, 14, 1, 1),
    "winograd": (4, 256, 256, 14, 3, 1),
    "winograd, 5 taps": (4, 64, 192, 27, 5, 1),
    "stem": (2, 3, 64, 112, 7, 2),
    "im2col": (4, 256, 512, 14, 3, 2),
    "depthwise": (4, 256, 256, 28, 3, 2, 256),
}


@pytest.fixture(autouse=True)
def _number_of_threads():
    before = threads.threads()
    yield
    threads.set_threads(before)


def inputs(x_shape, weight_shape, geometry, dtype=np.float64):
    """x, weight, bias and grad_out, at random."""
    rng = np.random.default_rng(0)
    size = output_size("conv2d", x_shape[2:], weight_shape[2:], *geometry[:3])
    shapes = x_shape, weight_shape, weight_shape[:1], (x_shape[0], weight_shape[0], *size)
    return [rng.standard_normal(shape).astype(dtype) for shape in shapes]


def passes(implementation, x, weight, bias, grad_out, geometry):
    return (
        implementation.conv2d_forward(x, weight, bias, *geometry),
        implementation.conv2d_grad_x(grad_out, x.shape, weight, *geometry),
        implementation.conv2d_grad_weight(grad_out, x, weight.shape, *geometry),
        implementation.conv2d_grad_bias(grad_out),
    )


GUARDED = """
import types
import guarded, paths, test_cpu_conv as tests
for at_end in (True, False):
    edge = types.SimpleNamespace(random=lambda: 0 if at_end else 1)
    with guarded.kernels(edge):
        for _, x_shape, weight_shape, *geometry in tests.CASES.values():
            arrays = tests.inputs(x_shape, weight_shape, geometry)
            tests.passes(tests.conv, *(guarded.copy(array, at_end) for array in arrays), geometry)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="pages are guarded by mprotect, which Windows has not")
def test_nothing_beside_the_arrays_is_touched():
    """Arrays and work space end, or begin, at a page without permission: else the process would end there."""
    done = subprocess.run([sys.executable, "-c", GUARDED], cwd=SUPPORT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_compiled_code_is_handed_plain_tuples():
    """Of a named tuple Numba works out the type anew at each call, which takes time and keeps memory."""
    for name in ("pointwise", "winograd", "stem of ResNet", "strided", "depthwise"):
        _, x_shape, weight_shape, *geometry = CASES[name]
        passes(conv, *inputs(x_shape, weight_shape, geometry), geometry)
    modules = depthwise, pointwise, stem, windows, winograd_tiles
    compiled = [value for module in modules for value in vars(module).values() if getattr(value, "signatures", ())]
    types_given = [(f.__name__, given) for f in compiled for signature in f.signatures for given in signature]
    assert len(types_given) > 100
    assert not [(name, given) for name, given in types_given if isinstance(given, (NamedTuple, NamedUniTuple))]


@pytest.mark.parametrize("name", CASES)
def test_equals_the_reference(name):
    module, x_shape, weight_shape, *geometry = CASES[name]
    arrays = inputs(x_shape, weight_shape, geometry)
    seen = conv.geometry_of(x_shape, weight_shape, arrays[3].shape[2:], *geometry)
    assert conv.choose(x_shape[0], seen, arrays[0].dtype) is module
    for value, expected in zip(passes(conv, *arrays, geometry), passes(reference, *arrays, geometry), strict=True):
        assert value.ndim != 4 or value.shape[1:] == weight_shape[1:] or value.transpose(0, 2, 3, 1).flags.c_contiguous
        check_close(value, expected, 1e-10)


@pytest.mark.parametrize("name", CASES)
def test_number_of_threads(name):
    """Any number gives the same but for rounding, and the same number the same bit for bit."""
    _, x_shape, weight_shape, *geometry = CASES[name]
    arrays = inputs(x_shape, weight_shape, geometry, np.float32)
    results = {}
    for count in (1, 2, 3, 7):
        threads.set_threads(count)
        results[count] = passes(conv, *arrays, geometry)
        for value, again in zip(results[count], passes(conv, *arrays, geometry), strict=True):
            np.testing.assert_array_equal(value, again)
        for value, expected in zip(results[count], results[1], strict=True):
            check_close(value, expected, 1e-5 * np.abs(expected).max(initial=0))


@pytest.mark.parametrize("name", CASES)
def test_epilogue(name):
    """Residual and ReLU give the bits that they give behind the convolution, with a bias and without, also where a
    number stands out."""
    _, x_shape, weight_shape, *geometry = CASES[name]
    x, weight, bias, residual = inputs(x_shape, weight_shape, geometry, np.float32)
    for number in (1.0, 1e9):
        x.flat[:1] = number
        for given, more in ((bias, residual), (None, residual), (bias, None), (None, None)):
            y = conv.conv2d_forward(x, weight, given, *geometry)
            expected = y if more is None else y + more
            value = conv_relu.conv2d_relu_forward(x, weight, given, *geometry, more)
            np.testing.assert_array_equal(value, np.where(expected <= 0, 0, expected))


@pytest.mark.parametrize("name", ["pointwise, deep", "pointwise, deeper", "strided"])
def test_threads_share_filters_where_pixels_are_few(name, monkeypatch):
    """Each works out the numbers, bit for bit, that it would if they shared the pixels."""
    _, x_shape, weight_shape, *geometry = CASES[name]
    x, weight, bias, grad_out = inputs(x_shape, weight_shape, geometry, np.float32)
    threads.set_threads(2)
    shared, results = [], []
    run_chunks = lambda work, n: (shared.append(n), threads.run_chunks(work, n))  # noqa: E731
    monkeypatch.setattr(shares, "threads", SimpleNamespace(threads=threads.threads, run_chunks=run_chunks))
    for few in (shares.FEW_ROWS, 0):
        monkeypatch.setattr(shares, "FEW_ROWS", few)
        results.append(conv.conv2d_forward(x, weight, bias, *geometry))
    np.testing.assert_array_equal(*results)
    assert shared == [-(-weight_shape[0] // matmul.width(x.dtype)), grad_out[:, 0].size]  # panels, pixels


@pytest.mark.parametrize("name", SIZES)
def test_rounding(name):
    """In float32 no number is further from float64's than 1e-5 of the largest."""
    images, channels, filters, side, taps, stride, *groups = SIZES[name]
    groups = groups[0] if groups else 1
    geometry = (stride, stride), ((taps // 2, taps // 2),) * 2, ONE, groups
    arrays = inputs((images, channels, side, side), (filters, channels // groups, taps, taps), geometry, np.float32)
    exact = passes(reference, *(array.astype(np.float64) for array in arrays), geometry)
    for value, expected in zip(passes(conv, *arrays, geometry), exact, strict=True):
        assert value.dtype == np.float32
        assert np.abs(value - expected).max() < 1e-5 * np.abs(expected).max()


@pytest.mark.parametrize("taps", [1, 3])
def test_a_stride_beyond_the_image(taps):
    """The pixels that no window saw are not counted one by one."""
    geometry = (1 << 30, 1 << 30), ((0, 0), (0, 0)), ONE, 1
    arrays = inputs((2, 4, 5, 6), (3, 4, taps, taps), geometry, np.float64)
    for value, expected in zip(passes(conv, *arrays, geometry), passes(reference, *arrays, geometry), strict=True):
        check_close(value, expected, 1e-12)


@pytest.mark.parametrize("taps, most", [(1, 9e-7), (3, 6e-6)], ids=["pointwise", "winograd"])
def test_a_sum_over_many_channels_is_one_of_slices(taps, most):
    """As one sum it would be five times as far from float64's: 1.9e-6, 1.6e-5."""
    rng, padding = np.random.default_rng(0), ((taps // 2, taps // 2),) * 2
    x, weight = (rng.standard_normal(shape).astype(np.float32) for shape in ((1, 2048, 8, 8), (32, 2048, taps, taps)))
    expected = reference.conv2d_forward(*(v.astype(np.float64) for v in (x, weight)), None, ONE, padding, ONE, 1)
    seen = conv.geometry_of(x.shape, weight.shape, (8, 8), ONE, padding, ONE, 1)
    y = (pointwise if taps == 1 else winograd).conv2d_forward(channels_last(x), weight, None, seen)
    assert np.abs(behind_channels(y) - expected).max() < most * np.abs(expected).max()


def pays(images, side, channels, filters, taps):
    shapes, padding = ((images, channels, side, side), (filters, channels, taps, taps)), ((taps // 2, taps // 2),) * 2
    return winograd.pays(images, conv.geometry_of(*shapes, (side, side), ONE, padding, ONE, 1))


def with_outliers(where, value, taps, padding, relu=False):
    """x, weight, bias, grad_out, some numbers of which are `value`, also in corners; and the geometry."""
    geometry = ONE, ((padding, padding),) * 2, ONE, 1
    x, weight, bias, grad_out = inputs((3, 33, 14, 15), (40, 33, taps, taps), geometry, np.float32)
    if relu:
        x, grad_out = np.maximum(x, 0), np.maximum(grad_out, 0)
    for name, array in (("x", x), ("grad_out", grad_out), ("weight", weight)):
        if name in where:
            for place in ((0, 5, 0, 0), (0, 16, 4, 2), (-1, 32, -1, -1)):
                array[tuple(at % size for at, size in zip(place, array.shape, strict=True))] = value
    return (x, weight, bias, grad_out), geometry


@pytest.mark.parametrize("relu", [False, True], ids=["", "many zeros"])
@pytest.mark.parametrize("taps, padding", [(3, 0), (3, 1), (5, 0), (5, 2)])
@pytest.mark.parametrize("value", [1e5, -1e7, 1e30, -np.inf, np.nan])
@pytest.mark.parametrize("where", [("x",), ("grad_out",), ("x", "grad_out"), ("weight",)], ids=" and ".join)
def test_an_outlier_changes_nothing_that_does_not_see_it(where, value, taps, padding, relu):
    """Rounding is that of numbers which a result depends on, not of its tile's."""
    arrays, geometry = with_outliers(where, value, taps, padding, relu)
    threads.set_threads(1 + relu)
    values = passes(conv, *arrays, geometry)[:3]
    with np.errstate(all="ignore"):
        exact = passes(reference, *(array.astype(np.float64) for array in arrays), geometry)[:3]
        sizes = passes(reference, *(np.abs(array).astype(np.float64) for array in arrays), geometry)[:3]
    if where == ("weight",) and not np.isfinite(value):
        values = values[:1]  # the gradient of a pixel at the edge takes padding times the weight, NaN, on this tier
    for result, expected, size in zip(values, exact, sizes, strict=False):
        fits = size < 1e38
        assert (np.abs(result[fits] - expected[fits]) < 1e-5 * size[fits]).all()
        if not np.isfinite(value):
            np.testing.assert_array_equal(np.isnan(result), np.isnan(expected))


@pytest.mark.parametrize("value", [1e7, np.nan])
def test_images_beside_one_with_an_outlier_stay_as_they_are(value):
    arrays, geometry = with_outliers(("x", "grad_out"), value, 3, 1)
    ordinary, _ = with_outliers((), value, 3, 1)
    for result, expected in zip(
        passes(conv, *arrays, geometry)[:2], passes(conv, *ordinary, geometry)[:2], strict=True
    ):
        np.testing.assert_array_equal(result[1], expected[1])


@pytest.mark.parametrize("value, most", [(1e15, 1e-2), (np.nan, 1e-10)])
def test_float64_has_digits_enough_for_larger_ones(value, most):
    arrays, geometry = with_outliers(("x",), value, 3, 1)
    x, weight, *_ = (array.astype(np.float64) for array in arrays)
    y, expected = (module.conv2d_forward(x, weight, None, *geometry) for module in (conv, reference))
    unseen = reference.conv2d_forward(np.abs(x), np.abs(weight), None, *geometry) < 3e3
    assert np.abs(y - expected)[unseen].max() < most


@pytest.mark.parametrize("taps, points", [(3, (0, 1, -1, 2, -2)), (5, (0, 1, -1, 2, -2, 3, -3)), (2, (0, 1, -1, 5))])
def test_cook_toom(taps, points):
    a, g, b = (np.array(matrix, float) for matrix in cook_toom(4, taps, points))
    rng = np.random.default_rng(0)
    pixels, weights = rng.standard_normal(4 + taps - 1), rng.standard_normal(taps)
    check_close(a @ ((g @ weights) * (b @ pixels)), np.correlate(pixels, weights), 1e-9)


def test_the_example_of_winograd_py_is_what_cook_toom_prints():
    """The numbers of the file's first lines: m of F(2, 3) for pixels 5 1 2 4 and the filter 2 4 6, and y."""
    done = subprocess.run(
        [sys.executable, "-m", "minicnn.kernels.cpu.convolution.cook_toom", "2", "3"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    a, g, b = cook_toom(2, 3)
    printed = [line.split() for line in done.stdout.splitlines() if "(" not in line]
    assert printed == [[str(number) for number in row] for row in (*b, *g, *a)]
    domain = (np.array(g, float) @ [2, 4, 6]) * (np.array(b, float) @ [5, 1, 2, 4])
    assert domain.tolist() == [6, 18, 2, 18] and (np.array(a, float) @ domain).tolist() == [26, 34]
    for row in (f"    m{i} = " for i in range(4)):
        line = next(line for line in winograd.__doc__.splitlines() if line.startswith(row))
        assert f"= {domain[int(row[5])]:3.0f}" in line


def test_a_wrong_number_of_points_is_refused():
    with raises(ValueError, "cook_toom", "4 results of 3 taps need 5 points, got 2"):
        cook_toom(4, 3, (0, 1))


def test_the_networks_layers_are_multiplied_less():
    for images, side, channels, filters, taps in [
        (64, 27, 64, 192, 5),
        (64, 13, 384, 256, 3),
        (16, 56, 64, 64, 3),
        (16, 7, 512, 512, 3),
        (8, 7, 512, 512, 3),
    ]:
        assert pays(images, side, channels, filters, taps)
    assert not pays(1, 7, 512, 512, 3)  # the filters' transform alone is more
