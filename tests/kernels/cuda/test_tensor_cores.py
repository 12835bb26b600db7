"""Tensor cores: products and convolutions of rounded factors, against float64 with each precision's own bound."""

import numpy as np
import pytest
from checks import Place, needs_compiler, raises
from hypothesis import given, settings
from hypothesis import strategies as st
from real_gpu import back, there
from strategies import convolutions

import minicnn.functional as F
from minicnn.device import DeviceError
from minicnn.kernels.cuda import tensor_conv, tensor_cores
from minicnn.kernels.cuda.launch import Kernel
from minicnn.kernels.cuda.source import TENSOR_TYPES
from minicnn.ops import conv as reference
from minicnn.ops.geometry import pair
from minicnn.precision import PRECISIONS, current_precision, precision, set_precision

pytestmark = [needs_compiler, pytest.mark.gpu]

ROUNDING = {"tf32": 2**-11, "float16": 2**-11, "bfloat16": 2**-8}  # of a factor, relative
each_precision = pytest.mark.parametrize("name", list(ROUNDING))
each_rounding = pytest.mark.parametrize("name", ["tf32", "float16"])  # convolutions take bfloat16 arrays as they are
SIZES = st.sampled_from([1, 2, 3, 7, 8, 9, 16, 17, 31, 33, 64, 65, 127, 130])


def normal(*shape):
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def check_within(value, expected, magnitude, name):
    """|value - expected| is at most what rounding both factors of each product can do; float16 is coarse near 0."""
    u = ROUNDING[name]
    bound = (2 * u + u * u + 1e-5) * magnitude + (1e-3 if name == "float16" else 1e-6)
    assert value.dtype == np.float32 and value.shape == expected.shape
    assert (np.abs(back(value) - expected) <= bound).all()


def rounded(values, name):
    """What packing makes of float32 numbers, as float32 again."""
    packed = back(tensor_cores.packed_matrix(there(values.reshape(1, -1)), name, False))[0, : values.size]
    return packed.astype(np.float32)


# Numbers


def test_float16_is_rounded_as_numpy_does():
    powers = 2.0 ** np.arange(-27, 18)
    values = np.concatenate([normal(3000) * p for p in powers] + [[0, -0.0, np.inf, -np.inf, np.nan, 65519, 65520]])
    values = values.astype(np.float32)
    with np.errstate(over="ignore"):
        expected = values.astype(np.float16)
    np.testing.assert_array_equal(rounded(values, "float16"), expected.astype(np.float32))


@pytest.mark.parametrize("name, digits", [("tf32", 11), ("bfloat16", 8)])
def test_rounding_to_the_nearest(name, digits):
    values = np.concatenate([normal(1000) * p for p in 10.0 ** np.arange(-30, 31, 5)]).astype(np.float32)
    step = 2.0 ** (np.floor(np.log2(np.abs(values.astype(np.float64)))) - digits + 1)
    result = rounded(values, name).astype(np.float64)
    assert (np.abs(result - values) <= step / 2).all() and (result % step == 0).all()
    special = np.array([0, -0.0, np.inf, -np.inf, np.nan], np.float32)
    np.testing.assert_array_equal(rounded(special, name), special)


@pytest.mark.parametrize(
    "name, value, expected",
    [
        ("tf32", 1 + 2**-11, 1 + 2**-10),  # a tie: away from zero
        ("bfloat16", 1 + 2**-8, 1),  # to even
        ("bfloat16", 1 + 3 * 2**-8, 1 + 2**-6),
        ("float16", 1 + 2**-11, 1),
    ],
)
def test_ties(name, value, expected):
    assert rounded(np.array([value, -value], np.float32), name).tolist() == [expected, -expected]


# Products


