"""Convolution and batch norm side by side, against conv2d, batch_norm and relu one after the other."""

import numpy as np
import pytest
from checks import FAST_CPU, check_close, check_gradients, raises, run
from ways import multiplied_by

import minicnn
import minicnn.functional as F
from minicnn import Tensor, nn
from minicnn.autograd import Function
from minicnn.kernels.cpu import conv_batchnorm as fast
from minicnn.kernels.cpu.convolution.epilogue import Look
from minicnn.kernels.cpu.machine import threads
from minicnn.ops import conv_batchnorm
from minicnn.ops.conv_batchnorm import conv2d_batch_norm
from minicnn.precision import BFLOAT16, narrow, wide


def one_after_the_other(x, conv, norm, relu=False, residual=None):
    z = F.conv2d(x, *conv)
    return F.batch_norm_relu(z, *norm, residual=residual) if relu else F.batch_norm(z, *norm)


def block(x, *parameters, op=conv2d_batch_norm, stride=1, training=True):
    """A residual block: 3x3 with the stride, 1x1, a shortcut (1x1 with the stride); and a convolution behind it."""
    w1, g1, b1, w2, g2, b2, w3, g3, b3, w4 = parameters
    running = [Tensor(np.zeros(len(w1), x.dtype)), Tensor(np.ones(len(w1), x.dtype))] if not training else [None, None]

    def norm(scale, shift):
        return *running, scale, shift, training, 0.1, 1e-5

    y = op(x, conv(w1, stride, 1), norm(g1, b1), True)
    shortcut = op(x, conv(w3, stride), norm(g3, b3))
    y = op(y, conv(w2), norm(g2, b2), True, shortcut)
    z = op(y, conv(w4), norm(None, None), True, y)  # two uses of y: the convolution's gradient completes the other
    return op(z, conv(w4), norm(None, None))


def conv(weight, stride=1, padding=0):
    """conv2d's arguments behind the input."""
    return weight, None, stride, padding, 1, 1


NORM = None, None, None, None, True, 0.1, 1e-5  # batch_norm's


def arrays(channels, size, images=3, dtype=np.float64, seed=0):
    rng = np.random.default_rng(seed)
    square, vectors = (channels, channels, 1, 1), 2 * [(channels,)]
    shapes = [(channels, channels, 3, 3), *vectors, square, *vectors, square, *vectors, square]
    some = [rng.standard_normal(shape) for shape in [(images, channels, size, size + 1), *shapes]]
    return [a.astype(dtype) for a in some]


@pytest.fixture(autouse=True)
def _number_of_threads():
    before = threads.threads()
    yield
    threads.set_threads(before)


CASES = {  # channels, size of a picture, pictures, stride
    "few channels": (5, 6, 3, 1),
    "whole vectors": (32, 7, 2, 1),
    "Winograd": (48, 17, 3, 1),
    "one picture": (40, 9, 1, 1),
    "one pixel": (33, 1, 4, 1),
    "stride": (36, 12, 2, 2),
    "many blocks": (32, 48, 3, 1),
}


@pytest.mark.parametrize("tier", ["plain", "fast"])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("case", CASES)
def test_it_is_one_after_the_other(case, training, tier):
    channels, size, images, stride = CASES[case]
    given = arrays(channels, size, images)
    with minicnn.tier(tier):
        y, grads = run(FAST_CPU, block, given, stride=stride, training=training)
        expected, expected_grads = run(FAST_CPU, block, given, op=one_after_the_other, stride=stride, training=training)
    check_close(y, expected, 1e-9)
    for grad, wanted in zip(grads, expected_grads, strict=True):
        np.testing.assert_allclose(grad, wanted, rtol=1e-7, atol=1e-9 * np.abs(wanted).max())


def test_every_device_takes_it(place):
    given = arrays(3, 4, 2)
    y, grads = run(place, block, given)
    expected, expected_grads = run(place, block, given, op=one_after_the_other)
    for value, wanted in zip([y, *grads], [expected, *expected_grads], strict=True):
        check_close(value, wanted, 1e-9)


@pytest.mark.parametrize("channels", [4, 32])
def test_gradients(channels):
    given = arrays(channels, 2, 2, seed=3)
    if channels == 32:  # of a whole network of so many weights, a few; the others are constants
        constants = [Tensor(a) for a in given[1:]]
        check_gradients(FAST_CPU, lambda x, g1: block(x, constants[0], g1, *constants[2:]), [given[0], given[2]])
    else:
        check_gradients(FAST_CPU, block, given)


