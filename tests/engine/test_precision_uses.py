"""What one does with bfloat16 Tensors beside training: mix them, add gradients up, save them; and what is refused."""

import numpy as np
import pytest
from checks import FAST_GPU, Place, check_bfloat16, needs_compiler, raises
from hypothesis import given, settings
from hypothesis import strategies as st

import minicnn
import minicnn.functional as F
from minicnn import Tensor, nn
from minicnn.precision import BFLOAT16


def ones(place, *shape, dtype=BFLOAT16):
    return place.tensor(np.ones(shape, dtype), requires_grad=True)


@pytest.mark.parametrize(
    "function",
    [lambda a, b: a + b, F.residual_add, lambda a, b: minicnn.cat([a, b], 1), lambda a, b: a @ b, F.mse_loss],
    ids=["+", "residual_add", "cat", "@", "mse_loss"],
)
def test_bfloat16_beside_float32(place, function):
    a, b = ones(place, 2, 3, 4, 4), ones(place, 2, 3, 4, 4, dtype="f")
    with raises(TypeError, "bfloat16", "float32", ".astype("):
        function(a, b)
    assert function(a.float(), b).dtype == np.float32 and function(a, b.bfloat16()).dtype in (BFLOAT16, np.float32)


LAYERS = {
    "conv2d": lambda x, w, b: F.conv2d(x, w.reshape(3, 3, 1, 1), b),
    "conv_transpose2d": lambda x, w, b: F.conv_transpose2d(x, w.reshape(3, 3, 1, 1), b),
    "linear": lambda x, w, b: F.linear(x.reshape(-1, 3), w, b),
}


@pytest.mark.parametrize("name", LAYERS)
def test_weights_are_float32_masters(place, name):
    x, w, b = ones(place, 2, 3, 2, 2), ones(place, 3, 3, dtype="f"), ones(place, 3, dtype="f")
    assert LAYERS[name](x, w, b).dtype == BFLOAT16
    for wrong in ((w.bfloat16(), b), (w, b.bfloat16()), (w.double(), b)):
        with raises(TypeError, "bfloat16", "weight and bias are float32", ".float()"):
            LAYERS[name](x, *wrong)


def test_batch_norm_with_a_residual(place):
    x, w, b = ones(place, 2, 3, 2, 2), ones(place, 3, dtype="f"), ones(place, 3, dtype="f")
    with raises(TypeError, "batch_norm", "weight is bfloat16", "float32"):
        F.batch_norm(x, None, None, w.bfloat16(), b, training=True)
    with raises(TypeError, "BatchNormReLU", "residual: float32", ".bfloat16()"):
        F.batch_norm_relu(x, None, None, w, b, training=True, residual=x.float())


def test_gradients_of_two_backward_passes_are_added_in_float32(place):
    """1 + 2^-9 has more digits than bfloat16."""
    x, weight = place.tensor(np.full((1, 1), 1.0, BFLOAT16)), ones(place, 1, 1, dtype="f")
    for factor in (1.0, 2.0**-9):
        F.linear(x, weight).backward(place.tensor(np.full((1, 1), factor, BFLOAT16)))
    assert weight.grad.item() == 1 + 2.0**-9


def test_without_gradients(place):
    with minicnn.no_grad(), minicnn.precision("bfloat16"):
        y = F.conv2d(ones(place, 1, 3, 4, 4, dtype="f"), ones(place, 8, 3, 1, 1, dtype="f"))
    assert y.dtype == BFLOAT16 and not y.requires_grad and (y.numpy() == 3).all()


def test_slices_keep_the_dtype_and_give_their_gradient_back(place):
    x = ones(place, 2, 8, 4, 4)
    x[:, 2:4, ::2].sum().backward()
    expected = np.zeros((2, 8, 4, 4))
    expected[:, 2:4, ::2] = 1
    assert x.grad.dtype == BFLOAT16
    np.testing.assert_array_equal(x.grad.numpy(), expected)


