"""21_embedding_and_bias: one threshold for all, and who bears the errors."""

import numpy as np
import pytest

NAME = "21_embedding_and_bias"


def test_the_threshold_lets_one_percent_of_all_pairs_pass(quick):
    result = quick(NAME)["result"]
    pairs = 45 * 20 * 20  # of different digits, 20 of each
    for data in ("equal", "B rare", "A rare"):
        assert result[data]["all"] == pytest.approx([1], abs=100 * 2 / pairs), data
        for group in "AB":
            curve = result["curves"][f"{data}, {group}"][0]
            assert min(np.diff(curve)) >= 0 and curve[0] >= 0 and curve[-1] <= 100


@pytest.mark.lectures
def test_a_rare_group_is_not_recognised_and_its_digits_lie_nearer_to_one_another(default):
    result = default(NAME)["result"]

    def of(data, group, name):
        return np.mean(result[data][group][name])

    for rare, group in (("A rare", "A"), ("B rare", "B")):
        assert of(rare, group, "misses") > of("equal", group, "misses") + 5
        assert of(rare, group, "false_matches") > of("equal", group, "false_matches")
        assert of(rare, group, "distance") < of("equal", group, "distance")
