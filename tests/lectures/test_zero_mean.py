"""Gradient signs and positive inputs: the rule is exact, for single pictures."""

import pytest

NAME = "04_zero_mean"


def test_the_rule_of_signs(quick):
    result = quick(NAME)["result"]
    one_sign = result["one_sign"]
    assert [one_sign[name] for name in ("pixels 0..1", "sigmoid", "ReLU")] == [100, 100, 100]
    assert one_sign["tanh"] == 0
    assert one_sign["mean subtracted"] == result["one_sided_pictures"] < 3  # those that are darker, say, everywhere


@pytest.mark.lectures
def test_centred_inputs_are_descended_faster(default):
    result = default(NAME)["result"]
    assert max(result["steps"]["centred"]) * 3 < min(result["steps"]["raw"])
    assert max(result["single_steps"]["centred"]) < min(result["single_steps"]["raw"])
    assert result["batch"]["mean subtracted"] + 10 < result["batch"]["pixels 0..1"] < 100