def test_each_does_the_others_first_pass(monkeypatch):
    """Three ReLUs stand before a convolution: backward they are left a second pass; and no look comes from memory."""
    given, ran, looked = [Tensor(a, requires_grad=True) for a in arrays(32, 8, 3, np.float32)], [], []
    run_op, results = Function.run, Look.results
    monkeypatch.setattr(Function, "run", lambda node, op, *rest: ran.append(op.__name__) or run_op(node, op, *rest))
    monkeypatch.setattr(Look, "results", lambda look, y: looked.append(len(look.found)) or results(look, y))
    block(*given).sum().backward()
    assert not {"batch_norm_statistics", "batch_norm_relu_backward", "residual_add_forward"} & {*ran}
    assert ran.count("conv2d_grad_x_completed") == 3 and ran.count("batch_norm_grad_x") == 5
    assert len(looked) == 5 + 3 and all(looked)


@pytest.mark.parametrize("tier", ["plain", "fast"])
@pytest.mark.parametrize("unit", ["amx", "avx512"])
@pytest.mark.parametrize("case", ["few channels", "Winograd", "stride", "many blocks"])
def test_it_is_one_after_the_other_in_bfloat16(case, unit, tier, monkeypatch):
    """The same numbers as by ops of their own, each rounded as there: but for sums, which are made in another order."""
    multiplied_by(unit, monkeypatch)
    channels, size, images, stride = CASES[case]
    x, *weights = arrays(channels, size, images, np.float32)
    results = []
    with minicnn.tier(tier):
        for op in (conv2d_batch_norm, one_after_the_other):
            given = [Tensor(narrow(x), requires_grad=True), *(Tensor(w, requires_grad=True) for w in weights)]
            y = block(*given, op=op, stride=stride)
            y.backward(Tensor(narrow(np.random.default_rng(1).standard_normal(y.shape).astype(np.float32))))
            results.append([y.data, *(t.grad.data for t in given)])
    for value, wanted in zip(*results, strict=True):
        assert value.dtype == wanted.dtype
        apart = np.abs(wide(value) - wide(wanted)).max()
        assert apart <= 0.02 * np.abs(wide(wanted)).max()


@pytest.mark.parametrize("name", ["x", "weight", "both"])
def test_bfloat16_results_are_rounded_as_by_ops_of_their_own(name):
    """grad_x, its sum with another gradient: rounded twice, as there; zeros where the ReLU was."""
    rng = np.random.default_rng(0)
    grad_out, added, x, y = (narrow(rng.standard_normal((3, 40, 9, 8)).astype(np.float32)) for _ in range(4))
    weight, mean = rng.standard_normal((40, 40, 1, 1)).astype(np.float32), np.zeros(40, np.float32)
    geometry = (1, 1), ((0, 0), (0, 0)), (1, 1), 1
    norm = x, y, None, None, mean, mean + 1
    arguments = grad_out, x.shape, weight, geometry, None if name == "weight" else added, None if name == "x" else norm
    grad, sums = fast.conv2d_grad_x_completed(*arguments)
    expected, expected_sums = conv_batchnorm.conv2d_grad_x_completed(*arguments)
    assert np.mean(wide(grad) != wide(expected)) < 0.01  # sums in float32 that end on different sides of a half
    for value, wanted in zip(sums or (), expected_sums or (), strict=True):
        np.testing.assert_allclose(value, wanted, rtol=0, atol=1e-3 * np.abs(wanted).max())


