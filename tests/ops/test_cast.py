"""cast: another float dtype, and what convolutions and linear layers do with their input in precision "bfloat16"."""

import numpy as np
import pytest
from checks import raises

import minicnn
import minicnn.functional as F
from minicnn import Tensor
from minicnn.ops.cast import as_factor, cast
from minicnn.precision import BFLOAT16


def bits(array):
    """The bits of a bfloat16 array on any device."""
    return np.asarray(Tensor(array).to("cpu").data).view(np.uint16)


def test_rounds_to_the_nearest_and_to_the_even_one_of_two(place):
    """1 + n/256 lies between two numbers of 8 digits where n is odd: halfway."""
    x = np.array(
        [1 + 1 / 256, 1 + 3 / 256, 1 + 1 / 256 + 2**-20, -1 - 1 / 256, 3.4e38, np.inf, -np.inf, 0.0, -0.0], "f"
    )
    expected = np.array([1, 1 + 4 / 256, 1 + 2 / 256, -1, np.inf, np.inf, -np.inf, 0, -0.0])  # 3.4e38 is too large
    y = cast(place.tensor(x), BFLOAT16)
    assert y.dtype == BFLOAT16 and y.device == place.device
    np.testing.assert_array_equal(y.numpy(), expected.astype("f"))
    np.testing.assert_array_equal(np.signbit(y.numpy()), np.signbit(expected))


def test_nan_stays_nan_and_small_numbers_are_not_lost(place):
    quiet, loud = np.uint32(0x7FC00000).view(np.float32), np.uint32(0x7F800001).view(np.float32)  # would round to inf
    y = cast(place.tensor(np.array([quiet, loud, 2.0**-126, 1e-30], "f")), BFLOAT16).numpy()
    assert np.isnan(y[:2]).all() and y[2] == 2.0**-126 and abs(y[3] - 1e-30) < 1e-32


@pytest.mark.parametrize("layout", ["C", "channels-last", "with gaps"])
def test_there_and_back_with_the_gradient(place, layout):
    rng = np.random.default_rng(3)
    x = rng.standard_normal((2, 3, 4, 5)).astype("f")
    if layout == "channels-last":
        x = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    leaf = Tensor(place.tensor(x).data[:, :, ::2] if layout == "with gaps" else place.tensor(x).data, True)
    y = cast(leaf, BFLOAT16)
    back = cast(y, np.float32)
    given = rng.standard_normal(y.shape).astype("f")
    back.backward(place.tensor(given))
    rounded = given.astype(BFLOAT16).astype("f")  # on the way back it is bfloat16 between the two casts
    assert leaf.grad.dtype == np.float32
    np.testing.assert_array_equal(leaf.grad.numpy(), rounded)
    np.testing.assert_array_equal(back.numpy(), leaf.numpy().astype(BFLOAT16).astype("f"))


@pytest.mark.parametrize("shape", [(2, 8, 1, 1), (1, 1, 1, 1), (8, 8, 1, 2), (3, 1, 4, 5)])
def test_images_that_lie_the_same_in_both_orders(place, shape):
    x = np.random.default_rng(3).standard_normal(shape).astype("f")
    there = cast(place.tensor(x), BFLOAT16)
    np.testing.assert_array_equal(there.numpy(), x.astype(BFLOAT16).astype("f"))
    np.testing.assert_array_equal(cast(there, np.float32).numpy(), x.astype(BFLOAT16).astype("f"))


def test_float64_goes_through_the_array_library(place):
    x = place.tensor(np.array([1.0, 2.5]), requires_grad=True)
    y = cast(x, np.float32)
    y.backward(place.tensor(np.array([3.0, 4.0], "f")))
    assert y.dtype == np.float32 and x.grad.dtype == np.float64


def test_factors_are_cast_in_that_precision_only():
    x = Tensor(np.ones((1, 3), "f"))
    assert as_factor(x) is x
    with minicnn.precision("bfloat16"):
        assert as_factor(x).dtype == BFLOAT16
        assert as_factor(as_factor(x)).dtype == BFLOAT16
        wide = Tensor(np.ones((1, 3)))
        assert as_factor(wide) is wide  # float64 is never rounded
    with minicnn.precision("tf32"):
        assert as_factor(x) is x


def test_a_clone_of_bfloat16_is_a_copy():
    x = Tensor(np.ones(3, BFLOAT16))
    y = x.clone()
    y.data[0] = 5
    assert x.tolist() == [1, 1, 1] and y.dtype == BFLOAT16


def test_the_weights_of_a_layer_stay_float32():
    with raises(TypeError, "Linear.to", "float32 or float64", "set_precision"):
        minicnn.nn.Linear(2, 2).to(minicnn.bfloat16)
    with raises(TypeError, "bfloat16", "float32", "astype"):
        F.residual_add(Tensor(np.ones(2, BFLOAT16)), Tensor(np.ones(2, "f")))


def test_integers_and_numbers_of_ml_dtypes_become_bfloat16(place):
    whole = Tensor(np.array([1, -2, 257])).to(place.device).astype(BFLOAT16)
    assert whole.tolist() == [1, -2, 256]
    assert (whole * BFLOAT16.type(3)).tolist() == [3, -6, 768]
    assert (Tensor(np.array([True, False])).to(place.device).astype(BFLOAT16)).tolist() == [1, 0]
