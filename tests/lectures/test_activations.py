"""09_activations: how soon a net learns with ReLU, tanh or sigmoid."""

import math

import numpy as np
import pytest
from lecture_runs import lecture_module

race = lecture_module("common.race")
nn = race.nn


@pytest.fixture
def halves():
    """Numbers below and above 0, and which they are."""
    x = np.linspace(-1, 1, 40, dtype=np.float32)[:, None]
    return x, (x[:, 0] > 0).astype(np.int64)


def net_with(weight):
    net = nn.Sequential(nn.Linear(1, 2, bias=False))
    net.load_state_dict({"0.weight": np.float32([[-weight], [weight]])})
    return net


def test_a_net_that_is_right_from_the_beginning_needs_the_one_epoch_that_shows_it(halves):
    assert race.epochs_until(25, net_with(1), *halves, 0.1, 10, 5, 0) == {"epochs": 1.0, "errors": [0.0, 0.0]}


def test_the_error_is_that_of_the_last_epochs_steps(halves):
    """A net that is all wrong, and right after its first step: 1 of 4 batches of its first epoch is wrong, 25 %."""
    assert race.epochs_until(25, net_with(-0.01), *halves, 10.0, 10, 5, 0)["epochs"] == 1.0
    found = race.epochs_until(24, net_with(-0.01), *halves, 10.0, 10, 5, 0)
    assert found == {"epochs": 1.25, "errors": [25.0, 0.0]}


def test_a_net_that_does_not_get_there_is_given_up(halves):
    assert race.epochs_until(25, net_with(-1), *halves, 0.0, 10, 3, 0) == {"epochs": None, "errors": [100.0] * 3}
    found = race.epochs_until(25, net_with(math.nan), *halves, 0.1, 10, 3, 0)
    assert found["epochs"] is None and len(found["errors"]) == 1


def test_every_net_is_raced_in_both_settings(quick):
    result = quick("09_activations")["result"]
    keys = {f"{name}, {setting}" for name in ("ReLU", "tanh", "sigmoid") for setting in ("2012", "modern")}
    assert set(result["rate"]) == set(result["epochs"]) == set(result["error"]) == keys


@pytest.mark.lectures
def test_sigmoids_stay_behind(default):
    result = default("09_activations")["result"]
    for setting in ("2012", "modern"):
        assert result["epochs"][f"sigmoid, {setting}"] == [None] * 3
        assert sum(epochs is not None for epochs in result["epochs"][f"ReLU, {setting}"]) >= 2
        assert None not in result["epochs"][f"tanh, {setting}"]
