"""Reshape, flatten, permute, transpose, indexing and cat: where every number and every gradient ends up."""

import numpy as np
import pytest
from checks import check_close, check_equals_torch, check_gradients, forward, gradient, raises
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, basic_indices
from strategies import ONE_SHAPE, SEEDS, Case, a_quarter, cases

import minicnn.functional as F
from minicnn import Tensor, cat, stack


def check_moves_numbers(place, function, expected, x):
    check_close(forward(place, function, x), expected, 0)
    check_gradients(place, function, [x])


@a_quarter
@given(case=cases(ONE_SHAPE), data=st.data())
def test_permute_and_reshape(place, case, data):
    (x,) = case.arrays()
    dims = data.draw(st.permutations(range(-x.ndim, 0)))
    check_moves_numbers(place, lambda t: t.permute(*dims), x.transpose(dims), x)
    check_moves_numbers(place, lambda t: t.permute(*dims).reshape(-1), x.transpose(dims).reshape(-1), x)


@a_quarter
@given(case=cases(array_shapes(max_dims=4, max_side=3).map(lambda s: (s,))), data=st.data())
def test_flatten_and_transpose_equal_torch(place, torch, case, data):
    (x,) = case.arrays()
    first, last = sorted(data.draw(st.tuples(*[st.integers(0, x.ndim - 1)] * 2)))
    check_equals_torch(place, F.flatten, torch.flatten, [x], start_dim=first, end_dim=last - x.ndim)
    check_equals_torch(place, Tensor.transpose, torch.transpose, [x], dim0=first, dim1=last - x.ndim)


@a_quarter
@given(shape=array_shapes(max_dims=3, max_side=4), seed=SEEDS, data=st.data())
def test_basic_indexing(place, shape, seed, data):
    (x,) = Case((shape,), seed=seed).arrays()
    index = data.draw(basic_indices(shape, allow_newaxis=True))
    check_moves_numbers(place, lambda t: t[index], x[index], x)


INDICES = [
    np.array([2, 0, 2]),  # an element taken twice receives both gradients
    (np.array([0, 1, 0]), slice(None), np.array([1, 1, 1])),
    np.array([True, False, True]),
    (slice(None), np.array([[True, False], [False, True]])),
    [0, -1],
]


@pytest.mark.parametrize("index", INDICES, ids=str)
def test_arrays_as_indices(place, index):
    x = np.random.default_rng(0).standard_normal((3, 2, 2))
    check_moves_numbers(place, lambda t: t[index], x[index], x)


def test_tensors_as_indices(place):
    x = np.array([10.0, 20, 30])
    check_moves_numbers(place, lambda t: t[Tensor(np.array([2, 2]))], x[[2, 2]], x)
    check_close(gradient(place, lambda t: t[t > 15], x), np.array([0.0, 1, 1]), 0)


@a_quarter
@given(data=st.data(), seed=SEEDS)
def test_cat(place, torch, data, seed):
    shape = data.draw(array_shapes(max_dims=3, max_side=3))
    dim = data.draw(st.integers(-len(shape), len(shape) - 1))
    lengths = data.draw(st.lists(st.integers(0, 3), min_size=1, max_size=4))
    pieces = [list(shape) for _ in lengths]
    for piece, length in zip(pieces, lengths, strict=True):
        piece[dim] = length
    arrays = Case(tuple(map(tuple, pieces)), seed=seed).arrays()
    check_gradients(place, lambda *t: cat(t, dim), arrays)
    check_equals_torch(place, lambda *t: cat(t, dim), lambda *t: torch.cat(t, dim), arrays)


