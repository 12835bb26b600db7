"""Convolutions and linear layers in bfloat16 (convolution/bfloat16.py, depthwise.py, linear.py): how much they round,
what they read and write, NaN and infinity; on sizes beyond their blocks and edges."""

import subprocess
import sys

import numpy as np
import pytest
from paths import SUPPORT
from test_cpu_conv import CASES, NONE, ONE, inputs, passes
from ways import WAYS, multiplied_by, multiplying

from minicnn.kernels.cpu import conv, conv_transpose, linear
from minicnn.kernels.cpu.convolution import bfloat16, depthwise, stem16, windows, winograd16
from minicnn.kernels.cpu.machine import threads
from minicnn.kernels.cpu.machine.layout import channels_last
from minicnn.ops import conv as reference
from minicnn.ops import conv_transpose as reference_of_transposed
from minicnn.ops import linear as reference_of_linear
from minicnn.precision import BFLOAT16, narrow, wide

LAYERS = {"few rows": (5, 70, 300), "many rows": (150, 70, 20), "wider than a run": (3, 1100, 520), "one": (1, 33, 2)}


@pytest.fixture(autouse=True)
def _number_of_threads():
    before = threads.threads()
    yield
    threads.set_threads(before)


def exactly(array):
    return array.astype(np.float64)


def check_rounded(values, exact, most=1e-6):
    """float32: `most` of the largest number from float64's; bfloat16: no more than that before it was rounded once."""
    for value, expected in zip(values, exact, strict=True):
        half_a_digit = 2.0**-8 * np.abs(expected) if value.dtype == BFLOAT16 else 0
        apart = np.abs(exactly(value) - expected) - half_a_digit
        assert value.shape == expected.shape
        assert apart.max(initial=0) <= most * np.abs(expected).max(initial=0)


def arrays_of(name):
    """x, weight, bias, grad_out of a case, x and grad_out in bfloat16; and its geometry."""
    _, x_shape, weight_shape, *geometry = CASES[name]
    x, weight, bias, grad_out = inputs(x_shape, weight_shape, geometry, np.float32)
    return (narrow(x), weight, bias, narrow(grad_out)), geometry


@pytest.mark.parametrize(
    "name, unit", [*((name, "amx") for name in CASES), *((name, "avx512") for name in CASES if "winograd" in name)]
)
def test_sums_of_rounded_factors_are_rounded_once(name, unit, monkeypatch):
    multiplied_by(unit, monkeypatch)
    module, (arrays, geometry) = CASES[name][0], arrays_of(name)
    x, weight, bias, grad_out = arrays
    seen = conv.geometry_of(x.shape, weight.shape, grad_out.shape[2:], *geometry)
    expected = depthwise if module is depthwise else winograd16 if unit == "avx512" else bfloat16
    assert conv.choose(len(x), seen, x.dtype) is expected
    values = passes(conv, *arrays, geometry)
    assert [value.dtype for value in values] == [BFLOAT16, BFLOAT16, np.float32, np.float32]
    exact = passes(reference, *(exactly(array) for array in (x, narrow(weight), bias, grad_out)), geometry)
    check_rounded(values, exact, 1e-5 if expected is winograd16 else 1e-6)


@pytest.mark.parametrize(
    "name", ["pointwise, many pixels", "stem of ResNet", "strided", "groups", "depthwise, in parts"]
)
def test_any_number_of_threads_gives_the_same(name):
    """But for rounding; and the same number the same bit for bit."""
    arrays, geometry = arrays_of(name)
    for count in (1, 2, 3, 7):
        threads.set_threads(count)
        values = passes(conv, *arrays, geometry)
        for value, again in zip(values, passes(conv, *arrays, geometry), strict=True):
            np.testing.assert_array_equal(wide(value), wide(again))
        if count == 1:
            alone = values
        np.testing.assert_array_equal(wide(values[0]), wide(alone[0]))  # no sum of these is cut among threads
        np.testing.assert_array_equal(wide(values[1]), wide(alone[1]))
        np.testing.assert_allclose(values[2], alone[2], rtol=0, atol=1e-6 * np.abs(alone[2]).max())


def test_large_layers_are_cut_into_cache_blocks(monkeypatch):
    """Of 7 windows, and of 192, and all at once."""
    arrays, geometry = arrays_of("groups")
    expected = passes(conv, *arrays, geometry)
    monkeypatch.setattr(windows, "BLOCK_BYTES", 1)
    for least in (7, 192):
        monkeypatch.setattr(windows, "LEAST_WINDOWS", least)
        values = passes(conv, *arrays, geometry)
        for value, other in zip(values[:2], expected[:2], strict=True):
            np.testing.assert_array_equal(wide(value), wide(other))
        np.testing.assert_allclose(values[2], expected[2], rtol=0, atol=1e-6 * np.abs(expected[2]).max())


