"""The curvatures of a linear classifier's loss: whitened, they are all alike."""

import pytest

NAME = "05_landscape"


def test_whitened_inputs_have_one_curvature(quick):
    result = quick(NAME)["result"]
    (raw,), (centred,), (whitened,) = (result["condition"][name] for name in ("raw", "centred", "whitened"))
    assert raw > centred > 1e4 and abs(whitened - 1) < 1e-5


@pytest.mark.lectures
def test_the_rounder_the_landscape_the_lower_the_training_loss(default):
    loss = default(NAME)["result"]["train_loss"]
    assert max(loss["whitened"]) < min(loss["centred"]) and max(loss["centred"]) < min(loss["raw"])
