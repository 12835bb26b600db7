"""Top-k with its ties and NaNs, averages that can be saved."""

import json

import numpy as np
import pytest

from minicnn.train.meters import Average, Scores, correct_at


def test_top_k_against_sorting():
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 4, (200, 9)).astype(np.float32)  # many ties
    labels = rng.integers(0, 9, 200)
    ranking = np.argsort(-scores, axis=1, kind="stable")
    for k in (1, 2, 5, 9, 20):
        assert correct_at(scores, labels, k) == (ranking[:, :k] == labels[:, None]).any(axis=1).sum()


def test_ties_rank_by_class_number():
    scores = np.zeros((3, 3))
    assert correct_at(scores, np.array([0, 1, 2]), 1) == 1
    assert correct_at(scores, np.array([0, 0, 0]), 1) == 3
    assert correct_at(scores, np.array([2, 2, 2]), 2) == 0


def test_fewer_classes_than_five():
    assert correct_at(np.array([[1.0, 2.0], [1.0, 2.0]]), np.array([0, 1]), 5) == 2


def test_nan_is_never_right():
    nan = np.nan
    labels = np.array([0, 1])
    assert correct_at(np.array([[nan, nan], [nan, nan]]), labels, 1) == 0
    assert correct_at(np.array([[nan, nan], [nan, nan]]), labels, 5) == 0
    assert correct_at(np.array([[2.0, nan], [nan, 2.0]]), labels, 1) == 0


def test_scores_weigh_batches_by_size():
    scores = Scores()
    scores.update(1.0, np.eye(3), np.array([0, 1, 2]))
    scores.update(5.0, np.eye(3)[:1], np.array([2]))
    assert scores.count == 4
    assert scores.values() == {"loss": 2.0, "top1": 75.0, "top5": 100.0}


def test_scores_go_on_where_they_were_saved():
    rng = np.random.default_rng(1)
    batches = [(float(rng.normal()), rng.normal(size=(7, 5)), rng.integers(0, 5, 7)) for _ in range(6)]
    whole, first, second = Scores(), Scores(), Scores()
    for batch in batches:
        whole.update(*batch)
    for batch in batches[:3]:
        first.update(*batch)
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    for batch in batches[3:]:
        second.update(*batch)
    assert second.values() == whole.values()  # to the last bit


def test_scores_of_several_are_added():
    rng = np.random.default_rng(1)
    parts, whole = [Scores(), Scores(), Scores()], Scores()
    for i, count in enumerate((4, 1, 7)):  # the last one sees nothing
        batch = float(rng.normal()), rng.normal(size=(count, 9)), rng.integers(0, 9, count)
        parts[i % 2].update(*batch)
        whole.update(*batch)
    together = Scores()
    for part in parts:
        assert part.sums().shape == (4,) and part.sums().dtype == np.float64
        together.add(part.sums())
    assert together.values() == pytest.approx(whole.values(), rel=1e-14)
    assert together.count == 12 and isinstance(together.count, int)


def test_nothing_seen_is_nan():
    assert np.isnan(Average().value)
