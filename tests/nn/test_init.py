"""Initial weights: their variance, their limits, and what they do to a deep network."""

import inspect

import numpy as np
import pytest
from checks import raises

import minicnn.functional as F
from minicnn import Tensor, manual_seed, nn, no_grad
from minicnn.nn import init
from minicnn.random import init_generator

SHAPE = (120, 40, 3, 5)
FAN_IN, FAN_OUT = 40 * 15, 120 * 15


@pytest.fixture(autouse=True)
def seed():
    manual_seed(0)


def weight(shape=SHAPE):
    return nn.Parameter(np.empty(shape, np.float32))


@pytest.mark.parametrize(
    "fill, variance",
    [
        (lambda w: init.normal_(w, std=0.01), 1e-4),
        (init.xavier_normal_, 2 / (FAN_IN + FAN_OUT)),
        (init.xavier_uniform_, 2 / (FAN_IN + FAN_OUT)),
        (init.kaiming_normal_, 2 / FAN_IN),
        (init.kaiming_uniform_, 2 / FAN_IN),
        (lambda w: init.kaiming_normal_(w, mode="fan_out"), 2 / FAN_OUT),
        (lambda w: init.kaiming_uniform_(w, mode="fan_out", nonlinearity="linear"), 1 / FAN_OUT),
        (lambda w: init.uniform_(w, -1, 1), 1 / 3),
    ],
)
def test_variance(fill, variance):
    w = weight()
    assert fill(w) is w and w.dtype == np.float32 and w.requires_grad
    values = w.numpy().astype(np.float64)
    assert abs(values.var() / variance - 1) < 0.02
    assert abs(values.mean()) < 5 * np.sqrt(variance / values.size)


@pytest.mark.parametrize("fill, widest", [(init.kaiming_uniform_, 2.0), (init.kaiming_normal_, 7.0)])
def test_uniform_numbers_end_at_sqrt_3_deviations(fill, widest):
    values = fill(weight()).numpy() / np.sqrt(2 / FAN_IN)
    assert np.abs(values).max() < widest
    assert (np.abs(values).max() <= np.sqrt(3) + 1e-6) == (fill is init.kaiming_uniform_)


def test_mean_and_constant():
    assert abs(init.normal_(weight(), mean=2.0, std=0.1).numpy().mean() - 2) < 1e-3
    assert (init.constant_(weight(), 0.01).numpy() == np.float32(0.01)).all()


def test_the_same_seed_gives_the_same_weights():
    first = init.normal_(weight((5, 5))).numpy().copy()
    second = init.normal_(weight((5, 5))).numpy().copy()
    manual_seed(0)
    assert np.array_equal(init.normal_(weight((5, 5))).numpy(), first)
    assert not np.array_equal(first, second)


def growth(fill, networks=3, depth=50, width=700):
    """Mean square of what comes out of `depth` ReLU layers over that of what goes in, averaged over networks: it
    fluctuates by a factor of about e^sqrt(5 * depth / width) from one to the next."""
    layer = nn.Linear(width, width, bias=False)
    squares = []
    with no_grad():
        for _ in range(networks):
            x = Tensor(init_generator().standard_normal((1, width), np.float32))
            for _ in range(depth):
                fill(layer.weight)
                x = F.relu(layer(x))
            squares.append((x.numpy() ** 2).mean())
    return np.mean(squares)


def test_he_keeps_the_variance_over_fifty_layers():
    """Half of each square survives the ReLU; a gain of 2 makes up for it."""
    assert 0.5 < growth(init.kaiming_normal_) < 2


def test_xavier_loses_half_of_it_in_every_layer():
    assert growth(init.xavier_normal_, networks=1) < 2.0**-40


def test_fans():
    assert init.fans(weight()) == (FAN_IN, FAN_OUT)
    assert init.fans(weight((7, 3))) == (3, 7)
    with raises(ValueError, "fan", "(5,)"):
        init.fans(weight((5,)))
    with raises(ValueError, "fan_in", "fan_out", "'both'"):
        init.kaiming_normal_(weight(), mode="both")


@pytest.mark.parametrize("layer, fan_in", [(nn.Linear(300, 200), 300), (nn.Conv2d(20, 100, (3, 5), groups=2), 150)])
def test_layers_start_as_pytorchs_do(layer, fan_in):
    bound = 1 / np.sqrt(fan_in)
    for parameter in (layer.weight, layer.bias):
        values = parameter.numpy()
        assert np.abs(values).max() <= bound * (1 + 1e-6) and np.abs(values).max() > 0.95 * bound
        assert abs(values.var() / (bound**2 / 3) - 1) < 0.3


@pytest.mark.parametrize("name, param", [("linear", 0), ("sigmoid", 0), ("tanh", 0), ("relu", 0), ("leaky_relu", 0.2)])
def test_gains_are_pytorchs(torch, name, param):
    assert init.calculate_gain(name, param) == pytest.approx(torch.nn.init.calculate_gain(name, param))


@pytest.mark.parametrize("kernel, tent", [(4, [1, 3, 3, 1]), (3, [2, 4, 2])])
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_bilinear(kernel, tent, groups):
    w = weight((4, 4 // groups, kernel, kernel))
    assert init.bilinear_(w, groups) is w and w.requires_grad
    for c, other in np.ndindex(4, 4 // groups):
        expected = np.outer(tent, tent) / 16 if other == c % (4 // groups) else np.zeros((kernel, kernel))
        assert np.array_equal(w.numpy()[c, other], expected)


def test_bilinear_of_what_is_no_square():
    for shape, groups in [((4, 3, 2, 2), 1), ((4, 4, 2, 2), 2), ((4, 4), 1), ((4, 4, 2, 2), 0)]:
        with raises(ValueError, "bilinear_", "(C, C/", str(shape)):
            init.bilinear_(weight(shape), groups)


@pytest.mark.parametrize(
    "name", ["normal_", "uniform_", "constant_", "xavier_normal_", "kaiming_normal_", "kaiming_uniform_"]
)
def test_arguments_are_pytorchs(torch, name):
    ours, theirs = (inspect.signature(getattr(module, name)).parameters for module in (init, torch.nn.init))
    for parameter in ours.values():
        assert parameter.default == theirs[parameter.name].default
    assert list(theirs)[: len(ours)] == list(ours)


def test_an_unknown_nonlinearity():
    with pytest.raises(ValueError, match="leaky_relu, got 'swish'"):
        init.calculate_gain("swish")
