"""08_signals: what passes through deep nets."""

import math

import numpy as np
import pytest
from lecture_runs import lecture_module, program

tower = lecture_module("common.tower")
dead_units = lecture_module("common.dead_units")


def test_only_one_of_the_three_formulas_is_tanh(quick):
    printed_first, printed_second, right = quick("08_signals")["result"]["largest_difference_from_tanh"].values()
    assert right < 1e-15
    assert printed_first > 1 and printed_second == pytest.approx(
        2 * math.tanh(2), rel=1e-12
    )  # -tanh: the sign is wrong


def test_batch_norm_keeps_the_variance_whatever_the_weights(quick):
    last = quick("08_signals")["result"]["variance_last_to_first"]
    for init in ("He", "Xavier", "N(0, .01)"):
        assert last[f"{init}, batch norm"] == pytest.approx([1], abs=0.01)
    assert last["N(0, .01)"][0] < 1e-15


def test_slopes_are_those_of_the_activations():
    for activation in tower.ACTIVATIONS:
        x = np.array([-1.5, -0.5, 0.25, 2.0])
        values = [tower.ACTIVATIONS[activation](tower.minicnn.Tensor(x + step)).numpy() for step in (1e-6, -1e-6)]
        assert tower.slope(activation, x) == pytest.approx((values[0] - values[1]) / 2e-6, abs=1e-8)


def test_a_unit_is_dead_if_no_picture_wakes_it():
    nn = tower.nn
    net = nn.Sequential(nn.Linear(1, 2), nn.ReLU())
    net.load_state_dict({"0.weight": np.float32([[1], [1]]), "0.bias": np.float32([0, -9])})
    assert dead_units.dead(net, np.float32([[1], [-1]])) == 50
    net.load_state_dict({"0.weight": np.float32([[np.nan], [1]]), "0.bias": np.float32([0, 0])})
    with pytest.raises(FloatingPointError, match="no numbers"):
        dead_units.dead(net, np.float32([[1], [-1]]))


def test_a_bias_saves_units_where_fewer_die_beyond_the_spread():
    dead = {"bias 0": {"0.1": [5, 7], "0.2": [40, 41]}, "bias 0.01": {"0.1": [4, 9], "0.2": [30, 32]}}
    text = program("08_signals")._saved(dead, ["0.1", "0.2"])
    assert "by 0.5 ± 2.1 and -9.5 ± 0.7 points" in text and "at 1 of 2 rates" in text


@pytest.mark.lectures
def test_signals_survive_he_alone(default):
    result = default("08_signals")["result"]
    low, high = result["variance_range_he"]
    assert low > 1 / 3 and high < 3
    assert max(result["variance_last_to_first"]["Xavier"]) < 1e-10
    assert max(result["variance_last_to_first"]["N(0, .01)"]) < 1e-45  # which float32 cannot tell from 0


@pytest.mark.lectures
def test_gradients_explode_with_batch_norm_and_vanish_with_sigmoids(default):
    ratio = default("08_signals")["result"]["gradient_first_to_last"]
    assert max(ratio["sigmoid, Xavier"]) < 1e-15 and min(ratio["sigmoid, Xavier, skips"]) > 0.05
    assert min(ratio["plain 56"]) > 50 * max(ratio["residual 56"])
    assert min(ratio["plain 110"]) > 100 * max(ratio["plain 56"]) and max(ratio["residual 110"]) < 1e3
    growth = np.power(ratio["ReLU, He, batch norm"], 1 / 29)
    assert growth == pytest.approx(math.sqrt(math.pi / (math.pi - 1)), rel=0.01)