@pytest.mark.parametrize("kernel", ["product_naive", "product_pipelined"])
@each_precision
@settings(max_examples=20)
@given(sizes=st.tuples(SIZES, SIZES, SIZES | st.just(0)), transposed=st.tuples(st.booleans(), st.booleans()))
def test_products(kernel, name, sizes, transposed):
    rows, columns, depth = sizes
    a, b, bias = normal(rows, depth), normal(depth, columns + 1)[:, 1:], normal(columns)
    given_a, given_b = (there(m.T if t else m) for m, t in zip((a, b), transposed, strict=True))
    options = {"a_is_transposed": transposed[0], "b_is_transposed": transposed[1], "kernel": kernel}
    c = tensor_cores.multiply(given_a, given_b, there(bias), name, **options)
    a, b = a.astype(np.float64), b.astype(np.float64)
    check_within(c, a @ b + bias, np.abs(a) @ np.abs(b) + np.abs(bias), name)


@each_precision
def test_numbers_that_need_no_rounding_are_multiplied_exactly(name):
    rng = np.random.default_rng(1)
    a, b = (rng.integers(-15, 16, shape).astype(np.float32) for shape in ((200, 150), (150, 140)))
    np.testing.assert_array_equal(back(tensor_cores.multiply(there(a), there(b), None, name)), a @ b)


@each_precision
def test_factors_are_rounded(name):
    value = np.float32(1 + 2**-12)  # needs 13 digits
    assert (
        tensor_cores.multiply(there(np.full((1, 1), value)), there(np.ones((1, 1), np.float32)), None, name)[0, 0] == 1
    )


@each_precision
def test_nan_and_infinity(name):
    a, b = np.zeros((3, 40), np.float32), np.ones((40, 5), np.float32)
    a[0, 7], a[1, 33] = np.nan, -np.inf
    c = back(tensor_cores.multiply(there(a), there(b), None, name))
    assert np.isnan(c[0]).all() and (c[1] == -np.inf).all() and (c[2] == 0).all()


# Convolutions


def magnitude(function, *arrays_and_options):
    return function(*(np.abs(a) if isinstance(a, np.ndarray) else a for a in arrays_and_options))


def geometry_of(case):
    padding = 1 if isinstance(case.options["padding"], str) else case.options["padding"]
    sides = tuple((p, p) for p in pair("conv2d", "padding", padding, 0))
    stride, dilation = (pair("conv2d", name, case.options[name], 1) for name in ("stride", "dilation"))
    return stride, sides, dilation, case.options["groups"]


@each_rounding
@settings(max_examples=20)
@given(case=convolutions())
def test_convolutions(name, case):
    geometry = geometry_of(case)
    x, weight, bias = case.arrays()
    check_convolution(name, x, weight, bias, *geometry)


def check_convolution(name, x, weight, bias, *geometry):
    arrays = [None if a is None else np.asarray(a, np.float32) for a in (x, weight, bias)]
    y = tensor_conv.conv2d_forward(*map(there, arrays), *geometry, name)
    x, weight, bias = (None if a is None else a.astype(np.float64) for a in arrays)
    expected = reference.conv2d_forward(x, weight, bias, *geometry)
    check_within(y, expected, magnitude(reference.conv2d_forward, x, weight, bias, *geometry), name)
    grad_out = normal(*y.shape)
    grad_x = tensor_conv.conv2d_grad_x(there(grad_out), x.shape, there(arrays[1]), *geometry, name)
    given = grad_out.astype(np.float64), x.shape, weight, *geometry
    check_within(grad_x, reference.conv2d_grad_x(*given), magnitude(reference.conv2d_grad_x, *given), name)
    grad_weight = tensor_conv.conv2d_grad_weight(there(grad_out), there(arrays[0]), weight.shape, *geometry, name)
    given = given[0], x, weight.shape, *geometry
    expected = reference.conv2d_grad_weight(*given)
    check_within(grad_weight, expected, magnitude(reference.conv2d_grad_weight, *given), name)


@each_rounding
@pytest.mark.parametrize("groups, dilation", [(1, 2), (2, 1)])
def test_convolutions_of_several_pieces(name, groups, dilation):
    """More filters and positions than a block takes, more channels than an instruction; a stride that leaves gaps."""
    x, weight, bias = normal(2, 20 * groups, 13, 9), normal(132 * groups, 20, 3, 2), normal(132 * groups)
    check_convolution(name, x, weight, bias, (2, 1), ((1, 0), (2, 1)), (dilation, dilation), groups)


