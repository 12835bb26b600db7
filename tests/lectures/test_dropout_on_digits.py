"""10_dropout: what is exact about units that are left out, and that leaving them out helps."""

import numpy as np
import pytest
from lecture_runs import program

import minicnn
from minicnn import nn

NAME = "10_dropout"


def test_units_left_out_get_no_gradient_and_testing_uses_all(quick):
    result = quick(NAME)["result"]
    assert result["units_left_out"] > 20
    assert result["largest_gradient_left_out"] == 0
    assert result["smallest_gradient_used"] > 0
    assert result["testing_minus_all_units"] == 0


def test_max_norm_shortens_what_is_too_long_and_nothing_else():
    layer = program(NAME).MaxNormLinear(4, 2)
    with minicnn.no_grad():
        layer.weight[:] = minicnn.Tensor([[3.0, 0, 4, 0], [0.5, -0.5, 0.5, 0.5]])  # norms 5 and 1
    layer(minicnn.Tensor(np.ones((1, 4), np.float32)))
    np.testing.assert_allclose(layer.weight.numpy(), [[1.2, 0, 1.6, 0], [0.5, -0.5, 0.5, 0.5]], rtol=1e-6)


def test_the_network_of_the_full_mode_has_the_max_norm_everywhere():
    dropout = program(NAME)
    linear = [m for m in dropout.network(3, 8, True, dropout.MaxNormLinear).modules() if isinstance(m, nn.Linear)]
    assert len(linear) == 4 and all(type(layer) is dropout.MaxNormLinear for layer in linear)


@pytest.mark.lectures
def test_it_lowers_the_error_of_every_architecture(default):
    result = default(NAME)["result"]
    for name, without in result["error_without"].items():
        assert np.mean(result["error_with"][name]) < np.mean(without), name
