"""The curvatures of a linear classifier's loss: whitened, they are all alike."""

import numpy as np
import pytest
from lecture_runs import program

NAME = "05_landscape"


def test_whitened_inputs_have_one_curvature(quick):
    result = quick(NAME)["result"]
    (raw,), (centred,), (whitened,) = (result["condition"][name] for name in ("raw", "centred", "whitened"))
    assert raw > centred > 1e4 and abs(whitened - 1) < 1e-5


def test_dividing_by_the_deviation_takes_other_units_back():
    pictures = np.random.default_rng(0).integers(0, 256, (20, 3, 8, 8), np.uint8)
    landscape = program(NAME)
    in_units, standardised = (landscape.INPUTS[name]().fit([pictures]) for name in ("other units", "standardised"))
    features = in_units(pictures)
    ranges = features.std(axis=(0, 2, 3), keepdims=True)
    assert ranges[0, 2] > 50 * ranges[0, 0]
    np.testing.assert_allclose(features / ranges, standardised(pictures), atol=1e-5)


def test_an_edge_of_the_rates_is_told():
    best = program(NAME)._best
    assert best({"best_rate": {"raw": [8, 4, 8]}}, "raw") == "rate 4 or 8"
    assert best({"best_rate": {"raw": [8, 32]}}, "raw") == "rate 8 or 32 (an edge of what was tried)"


@pytest.mark.lectures
def test_other_units_slow_descent_down(default):
    result = default(NAME)["result"]
    assert min(result["condition"]["other units"]) > 1000 * max(result["condition"]["standardised"])
    loss = result["train_loss"]
    assert max(loss["standardised"]) < min(loss["other units"]) and max(loss["other units"]) < min(loss["raw"])


@pytest.mark.lectures
def test_the_rounder_the_landscape_the_lower_the_training_loss(default):
    loss = default(NAME)["result"]["train_loss"]
    assert max(loss["whitened"]) < min(loss["centred"]) and max(loss["centred"]) < min(loss["raw"])
