"""Kernels on images in either order of memory and of every dtype, against the op's page in float64, rounded once."""

import ml_dtypes
import numpy as np
import pytest
from checks import Place, needs_compiler

from minicnn.device import implementation
from minicnn.emulated import on_device
from minicnn.kernels.cuda import windows as cuda_windows
from minicnn.kernels.cuda.emulator.recording import recording
from minicnn.ops import adaptive_avg_pool, avg_pool, lrn, max_pool
from minicnn.ops.windows import Windows

pytestmark = needs_compiler
RNG = np.random.default_rng(0)
LAST_DIGIT = {np.float64: 1e-12, np.float32: 2e-6, ml_dtypes.bfloat16: 2.0**-8}
C_ORDER, LAST = (0, 1, 2, 3), (0, 2, 3, 1)


def normal(*shape):
    return RNG.standard_normal(shape).astype(ml_dtypes.bfloat16)  # exact in the other dtypes, too


def laid(array, dtype, order):
    """A copy on the GPU whose axes lie in memory in this order."""
    array = np.ascontiguousarray(array.transpose(order)).astype(dtype)
    return on_device(array.transpose(np.argsort(order)))


def windows(size, kernel=(3, 2), stride=(2, 1), padding=((1, 1), (1, 0)), dilation=(1, 1)):
    out = tuple(
        (n + sum(p) - d * (k - 1) - 1) // s + 1
        for n, k, s, p, d in zip(size, kernel, stride, padding, dilation, strict=True)
    )
    return Windows(kernel, stride, padding, dilation, out)


SIZE = (9, 7)
SMALL, LARGE = windows(SIZE), windows(SIZE, (3, 3), (2, 2), ((1, 1), (1, 1)))
PAIRS, FAR = windows(SIZE, (2, 2), (2, 2), ((0, 0), (0, 0))), windows(SIZE, dilation=(2, 3), stride=(1, 2))


