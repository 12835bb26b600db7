"""New layers that are identities change nothing: the outputs of the deeper net are the shallow one's, to the bit."""

import pytest

NAME = "12_deeper"


def test_outputs_do_not_change_at_all(quick):
    result = quick(NAME)["result"]
    assert set(result["difference_plain_tier"].values()) == {0.0} == {result["difference"]["ResNet"]}
    assert min(result["largest_output"].values()) > 0.1  # there was something to change
    assert max(result["difference"].values()) < 1e-6  # compiled: 0, unless a processor has its sums taken by Winograd


@pytest.mark.lectures
def test_after_as_many_epochs_20_plain_layers_know_less_than_8_and_those_of_a_resnet_no_less(default):
    """Few epochs, no batch norm, rates that were not searched: it is not the degradation of the paper."""
    result = default(NAME)["result"]
    assert set(result["difference_plain_tier"].values()) == {0.0}
    error = {name: sum(found) / len(found) for name, found in result["train"].items()}
    assert error["ResNet, 20, from random weights"] <= error["ResNet, 8 layers"]
    assert error["plain, 20, from random weights"] > error["plain, 8 layers"] + 10
    assert error["plain, small steps, 20, by construction"] < error["plain, small steps, 20, from random weights"] - 10
