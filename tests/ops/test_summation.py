"""Sums of float32 over many values: as right as float64's, along any axes and in any layout; the kernels' sums, too."""

import numpy as np
import pytest

import minicnn.functional as F
from minicnn import Tensor, tier
from minicnn.ops import summation
from minicnn.ops.summation import FEW, PIECE

WORST = 2.0**-24  # what an addition may cost, of the sum so far

VALUES = {  # (first, the others): added one by one, each of these loses most of what it is
    "equal": (np.float32(0.1), np.float32(0.1)),
    "small ones behind a large one": (np.float32(2**24), np.float32(1)),
    "half a digit": (np.float32(2**24), np.float32(0.999)),
}
every_kind = pytest.mark.parametrize("values", VALUES.values(), ids=VALUES.keys())


def many(shape, values, axes=None):
    """An array whose sums over `axes` begin with the first value and go on with the other."""
    first, other = values
    x = np.full(shape, other)
    axes = range(x.ndim) if axes is None else axes
    x[tuple(0 if axis in axes else slice(None) for axis in range(x.ndim))] = first
    return x


def check_sum(value, x, axes):
    expected = x.astype(np.float64).sum(axis=axes)
    assert value.dtype == np.float32 and value.shape == expected.shape
    alike = x.max() < 2 * x.min()
    np.testing.assert_allclose(value.astype(np.float64), expected, rtol=1e-6 if alike else WORST * PIECE)


@pytest.mark.parametrize("first, other", VALUES.values(), ids=VALUES.keys())
def test_as_right_as_float64(first, other):
    for shape, axes in [
        ((100_003, 3), (0,)),
        ((100_003, 3), (0, 1)),
        ((3, 100_003), (1,)),
        ((3, 100_003), (-1,)),
        ((7, 3, 113, 127), (0, 2, 3)),
        ((1, 3, 300, 301), (0, 2, 3)),
        ((20_000, 2, 2, 2), (0, 2, 3)),
        ((20_000, 2, 2, 2), (0, 1, 2, 3)),
        ((2, 70, 700, 1), (1, 2)),
    ]:
        x = many(shape, (first, other), axes=[axis % len(shape) for axis in axes])
        for array in (x, np.asfortranarray(x), channels_last(x), in_a_wider_array(x), x[::-1]):
            check_sum(summation.total(array, axes), array, axes)
            assert summation.total(array, axes, keepdims=True).ndim == x.ndim
            count = np.prod([x.shape[axis] for axis in axes])
            check_sum(summation.mean(array, axes) * np.float32(count), array, axes)


def channels_last(x):
    return x if x.ndim < 3 else np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)


def in_a_wider_array(x):
    wider = np.zeros((*x.shape[:-1], x.shape[-1] + 1), x.dtype)
    wider[..., :-1] = x
    return wider[..., :-1]


@every_kind
def test_at_the_switch(values):
    """The bounds that the page states, where it goes from one way of adding to the next."""
    for rows, additions in ((FEW, FEW), (FEW + 1, 2 * PIECE), (PIECE**2, 2 * PIECE), (PIECE**2 + 2 * PIECE, PIECE)):
        x = many((rows, 7), values, axes=(0,))
        exact = x.astype(np.float64).sum(axis=0)
        for array in (x, np.concatenate([x] * 1000, axis=1)):
            np.testing.assert_allclose(summation.total(array, (0,))[:7], exact, rtol=WORST * additions)
            alike = np.broadcast_to(np.linspace(0.1, 1, array.shape[1], dtype=np.float32), array.shape)
            np.testing.assert_allclose(
                summation.total(np.ascontiguousarray(alike), (0,)),
                alike.astype(np.float64).sum(axis=0),
                rtol=2e-6 if rows == FEW else 1e-6,
            )


def test_few_values_and_none():
    rng = np.random.default_rng(0)
    for length in (0, 1, 31, 32, 33, 127, 128, 129, 145, 1023, 1024, 1025, 1155):
        x = rng.standard_normal((length, 2)).astype(np.float32)
        for axes in ((0,), (1,), (0, 1)):
            np.testing.assert_allclose(summation.total(x, axes), x.astype(np.float64).sum(axis=axes), atol=1e-5)


@every_kind
def test_tensors(values):
    x = many((200_000, 2), values, axes=(0,))
    check_sum(Tensor(x).sum(0).numpy(), x, 0)
    check_sum(Tensor(x).sum().numpy(), x, None)
    check_sum(Tensor(x).mean(0).numpy() * np.float32(len(x)), x, 0)
    bias = Tensor(np.zeros(2, np.float32), requires_grad=True)
    (Tensor(np.zeros_like(x)) + bias).backward(x)
    check_sum(bias.grad.numpy(), x, 0)