@pytest.mark.parametrize("name", ["pointwise with padding", "strided", "groups", "depthwise", "stem of AlexNet"])
def test_the_weights_may_be_bfloat16_and_lie_anyhow(name):
    (x, weight, bias, grad_out), geometry = arrays_of(name)
    expected = passes(conv, x, weight, bias, grad_out, geometry)
    last = np.asfortranarray(weight)
    channels_last = [np.ascontiguousarray(array.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2) for array in (x, grad_out)]
    for factor, images, gradients in ((narrow(weight), x, grad_out), (last, *channels_last)):
        for value, other in zip(passes(conv, images, factor, bias, gradients, geometry), expected, strict=True):
            np.testing.assert_array_equal(wide(value), wide(other))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ["pointwise", "strided", "groups of pixels", "stem, wider padding than taps"])
def test_every_way_to_multiply(name, way, monkeypatch):
    multiplied_by("amx", monkeypatch)  # no Winograd
    (x, weight, bias, grad_out), geometry = arrays_of(name)
    with multiplying(way):
        values = passes(conv, x, weight, bias, grad_out, geometry)
        layers = passes_of_linear(linear, *layer("one"))
    exact = passes(reference, *(exactly(array) for array in (x, narrow(weight), bias, grad_out)), geometry)
    check_rounded(values, exact)
    x, weight, bias, grad_out = layer("one")
    check_rounded(layers, passes_of_linear(reference_of_linear, *map(exactly, (x, narrow(weight), bias, grad_out))))


@pytest.mark.parametrize("name", ["stem of AlexNet", "stem of ResNet"])
@pytest.mark.parametrize("is_odd", [True, False])
def test_rows_of_a_first_layers_windows_are_read_as_words(name, is_odd):
    """An odd number of them; an odd number of windows in a row, or not; by any number of threads; finite ones only."""
    (x, weight, bias, grad_out), geometry = arrays_of(name)
    if is_odd:
        x, grad_out = x[..., : -geometry[0][1]], grad_out[..., :-1]
    shared = conv.geometry_of(x.shape, weight.shape, grad_out.shape[2:], *geometry)
    assert shared.out_size[1] % 2 == is_odd and shared.taps[1] * shared.channels % 2
    exact = passes(reference, *(exactly(array) for array in (x, narrow(weight), bias, grad_out)), geometry)
    with multiplying("vdpbf16"):
        for count in (1, 3):
            threads.set_threads(count)
            check_rounded(passes(conv, x, weight, bias, grad_out, geometry), exact)
        assert stem16.suits(channels_last(x), shared)
        x[0, 0, 5, 7] = np.inf  # times the 0 beside a window it would be NaN
        assert not stem16.suits(channels_last(x), shared)
    assert not stem16.suits(channels_last(narrow(np.zeros_like(x))), shared._replace(stride=(1, 1)))  # odd places


def test_a_row_of_one_window_has_no_pairs():
    """Windows would begin further apart than a row is long; nothing is written beside the words of the frame."""
    frame, words = np.arange(18, dtype=np.uint16), np.full(30, 7, np.uint32)
    stem16._pair(frame, words[6:24], 6, 12)
    np.testing.assert_array_equal(words[6:24], frame)
    assert (words[:6] == 7).all() and (words[24:] == 7).all()


@pytest.mark.parametrize("shape", [(2, 0, 4, 5), (0, 3, 4, 5), (2, 3, 6, 5)])
def test_a_first_layer_of_nothing_and_of_one_window(shape):
    rng = np.random.default_rng(0)
    x, weight = rng.standard_normal(shape).astype(np.float32), rng.standard_normal((8, shape[1], 2, 2)).astype("f")
    geometry = (4, 4), ((0, 0), (0, 0)), (1, 1), 1
    out = reference.conv2d_forward(x, weight, None, *geometry).shape
    arrays = narrow(x), weight, None, narrow(rng.standard_normal(out).astype(np.float32))
    exact = passes(reference, *(a if a is None else exactly(narrow(a)) for a in arrays), geometry)
    with multiplying("vdpbf16"):
        check_rounded(passes(conv, *arrays, geometry), exact)


