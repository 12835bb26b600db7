"""Element-wise kernels that move vectors: sizes that fill none, arrays that begin anywhere or lie in another order."""

import ml_dtypes
import numpy as np
import pytest
from checks import Place, needs_compiler

from minicnn.emulated import on_device
from minicnn.kernels.cuda import activation, arithmetic, dropout
from minicnn.ops import dropout as page

pytestmark = needs_compiler
RNG = np.random.default_rng(0)
TYPES = [np.float32, np.float64, ml_dtypes.bfloat16]


@pytest.fixture(autouse=True)
def gpu():
    with Place("cuda", "fast").active():
        yield


def there(values, begin=0):
    """A copy on the GPU that begins so many numbers behind a multiple of 16 bytes."""
    memory = np.zeros(values.size + begin + 16, values.dtype)
    memory = memory[-memory.ctypes.data % 16 // values.itemsize :]
    array = on_device(memory[begin : begin + values.size].reshape(values.shape))
    array[...] = values
    return array


def normal(shape, dtype):
    return on_device(RNG.standard_normal(shape).astype(dtype))


@pytest.mark.parametrize("dtype", TYPES)
def test_any_size_and_any_address(dtype):
    """Of bfloat16 a vector has 8 numbers, of float 4, of double 2."""
    for size in (0, 1, 7, 8, 9, 31, 2051):
        a, b = normal(size, dtype), normal(size, dtype)
        for begins in ((0, 0), (1, 0), (0, 1), (3, 3)):
            x, y = (there(array, begin) for array, begin in zip((a, b), begins, strict=True))
            np.testing.assert_array_equal(activation.relu_forward(x, None), np.maximum(a, 0))
            expected = (a.astype(np.float64) + b).astype(dtype)  # exact, then rounded once
            np.testing.assert_array_equal(arithmetic.residual_add_forward(x, y), expected)
            np.testing.assert_array_equal(activation.relu_forward(x, x), np.maximum(a, 0))
            np.testing.assert_array_equal(x, np.maximum(a, 0))  # in place


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("start", [0, 4, 2**33 + 3])
def test_dropout_draws_the_numbers_of_the_page(dtype, start):
    for size in (1, 5, 8, 27, 1030):
        x = normal(size, dtype) + dtype(8)  # none is 0
        for begin in (0, 1):
            y = dropout.dropout_forward(there(x, begin), 0.4, 7, 2, start, None)
            expected = page.dropout_forward(np.ones(size), 0.4, 7, 2, start, None)
            np.testing.assert_array_equal(np.asarray(y != 0), expected != 0)
            np.testing.assert_allclose(y.astype(float), on_device(expected) * x.astype(float), rtol=2.0**-8)


def channels_last(array):
    return array.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2)


@pytest.mark.parametrize("dtype", [np.float32, ml_dtypes.bfloat16])
def test_the_order_of_the_first_array_in_memory_is_that_of_the_result(dtype):
    a, b = normal((2, 3, 4, 5), dtype), normal((2, 3, 4, 5), dtype)
    expected = arithmetic.residual_add_forward(a, b)
    for first in (a, channels_last(a)):
        for other in (b, channels_last(b)):
            y = arithmetic.residual_add_forward(first, other)
            np.testing.assert_array_equal(y, expected)
            assert y.strides == first.strides
    for out in (np.zeros_like(a), channels_last(a) * dtype(0)):
        activation.relu_forward(channels_last(a), out)
        np.testing.assert_array_equal(out, np.maximum(a, 0))