def test_a_picture_that_no_window_sees_keeps_the_other_gradient():
    added, weight = np.ones((1, 4, 1, 1), np.float32), np.ones((4, 4, 1, 1), np.float32)
    for dtype in (np.float32, BFLOAT16):
        grad_out, other = np.ones((1, 4, 2, 2), dtype), added.astype(dtype)
        numbers = (2, 2), ((1, 1), (1, 1)), (1, 1), 1
        grad, _ = fast.conv2d_grad_x_completed(grad_out, added.shape, weight, numbers, other, None)
        np.testing.assert_array_equal(wide(grad), added)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_it_repeats_to_the_bit(count):
    threads.set_threads(count)
    given = arrays(40, 30, 3, np.float32)
    first, second = (run(FAST_CPU, block, given) for _ in range(2))
    for a, b in zip([first[0], *first[1]], [second[0], *second[1]], strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("kernel", [1, 3])
def test_a_large_mean_costs_no_digits(kernel):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((4, 32, 40, 40)).astype(np.float32)
    weight = 0.01 * rng.standard_normal((64, 32, kernel, kernel)).astype(np.float32)
    bias = np.full(64, 1e4, np.float32)
    y, mean, var = fast.conv2d_moments_forward(x, weight, bias, (1, 1), ((0, 0), (0, 0)), (1, 1), 1)
    exact = y.astype(np.float64)
    np.testing.assert_allclose(mean, exact.mean(axis=(0, 2, 3)), rtol=1e-7)
    np.testing.assert_allclose(var, exact.var(axis=(0, 2, 3)), rtol=5e-6)


@pytest.mark.parametrize("odd", [np.nan, np.inf])
def test_what_stands_out_is_seen_as_it_is_by_itself(odd):
    """Winograd's way leaves such a picture to im2col: what was seen of it before is worth nothing."""
    given = arrays(48, 17, 3, np.float32)
    given[0][1, 3, 5, 5] = odd
    with np.errstate(all="ignore"):
        y, grads = run(FAST_CPU, block, given)
        expected, expected_grads = run(FAST_CPU, block, given, op=one_after_the_other)
    for value, wanted in zip([y, *grads], [expected, *expected_grads], strict=True):
        np.testing.assert_array_equal(np.isnan(value), np.isnan(wanted))


def test_a_picture_that_stands_out_counts_as_it_is():
    rng = np.random.default_rng(0)
    x, weight = rng.standard_normal((3, 48, 17, 18)).astype(np.float32), rng.standard_normal((48, 48, 3, 3))
    x[1, 3, 5, 5] = 1e6
    numbers = (1, 1), ((1, 1), (1, 1)), (1, 1), 1
    y, mean, var = fast.conv2d_moments_forward(x, weight.astype(np.float32), None, *numbers)
    exact = y.astype(np.float64)
    np.testing.assert_allclose(mean, exact.mean(axis=(0, 2, 3)), rtol=1e-5)
    np.testing.assert_allclose(var, exact.var(axis=(0, 2, 3)), rtol=1e-5)


def test_every_row_is_seen_once():
    y, seen = np.arange(40.0).reshape(10, 4), []
    look = Look(lambda block, start: seen.append(start) or (start, block[0, 0]))
    for start, stop in ((6, 10), (0, 6)):  # as threads come
        look.at_block((y.reshape(-1), start * 4, 4), stop - start, 4)
    assert look.results(y) == [(0, 0), (6, 24)] and seen == [6, 0]
    look.found.popitem()
    look.at_block((y.reshape(-1), 0, 4), 6, 2)  # of two of four columns
    assert sum(len(y) for _ in look.results(y)) == len(y) and look.results(y) == [(0, 0)]


def test_a_gradient_that_stands_out():
    """The same on the way back, also where another use has given before."""
    rng = np.random.default_rng(0)
    x, z = rng.standard_normal((2, 3, 48, 17, 18)).astype(np.float32)
    grad_out, added = rng.standard_normal((2, 3, 48, 17, 18)).astype(np.float32)
    grad_out[1, 3, 5, 5] = 1e6
    weight = rng.standard_normal((48, 48, 3, 3)).astype(np.float32)
    mean, inv_std = rng.standard_normal(48).astype(np.float32), np.ones(48, np.float32)
    geometry = (1, 1), ((1, 1), (1, 1)), (1, 1), 1
    for y in (z, None):
        arguments = grad_out, x.shape, weight, geometry, added, (x, y, None, None, mean, inv_std)
        grad, sums = fast.conv2d_grad_x_completed(*arguments)
        expected, expected_sums = conv_batchnorm.conv2d_grad_x_completed(*arguments)
        np.testing.assert_array_equal(grad == 0, expected == 0)
        for picture in range(3):
            largest = np.abs(expected[picture]).max()
            np.testing.assert_allclose(grad[picture], expected[picture], rtol=0, atol=1e-5 * largest)
        for value, wanted in zip(sums, expected_sums, strict=True):
            np.testing.assert_allclose(value, wanted, rtol=1e-3, atol=1e-3 * np.abs(wanted).max())


def test_a_kept_gradient_is_that_of_y():
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((3, 32, 6, 6)), rng.standard_normal((32, 32, 1, 1))
    upstream, kept = Tensor(rng.standard_normal(x.shape)), []
    for op in (conv2d_batch_norm, one_after_the_other):
        y = op(Tensor(x), conv(Tensor(w, requires_grad=True)), NORM, True)
        y.retain_grad()
        op(y, conv(Tensor(w)), NORM).backward(upstream)
        kept.append(y.grad.numpy())
    check_close(*kept, 1e-9)
    assert np.abs(kept[0][y.numpy() == 0]).min() > 0  # behind the ReLU these would be 0


def test_several_uses_and_walks():
    """y goes three ways, one of them through another op; the graph is walked twice, and once from another end."""
    results = []
    for op in (conv2d_batch_norm, one_after_the_other):
        rng = np.random.default_rng(0)
        x = Tensor(rng.standard_normal((3, 32, 6, 6)), requires_grad=True)
        w1, w2 = (Tensor(rng.standard_normal((32, 32, 1, 1)), requires_grad=True) for _ in range(2))
        y = op(x, conv(w1), NORM, True)
        once = op(y, conv(w2), NORM, True)
        end = (F.relu(y) * op(y, conv(w2), NORM) + op(y, conv(w2), NORM, True, once) * once).sum()
        end.backward(retain_graph=True)
        (once * once).sum().backward(retain_graph=True)  # here y has one use
        end.backward()
        results.append([t.grad.numpy() for t in (x, w1, w2)])
    for value, wanted in zip(*results, strict=True):
        np.testing.assert_allclose(value, wanted, rtol=1e-8, atol=1e-9 * np.abs(wanted).max())


def test_a_change_in_place_is_noticed():
    x, w = Tensor(np.ones((3, 4, 6, 6))), Tensor(np.random.default_rng(0).standard_normal((4, 4, 1, 1)))
    w.requires_grad = True
    y = conv2d_batch_norm(x, conv(w), NORM, True)
    z = conv2d_batch_norm(y, conv(w), NORM)
    y += 0
    with raises(RuntimeError, "changed in place"):
        z.sum().backward()


def test_an_array_that_is_both_image_and_filter_has_two_uses():
    results = []
    for op in (conv2d_batch_norm, one_after_the_other):
        x = Tensor(np.random.default_rng(0).standard_normal((4, 4, 3, 3)), requires_grad=True)
        w = Tensor(np.random.default_rng(1).standard_normal((4, 4, 1, 1)), requires_grad=True)
        y = op(x, conv(w), NORM, True)
        op(y, conv(y, 1, 1), NORM).backward(Tensor(np.random.default_rng(2).standard_normal((4, 4, 3, 3))))
        results.append([x.grad.numpy(), w.grad.numpy()])
    for value, wanted in zip(*results, strict=True):
        np.testing.assert_allclose(value, wanted, rtol=1e-9, atol=1e-10)


def test_without_images_or_gradients():
    norm, layer = nn.BatchNorm2d(32), nn.Conv2d(32, 32, 3, padding=1, bias=False)
    before = norm.running_mean.numpy().copy()
    x = Tensor(np.zeros((0, 32, 5, 5), np.float32), requires_grad=True)
    y = conv2d_batch_norm(x, layer.options(), norm.options(), True)
    y = conv2d_batch_norm(y, layer.options(), norm.options(), True, y)
    y.sum().backward()
    assert y.shape == (0, 32, 5, 5) and not layer.weight.grad.numpy().any()
    np.testing.assert_array_equal(norm.running_mean.numpy(), before)
    with minicnn.no_grad():
        x = Tensor(np.ones((2, 32, 5, 5), np.float32))
        assert conv2d_batch_norm(x, layer.options(), norm.options()).node is None
    assert (norm.running_mean.numpy() != before).any()


def test_one_value_in_each_channel_is_refused():
    norm, conv = nn.BatchNorm2d(32), nn.Conv2d(32, 32, 1)
    with raises(ValueError, "batch_norm", "one value"):
        conv2d_batch_norm(Tensor(np.ones((1, 32, 1, 1), np.float32)), conv.options(), norm.options())
    residual = Tensor(np.ones((2, 32, 1, 2), np.float32))
    with raises(ValueError, "batch_norm_relu", "residual (2, 32, 1, 2)"):
        x = Tensor(np.ones((2, 32, 1, 1), np.float32))
        conv2d_batch_norm(x, conv.options(), norm.options(), True, residual)
