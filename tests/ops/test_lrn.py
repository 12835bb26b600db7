"""Local response normalisation, with alpha large enough for the part across channels to show."""

import numpy as np
import pytest
from checks import check_close, check_equals_torch, check_float32, check_gradients, forward, gradient, raises
from hypothesis import given
from strategies import responses

import minicnn.functional as F
from minicnn import Tensor


@given(case=responses())
def test_gradients(place, case):
    check_gradients(place, F.local_response_norm, case.arrays(), **case.options)


@given(case=responses())
def test_equals_torch(place, torch, case):
    check_equals_torch(
        place, F.local_response_norm, torch.nn.functional.local_response_norm, case.arrays(), **case.options
    )


@given(case=responses())
def test_float32(place, case):
    check_float32(place, F.local_response_norm, case.arrays(), **case.options)


def test_an_even_window_reaches_further_back(place):
    x = np.ones((1, 5, 1))
    y = forward(place, F.local_response_norm, x, size=4, alpha=4.0, beta=1.0, k=0.0)
    check_close(1 / y[0, :, 0], np.array([2.0, 3, 4, 4, 3]), 1e-12)  # channels c-2 to c+1 that exist


def test_a_window_of_one_channel(place):
    x = np.array([[[1.0], [2.0]]])
    check_close(forward(place, F.local_response_norm, x, size=1, alpha=3.0, beta=1.0, k=1.0), x / (1 + 3 * x**2), 1e-12)


def test_the_gradient_across_channels(place):
    """y_0 = x_0 / (1 + x_0^2 + x_1^2) for three channels in one window: dy_0/dx_1 = -2 x_0 x_1 / s^2."""
    x, only_y0 = np.array([[[1.0], [2.0]]]), np.array([[[1.0], [0.0]]])
    grad = gradient(place, F.local_response_norm, x, only_y0, size=3, alpha=3.0, beta=1.0, k=1.0)
    check_close(grad[0, :, 0], np.array([1 / 6 - 2 / 36, -4 / 36]), 1e-12)


@pytest.mark.parametrize("groups", [2, 3, 6])
@pytest.mark.parametrize("order", ["NCHW", "channels-last"])
def test_groups_are_normalised_apart(place, order, groups):
    x, grad_out = np.random.default_rng(0).standard_normal((2, 3, 6, 4, 5))
    if order == "channels-last":
        x, grad_out = (np.ascontiguousarray(a.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2) for a in (x, grad_out))
    options = {"size": 4, "alpha": 1.5, "beta": 0.75, "k": 2.0}
    y = forward(place, F.local_response_norm, x, **options, groups=groups)
    grad_x = gradient(place, F.local_response_norm, x, grad_out, **options, groups=groups)
    for group in np.split(np.arange(6), groups):
        check_close(y[:, group], forward(place, F.local_response_norm, x[:, group], **options), 1e-12)
        alone = gradient(place, F.local_response_norm, x[:, group], grad_out[:, group], **options)
        check_close(grad_x[:, group], alone, 1e-12)


@pytest.mark.parametrize("shape", [(0, 3, 2), (2, 0, 3)])
def test_empty_batch(place, shape):
    x = np.empty(shape)
    assert forward(place, F.local_response_norm, x, size=3).shape == x.shape
    assert gradient(place, F.local_response_norm, x, size=3).shape == x.shape


@pytest.mark.parametrize("size, error", [(0, ValueError), (-1, ValueError), (2.5, TypeError), (None, TypeError)])
def test_size_must_be_a_number_of_channels(size, error):
    with raises(error, "local_response_norm", "size", size):
        F.local_response_norm(Tensor(np.ones((1, 2, 3))), size)


def test_groups_must_divide_the_channels():
    with raises(ValueError, "local_response_norm", "groups", "6 channels", "4"):
        F.local_response_norm(Tensor(np.ones((1, 6, 3))), 3, groups=4)
    with raises(ValueError, "local_response_norm", "groups", "0"):
        F.local_response_norm(Tensor(np.ones((1, 6, 3))), 3, groups=0)


def test_input_must_have_channels_and_positions():
    with raises(ValueError, "local_response_norm", "input", "(2, 3)"):
        F.local_response_norm(Tensor(np.ones((2, 3))), 3)