def cases(channels):
    x, grad = normal(2, channels, *SIZE), normal(2, channels, 4, 5)
    yield adaptive_avg_pool.adaptive_avg_pool2d_forward, [x], ((4, 5),)
    yield adaptive_avg_pool.adaptive_avg_pool2d_forward, [x], ((1, 1),)
    yield adaptive_avg_pool.adaptive_avg_pool2d_backward, [grad], (x.shape,)
    yield adaptive_avg_pool.adaptive_avg_pool2d_backward, [grad[:, :, :1, :1]], (x.shape,)
    for each in (SMALL, LARGE, PAIRS, FAR):
        out = normal(2, channels, *each.out_size)
        yield max_pool.max_pool2d_forward, [x], (each,)
        yield max_pool.max_pool2d_forward_and_winners, [x], (each,)
        if each is not FAR:
            yield avg_pool.avg_pool2d_forward, [x], (each, False, None)
            yield avg_pool.avg_pool2d_backward, [out], (x.shape, each, True, None)
    for size in (4, 5, 7):
        yield lrn.local_response_norm_forward, [x], (size, 1.0, 0.75, 2.0, 1)
        yield lrn.local_response_norm_backward, [x[::-1], x], (size, 1.0, 0.75, 2.0, 1)
    yield lrn.local_response_norm_backward, [x[::-1], x], (5, 1.0, 0.6, 2.0, channels // 8 or 1)


@pytest.mark.parametrize("dtype", LAST_DIGIT)
@pytest.mark.parametrize("order", [C_ORDER, LAST], ids=["C-order", "channels-last"])
@pytest.mark.parametrize("channels", [3, 16, 24])
def test_equals_the_page(dtype, order, channels):
    """bfloat16 results are channels-last, whatever came; others lie as what came."""
    for function, arrays, options in cases(channels):
        expected = function(*(array.astype(np.float64) for array in arrays), *options)
        with Place("cuda", "fast").active():
            found = implementation(function, "cuda", "fast")(*(laid(a, dtype, order) for a in arrays), *options)
        if not isinstance(expected, tuple):
            expected, found = (expected,), (found,)
        assert found[0].dtype == dtype
        digit, both = LAST_DIGIT[dtype], arrays[0].shape[2:] == (1, 1)  # whose memory is in both orders
        wanted_order = LAST if dtype is ml_dtypes.bfloat16 else C_ORDER if both else order
        for got, wanted in zip(found, expected, strict=True):
            assert got.transpose(wanted_order).flags.c_contiguous, function.__name__
            got = np.asarray(got).astype(np.float64)
            np.testing.assert_allclose(got, wanted, rtol=digit, atol=3e-7, err_msg=function.__name__)


@pytest.mark.parametrize("dtype", LAST_DIGIT)
@pytest.mark.parametrize("channels", [3, 16])
@pytest.mark.parametrize("each", [SMALL, LARGE, FAR])
def test_the_winners_get_the_gradient(dtype, channels, each):
    """In whatever order of memory the gradient comes beside the winners."""
    x, grad = normal(2, channels, *SIZE), normal(2, channels, *each.out_size)
    x[0, 0, :4] = np.nan
    _, winners = max_pool.max_pool2d_forward_and_winners(x.astype(np.float64), each)
    expected = max_pool.max_pool2d_backward(grad.astype(np.float64), winners, x.shape, each)
    forward, backward = (
        implementation(function, "cuda", "fast")
        for function in (max_pool.max_pool2d_forward_and_winners, max_pool.max_pool2d_backward)
    )
    with Place("cuda", "fast").active():
        for order in (C_ORDER, LAST):
            _, found = forward(laid(x, dtype, order), each)
            np.testing.assert_array_equal(np.asarray(found), winners)
            for grad_order in (C_ORDER, LAST):
                grad_x = backward(laid(grad, dtype, grad_order), found, x.shape, each)
                assert grad_x.transpose(LAST if dtype is ml_dtypes.bfloat16 else order).flags.c_contiguous
                digit = LAST_DIGIT[dtype]
                np.testing.assert_allclose(np.asarray(grad_x).astype(float), expected, rtol=digit, atol=3e-7)


def test_a_picture_without_k_has_no_neighbours_beyond_its_ends():
    """With k = 0 there would be 0 / 0, beside a first channel that is 0."""
    x, options = 1 + np.abs(normal(2, 3, 4, 5).astype(np.float64)), (3, 1.0, 0.75, 0.0, 1)
    x[:, 0] = 0
    expected = lrn.local_response_norm_backward(x[::-1], x, *options)
    with Place("cuda", "fast").active():
        backward = implementation(lrn.local_response_norm_backward, "cuda", "fast")
        for order in (C_ORDER, LAST):
            found = backward(laid(x[::-1], np.float64, order), laid(x, np.float64, order), *options)
            np.testing.assert_allclose(np.asarray(found), expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("order", [C_ORDER, LAST], ids=["C-order", "channels-last"])
def test_more_numbers_than_an_int_counts_take_several_launches(order, monkeypatch):
    """As if an int went no further than one and a half images."""
    x = normal(5, 16, *SIZE)
    expected = max_pool.max_pool2d_forward(x.astype(np.float64), FAR)
    monkeypatch.setattr(cuda_windows, "MOST", FAR.out_size[0] * FAR.out_size[1] * 16 * 3 // 2)
    with Place("cuda", "fast").active(), recording() as launches:
        found = implementation(max_pool.max_pool2d_forward, "cuda", "fast")(laid(x, np.float64, order), FAR)
    assert len(launches) == 5
    np.testing.assert_array_equal(found, on_device(expected))


def test_windows_of_more_than_256_taps_have_winners_of_four_bytes():
    each = windows((20, 19), (17, 17), (1, 2), ((0, 0), (2, 2)))
    x = normal(1, 8, 20, 19)
    y, winners = max_pool.max_pool2d_forward_and_winners(x.astype(np.float64), each)
    with Place("cuda", "fast").active():
        forward = implementation(max_pool.max_pool2d_forward_and_winners, "cuda", "fast")
        found_y, found = forward(laid(x, x.dtype, C_ORDER), each)
        grad_x = implementation(max_pool.max_pool2d_backward, "cuda", "fast")(found_y, found, x.shape, each)
    assert found.dtype == np.int32
    np.testing.assert_array_equal(np.asarray(found), winners)
    np.testing.assert_array_equal(np.asarray(found_y).astype(float), y)
    expected = max_pool.max_pool2d_backward(y, winners, x.shape, each)
    np.testing.assert_allclose(np.asarray(grad_x).astype(float), expected, rtol=2.0**-8)