@pytest.mark.parametrize("value", [-np.inf, np.nan])
@pytest.mark.parametrize("where", ["x", "weight", "grad_out"])
@pytest.mark.parametrize(
    "name, unit",
    [
        ("pointwise", "amx"),
        ("winograd", "amx"),
        ("winograd", "avx512"),
        ("groups", "amx"),
        ("depthwise", "amx"),
        ("stem of AlexNet", "avx512bf16"),
    ],
)
def test_infinity_and_nan_flow_as_on_the_page(name, unit, where, value, monkeypatch):
    """But for a weight times padding, which only some of them multiply."""
    multiplied_by(unit, monkeypatch)
    (x, weight, bias, grad_out), geometry = arrays_of(name)
    array = {"x": x, "weight": weight, "grad_out": grad_out}[where]
    array[1, -1, array.shape[2] // 2, array.shape[3] // 2] = value
    with np.errstate(all="ignore"):
        exact = passes(reference, *(exactly(array) for array in (x, narrow(weight), bias, grad_out)), geometry)
    for i, found in enumerate(passes(conv, x, weight, bias, grad_out, geometry)):
        if where == "weight" and (i == 1 or name == "depthwise"):
            assert np.isnan(exact[i]).any() <= np.isnan(wide(found)).any()
            continue
        np.testing.assert_array_equal(np.isnan(wide(found)), np.isnan(exact[i]))
        np.testing.assert_array_equal(np.isinf(wide(found)), np.isinf(exact[i]))


@pytest.mark.parametrize("results, groups", [(24, 1), (24, 2), (24, 24), (3, 1)], ids=["24-1", "24-2", "24-24", "3-1"])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_a_transposed_convolution_is_rounded_once_with_its_bias(stride, results, groups):
    """Where the stride is 3, some pixels see no window: they are the bias."""
    rng, shapes = np.random.default_rng(0), ((2, 24, 5, 6), (24, results // groups, 2, 2), results)
    x, weight, bias = (rng.standard_normal(shape).astype(np.float32) for shape in shapes)
    size = 4 * stride + 2, 5 * stride + 2
    geometry = size, (stride, stride), NONE, ONE, groups
    y = conv_transpose.conv_transpose2d_forward(narrow(x), weight, bias, *geometry)
    factors = exactly(narrow(x)), exactly(narrow(weight)), exactly(bias)
    check_rounded([y], [reference_of_transposed.conv_transpose2d_forward(*factors, *geometry)])


def layer(name):
    """x, weight, bias and grad_out of a linear layer."""
    rng, (rows, channels, filters) = np.random.default_rng(0), LAYERS[name]
    shapes = (rows, channels), (filters, channels), (filters,), (rows, filters)
    x, weight, bias, grad_out = (rng.standard_normal(shape).astype(np.float32) for shape in shapes)
    return narrow(x), weight, bias, narrow(grad_out)


def passes_of_linear(implementation, x, weight, bias, grad_out):
    return (
        implementation.linear_forward(x, weight, bias),
        implementation.linear_grad_x(grad_out, weight),
        implementation.linear_grad_weight(grad_out, x),
        implementation.linear_grad_bias(grad_out),
    )


@pytest.mark.parametrize("name", LAYERS)
def test_a_linear_layer_rounds_once(name, monkeypatch):
    monkeypatch.setattr(linear, "LEAST_MULTIPLICATIONS", 1)  # so that threads share small ones, too
    x, weight, bias, grad_out = layer(name)
    exact = passes_of_linear(reference_of_linear, *map(exactly, (x, narrow(weight), bias, grad_out)))
    for count in (1, 3):
        threads.set_threads(count)
        values = passes_of_linear(linear, x, np.asfortranarray(weight), bias, grad_out)
        check_rounded(values, exact)
        for value, again in zip(values, passes_of_linear(linear, x, weight, bias, grad_out), strict=True):
            np.testing.assert_array_equal(wide(value), wide(again))


@pytest.mark.parametrize("rows, channels, filters", [(0, 3, 2), (2, 0, 3), (0, 0, 3), (3, 4, 0), (0, 4, 0)])
def test_a_linear_layer_of_nothing(rows, channels, filters):
    x, grad_out = (np.ones((rows, size), BFLOAT16) for size in (channels, filters))
    weight, bias = np.ones((filters, channels), np.float32), np.ones(filters, np.float32)
    y, grad_x, grad_weight, grad_bias = passes_of_linear(linear, x, weight, bias, grad_out)
    assert (y.shape, grad_x.shape, grad_weight.shape) == (grad_out.shape, x.shape, weight.shape)
    assert (wide(y) == channels + 1).all() and (wide(grad_x) == filters).all()
    assert (grad_weight == rows).all() and (grad_bias == rows).all()


GUARDED = """
import types
import guarded, paths, test_cpu_conv16 as tests
for at_end in (True, False):
    edge = types.SimpleNamespace(random=lambda: 0 if at_end else 1)
    with guarded.kernels(edge):
        for name in tests.CASES:
            arrays, geometry = tests.arrays_of(name)
            tests.passes(tests.conv, *(guarded.copy(array, at_end) for array in arrays), geometry)
        for name in tests.LAYERS:
            tests.passes_of_linear(tests.linear, *(guarded.copy(array, at_end) for array in tests.layer(name)))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="pages are guarded by mprotect, which Windows has not")
def test_nothing_beside_the_arrays_is_touched():
    """As in test_cpu_conv.py."""
    done = subprocess.run([sys.executable, "-c", GUARDED], cwd=SUPPORT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