@every_kind
def test_the_kernels_too(place, values):
    """Sums of a bias's gradient, batch norm's four, an average over an image, softmax's, and cross-entropy's mean."""
    rows = 800 if place.simulated else 40_000  # wrong versions of its kernels are told from these, too
    x = many((1, 2, rows // 100, 100), values, axes=(0, 2, 3))
    matrix = np.ascontiguousarray(x.reshape(2, rows).T)
    for layer, grad in ((linear, matrix), (conv, x), (batch_norm_in_evaluation, x)):
        check_sum(layer(place, grad), grad, tuple(axis for axis in range(grad.ndim) if axis != 1))
    mean = F.adaptive_avg_pool2d(place.tensor(x), 1).numpy().reshape(2)
    check_sum(mean * np.float32(rows), x, (0, 2, 3))
    check_statistics(place, x)


def linear(place, grad_out):
    x, weight, bias = (np.zeros(shape, np.float32) for shape in ((len(grad_out), 1), (2, 1), 2))
    bias = place.tensor(bias, requires_grad=True)
    F.linear(place.tensor(x), place.tensor(weight), bias).backward(place.tensor(grad_out))
    return bias.grad.numpy()


def sums(place):
    """A column of many small numbers behind a large one, which a kernel's threads share."""
    grad = many((2_000, 2), VALUES["small ones behind a large one"], axes=(0,))
    with place.active():
        check_sum(linear(place, grad), grad, 0)


def infinite_sums(place):
    grad = many((100, 2), (np.float32(np.inf), np.float32(1)), axes=(0,))
    with place.active():
        np.testing.assert_array_equal(linear(place, grad), [np.inf, np.inf])


SUMS = {"sums": sums, "infinite_sums": infinite_sums}  # what the kernels' wrong versions must not pass


@pytest.mark.parametrize("name", ["plain", "fast"])
def test_the_gradient_of_a_small_weight_over_many_rows(name):
    """BLAS has its own order of adding: not 1e-6, but nothing is lost of the numbers that come late."""
    grad = np.full((1_000_001, 2), np.float32(0.1))
    weight = Tensor(np.zeros((2, 3), np.float32), requires_grad=True)
    with tier(name):
        F.linear(Tensor(np.ones((len(grad), 3), np.float32)), weight).backward(grad)
    np.testing.assert_allclose(weight.grad.numpy(), len(grad) * float(grad[0, 0]), rtol=1e-4)


def test_an_infinity_stays_one(place):
    infinite_sums(place)


def conv(place, grad_out):
    x, weight = (np.zeros(shape, np.float32) for shape in ((1, 1, *grad_out.shape[2:]), (2, 1, 1, 1)))
    bias = place.tensor(np.zeros(2, np.float32), requires_grad=True)
    F.conv2d(place.tensor(x), place.tensor(weight), bias).backward(place.tensor(grad_out))
    return bias.grad.numpy()


def batch_norm_in_evaluation(place, grad_out):
    """The gradient by bias; that by weight is the same where x_hat is 1."""
    running = [place.tensor(np.full(2, value, np.float32)) for value in (0, 1)]
    weight, bias = (place.tensor(np.ones(2, np.float32), requires_grad=True) for _ in range(2))
    x = place.tensor(np.ones_like(grad_out))
    F.batch_norm(x, *running, weight, bias, eps=0.0).backward(place.tensor(grad_out))
    np.testing.assert_array_equal(weight.grad.numpy(), bias.grad.numpy())
    return bias.grad.numpy()


def check_statistics(place, x):
    running = [place.tensor(np.zeros(2, np.float32)) for _ in range(2)]
    F.batch_norm(place.tensor(x), *running, training=True, momentum=1.0)
    exact = x.astype(np.float64)
    np.testing.assert_allclose(running[0].numpy(), exact.mean(axis=(0, 2, 3)), rtol=1e-6)
    np.testing.assert_allclose(running[1].numpy(), exact.var(axis=(0, 2, 3), ddof=1), rtol=2e-6, atol=1e-12)


def test_softmax_over_many_classes(place):
    """The first score's exponential is 1, the others' are 2^-24: added to it one by one, they would be nothing."""
    classes = 20_000
    x = np.full((1, classes), -24 * np.log(2), np.float32)
    x[0, 0] = 0
    exact = np.exp(x.astype(np.float64))
    exact /= exact.sum()
    for axis in (0, 1):
        scores = place.tensor(x if axis else np.ascontiguousarray(x.T), requires_grad=True)
        np.testing.assert_allclose(F.softmax(scores, axis).numpy().reshape(1, -1), exact, rtol=2e-6)
        np.testing.assert_allclose(F.log_softmax(scores, axis).numpy()[0, 0], np.log(exact[0, 0]), rtol=1e-3)
        grad = many((1, classes), VALUES["small ones behind a large one"])
        F.log_softmax(scores, axis).backward(place.tensor(grad if axis else np.ascontiguousarray(grad.T)))
        total = grad.astype(np.float64).sum()
        np.testing.assert_allclose(scores.grad.numpy().reshape(1, -1), grad - exact * total, rtol=1e-5, atol=20)


def test_the_mean_of_many_losses(place):
    rows = 200 if place.simulated else {"cpu": 200_000, "cuda": 2_000}[place.device]
    x = np.zeros((rows, 2), np.float32)
    x[0, 0] = -1e4  # one prediction that is all wrong, and many that are undecided
    weight = np.array([0.1, 0.1], np.float32)
    for w in (None, weight):
        loss = F.cross_entropy(place.tensor(x), np.zeros(rows, int), weight=w)
        np.testing.assert_allclose(loss.item(), (1e4 + (rows - 1) * np.log(2)) / rows, rtol=1e-6)


@pytest.mark.parametrize("shape", [(0, 512, 3, 3), (2, 512, 0, 3), (2, 0, 3, 3)])
def test_sums_of_no_numbers(shape):
    """Where another axis has length 0 there are no sums; where the axis itself has, they are 0."""
    value = summation.total(np.ones(shape, np.float32), (1,), keepdims=True)
    assert value.shape == (shape[0], 1, *shape[2:]) and not value.any()