@pytest.mark.parametrize("dim", [0, 1, 3])
def test_cat_of_channels_last_images_is_channels_last(place, dim):
    """And so are the gradients that come back, without gaps on a GPU, whose kernels would copy them each time."""
    rng, order, back = np.random.default_rng(0), (0, 2, 3, 1), (0, 3, 1, 2)
    whole = rng.standard_normal((4, 6, 8, 10))
    arrays = [np.ascontiguousarray(part.transpose(order)) for part in np.split(whole, 2, axis=dim)]
    tensors = [Tensor(place.tensor(a).data.transpose(back), requires_grad=True) for a in arrays]
    y = cat(tensors, dim)
    assert y.data.transpose(order).flags.c_contiguous
    np.testing.assert_array_equal(y.numpy(), whole)
    found = y.node.backward(y.data)
    for grad, tensor in zip(found, tensors, strict=True):
        np.testing.assert_array_equal(Tensor(grad).numpy(), tensor.numpy())
        assert place.device == "cpu" or grad.transpose(order).flags.c_contiguous


def test_reshaped_images_have_their_numbers_in_the_order_of_their_shape(place):
    x = np.random.default_rng(0).standard_normal((2, 3, 4, 5))
    last = Tensor(place.tensor(np.ascontiguousarray(x.transpose(0, 2, 3, 1))).data.transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(F.flatten(last, 1).numpy(), x.reshape(2, 60))


def test_cat_of_anything_that_can_be_iterated():
    x = Tensor(np.ones((2, 3)))
    assert cat(iter([x, x])).shape == (4, 3)


def test_views_share_memory():
    x = Tensor(np.arange(6.0))
    for view in (x.reshape(2, 3), x.flatten(), x[1:], x.reshape(2, 3).permute(1, 0)):
        assert np.shares_memory(view.data, x.data) and view.version is x.version


def test_dtypes_pass_through():
    x = Tensor(np.ones((2, 3), np.float32))
    for y in (x.reshape(6), x.permute(1, 0), x[0], cat([x, x], 1)):
        assert y.dtype == np.float32


@pytest.mark.parametrize(
    "call, error, parts",
    [
        (lambda x: x.reshape(4, 2), ValueError, ["reshape", "(2, 3)", "6 elements", "(4, 2)"]),
        (lambda x: x.reshape(-1, 4), ValueError, ["reshape", "(2, 3)", "(-1, 4)"]),
        (lambda x: x.flatten(2), ValueError, ["flatten", "start_dim 2", "(2, 3)"]),
        (lambda x: x.flatten(1, 0), ValueError, ["flatten", "start_dim 1", "end_dim 0"]),
        (lambda x: x.permute(0, 0), ValueError, ["permute", "(0, 0)", "(2, 3)"]),
        (lambda x: x.permute(0), ValueError, ["permute", "(0,)", "2 axes"]),
        (lambda x: x.transpose(0, 2), ValueError, ["transpose", "dim1 2", "(2, 3)"]),
        (lambda x: x.transpose(0, 1.0), TypeError, ["transpose", "dim1", "1.0"]),
        (lambda x: x.flatten("0"), TypeError, ["flatten", "start_dim", "'0'"]),
        (lambda x: x.unsqueeze(None), TypeError, ["unsqueeze", "dim", "None"]),
        (lambda x: cat([x, None]), TypeError, ["cat", "tensors[1]", "NoneType"]),
        (lambda x: stack([x, x], 3), ValueError, ["stack", "dim 3", "(2, 3)"]),
        (lambda x: cat([]), ValueError, ["cat", "no tensors"]),
        (lambda x: cat([x, Tensor(np.ones((3, 3)))], 1), ValueError, ["cat", "(2, 3)", "(3, 3)", "dim 1"]),
        (lambda x: cat([x], 2), ValueError, ["cat", "dim 2", "(2, 3)"]),
        (lambda x: cat([x, Tensor(np.ones((2, 3), np.float32))]), TypeError, ["Cat", "float64", "float32"]),
    ],
)
def test_errors(call, error, parts):
    with raises(error, *parts):
        call(Tensor(np.ones((2, 3))))


def test_an_element_that_is_taken_very_often():
    """Its gradient is a sum of many small numbers."""
    x = Tensor(np.ones(2, np.float32), requires_grad=True)
    x[np.zeros(1_000_000, int)].backward(np.full(1_000_000, 0.1, np.float32))
    np.testing.assert_allclose(x.grad.numpy(), [1_000_000 * float(np.float32(0.1)), 0], rtol=1e-6)
