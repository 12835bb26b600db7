"""17_barrier: the line between two networks, and what rises above it."""

import numpy as np
import pytest
from lecture_runs import lecture_module

line = lecture_module("common.line")
RNG = np.random.default_rng(0)
FIRST, SECOND = ({"a": RNG.standard_normal((3, 2)).astype(np.float32), "b": RNG.standard_normal(2)} for _ in range(2))


def test_the_ends_are_the_two_networks():
    for t, end in ((0.0, FIRST), (1.0, SECOND)):
        for name, value in line.between(FIRST, SECOND, t).items():
            np.testing.assert_array_equal(value, end[name])
            assert value.dtype == end[name].dtype


def test_a_quarter_of_the_way():
    quarter = line.between(FIRST, SECOND, 0.25)
    np.testing.assert_allclose(quarter["b"], FIRST["b"] + 0.25 * (SECOND["b"] - FIRST["b"]), rtol=1e-12)


@pytest.mark.parametrize(
    ("values", "height"),
    [
        ([1.0, 2.0, 3.0], 0.0),  # straight
        ([1.0, 5.0, 3.0], 3.0),  # 5, where the straight line has 2
        ([3.0, 5.0, 1.0, 1.0], 5.0 - (3.0 - 2.0 / 3.0)),
        ([1.0, 0.0, 1.0], 0.0),  # a valley is none
    ],
)
def test_barrier(values, height):
    assert line.barrier(values) == pytest.approx(height, abs=1e-12)


def test_the_line_ends_at_the_networks_own_losses(quick):
    curves = quick("17_barrier")["result"]["curves"]
    assert len(curves) == 4
    for line in (line for lines in curves.values() for line in lines):
        for kind in ("loss", "error"):
            values = line["interpolated"][kind]
            assert len(values) == len(line["computed anew"][kind]) == 11
            assert [values[0], values[-1]] == [end[kind] for end in line["ends"]]


def test_both_pairs_begin_at_the_same_network(quick):
    curves = quick("17_barrier")["result"]["curves"]
    for same, other in (list(curves)[:2], list(curves)[2:]):
        assert curves[same][0]["ends"][0] == curves[other][0]["ends"][0]
        assert curves[same][0]["ends"][1] != curves[other][0]["ends"][1]


@pytest.mark.lectures
def test_fine_tuned_networks_have_no_barrier_and_other_random_weights_do(default):
    barriers = default("17_barrier")["result"]["barriers"]
    for pair in ("other order", "other head and order"):
        assert np.mean(barriers[f"loss, pre-trained, {pair}, computed anew"]) <= 0.02
    assert np.mean(barriers["loss, other random weights and order, computed anew"]) >= 0.2
    for pair in ("random weights, other order", "other random weights and order"):  # so it is worth the trouble
        anew, interpolated = (np.mean(barriers[f"loss, {pair}, {how}"]) for how in ("computed anew", "interpolated"))
        assert anew < interpolated