@each_rounding
@pytest.mark.parametrize("channels", [1, 3, 9])
def test_nan_stays_in_the_windows_that_see_it(name, channels):
    x, weight, geometry = normal(2, channels, 9, 9), normal(3, channels, 2, 3), ((1, 2), ((0, 0), (1, 1)), (1, 1), 1)
    x[0, 0, 4, 4] = np.nan
    y = tensor_conv.conv2d_forward(there(x), there(weight), None, *geometry, name)
    np.testing.assert_array_equal(np.isnan(back(y)), np.isnan(reference.conv2d_forward(x, weight, None, *geometry)))


@each_rounding
def test_sums_in_parts(name, monkeypatch):
    """Three parts, the last one shorter, of a product and of a filter's gradient."""
    for module in (tensor_cores, tensor_conv):
        monkeypatch.setattr(module, "SHORTEST", 64)
    a, b, bias = normal(9, 210), normal(210, 5), normal(5)
    c = tensor_cores.multiply(there(a), there(b), there(bias), name)
    a, b = a.astype(np.float64), b.astype(np.float64)
    check_within(c, a @ b + bias, np.abs(a) @ np.abs(b) + np.abs(bias), name)
    check_convolution(name, normal(2, 3, 11, 11), normal(4, 3, 3, 2), normal(4), (1, 1), ((0, 0), (0, 0)), (1, 1), 1)


def test_more_batches_than_a_grid_has(monkeypatch):
    monkeypatch.setattr(tensor_cores, "MOST_BATCHES", 2)
    check_convolution(
        "tf32", normal(3, 4, 5, 5), normal(5, 2 * 2, 3, 3)[:4, :2], None, (1, 1), ((0, 0), (0, 0)), (1, 1), 2
    )


# The setting


def test_the_setting():
    assert current_precision() == "float32"
    with precision("tf32"):
        assert current_precision() == "tf32"
        with precision("float32"):
            assert current_precision() == "float32"
        assert current_precision() == "tf32"
    assert current_precision() == "float32"
    with raises(ValueError, "fp16", *PRECISIONS):
        set_precision("fp16")


@pytest.mark.parametrize("name", PRECISIONS)
def test_layers_multiply_in_the_precision_that_is_set(name):
    """Forward and backward; as exactly as float32 in the default, as the precision says in the others."""
    place, x, weight, image = Place("cuda", "fast"), normal(5, 70), normal(30, 70), normal(2, 3, 8, 8)
    filters = normal(4, 3, 3, 3)
    results = []
    with place.active(), precision(name):
        for function, arrays in ((F.linear, (x, weight)), (F.conv2d, (image, filters))):
            for dtype in (np.float32, np.float64):
                tensors = [place.tensor(a.astype(dtype), requires_grad=True) for a in arrays]
                y = function(*tensors)
                y.backward(place.tensor(np.random.default_rng(3).standard_normal(y.shape).astype(y.dtype)))
                results.append([np.asarray(t.numpy()) for t in (y, *(t.grad for t in tensors))])
    (y, *grads), (exact_y, *exact_grads), *of_conv = results
    low = 1e-5 if name == "float32" else ROUNDING[name] / 8
    for value, exact in zip((y, *grads, *of_conv[0]), (exact_y, *exact_grads, *of_conv[1]), strict=True):
        error = np.abs(value - exact).max() / np.abs(exact).max()
        assert value.dtype == np.float32 and (error < 1e-6 if name == "float32" else low < error < 8 * ROUNDING[name])


def test_old_gpus_are_refused():
    class Array:
        class device:
            compute_capability = "75"

    with raises(DeviceError, "'tf32'", "8.0", "7.5", "'float32'"):
        tensor_cores.check_gpu(Array, "tf32")


def test_what_t_may_be():
    with raises(TypeError, "T is float32 or float16 or bfloat16"):
        Kernel("tensor_cores.cu", "product_naive")[1, 32](
            *map(there, (np.ones((1, 4)), np.ones((1, 4)))), None, there(np.ones(1, np.float32)), 1, 1, 4
        )
    assert list(TENSOR_TYPES) == list(PRECISIONS[1:])