def test_files_hold_float32(tmp_path):
    x = Tensor(np.array([1.5, 2.0], BFLOAT16))
    with raises(TypeError, "a is an array of bfloat16", ".float()"):
        minicnn.save({"a": x}, tmp_path / "x.npz")
    minicnn.save({"a": x.float()}, tmp_path / "x.npz")
    assert minicnn.load(tmp_path / "x.npz")["a"].tolist() == [1.5, 2.0]


def test_what_has_no_bfloat16():
    with raises(TypeError, "SGD", "bfloat16", "set_precision"):
        minicnn.optim.SGD([Tensor(np.ones(3, BFLOAT16), requires_grad=True)], lr=0.1)
    with raises(TypeError, "gradcheck", "bfloat16", "float64"):
        minicnn.gradcheck(F.relu, [Tensor(np.ones(3, BFLOAT16), requires_grad=True)])
    with raises(TypeError, "bfloat16", "set_precision"):
        nn.Linear(3, 4).to(minicnn.bfloat16)


# Shapes of every kind, against the plain tier

PLACES = [Place("cpu", "fast"), pytest.param(FAST_GPU, marks=needs_compiler)]
small, seeds = st.integers(1, 4), st.integers(0, 99)


def numbers(rng, *shape):
    return rng.standard_normal(shape).astype("f")


@pytest.mark.parametrize("where", PLACES, ids=str)
@given(n=small, groups=st.sampled_from([1, 2]), channels=st.sampled_from([1, 3, 8, 9]), filters=st.sampled_from([1, 8]),
       size=st.tuples(st.integers(3, 8), st.integers(3, 8)), kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
       stride=st.integers(1, 3), padding=st.integers(0, 2), seed=seeds)  # fmt: skip
@settings(max_examples=12, deadline=None)
def test_conv2d(where, n, groups, channels, filters, size, kernel, stride, padding, seed):
    rng = np.random.default_rng(seed)
    arrays = [numbers(rng, n, groups * channels, *size), numbers(rng, groups * filters, channels, *kernel)]
    with where.active():
        check_bfloat16(
            where, F.conv2d, [*arrays, numbers(rng, groups * filters)], stride=stride, padding=padding, groups=groups
        )


@pytest.mark.parametrize("where", PLACES, ids=str)
@given(rows=st.lists(small, max_size=2), channels=st.integers(1, 20), filters=st.integers(1, 20), seed=seeds)
@settings(max_examples=12, deadline=None)
def test_linear(where, rows, channels, filters, seed):
    rng = np.random.default_rng(seed)
    arrays = [numbers(rng, *rows, channels), numbers(rng, filters, channels), numbers(rng, filters)]
    with where.active():
        check_bfloat16(where, F.linear, arrays)


@pytest.mark.parametrize("where", PLACES, ids=str)
@given(n=st.integers(2, 4), channels=st.integers(1, 17), size=st.tuples(small, small), seed=seeds)
@settings(max_examples=12, deadline=None)
def test_batch_norm(where, n, channels, size, seed):
    rng = np.random.default_rng(seed)
    arrays = [numbers(rng, n, channels, *size), numbers(rng, channels), numbers(rng, channels)]
    with where.active():
        check_bfloat16(where, lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True), arrays)


@pytest.mark.parametrize("where", PLACES, ids=str)
@given(n=small, channels=st.integers(1, 17), size=st.tuples(st.integers(3, 8), st.integers(3, 8)),
       kernel=st.integers(2, 3), stride=st.integers(1, 3), seed=seeds)  # fmt: skip
@settings(max_examples=12, deadline=None)
def test_max_pool2d(where, n, channels, size, kernel, stride, seed):
    rng = np.random.default_rng(seed)
    with where.active():
        check_bfloat16(
            where, F.max_pool2d, [numbers(rng, n, channels, *size)], kernel_size=kernel, stride=stride, padding=1
        )
