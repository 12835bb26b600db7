"""Suppression and the list of objects: by hand, and beside torchvision's."""

import numpy as np
import pytest
from test_boxes import random_boxes

from minicnn.detection import best_boxes, nms

BOXES = np.array([[0.0, 0, 10, 10], [0, 0, 10, 9], [0, 0, 10, 5], [50, 50, 60, 60]], np.float32)


def test_by_hand():
    """Overlaps with the best, the second: 0.9 goes, exactly 0.5 stays at a threshold of 0.5; and the far one."""
    scores = np.array([0.9, 0.8, 0.3, 0.5])
    assert nms(BOXES, scores, 0.5).tolist() == [0, 3, 2]
    assert nms(BOXES, scores, 0.95).tolist() == [0, 1, 3, 2]
    assert nms(BOXES[:0], scores[:0], 0.5).tolist() == []


def test_what_is_gone_suppresses_nothing():
    """The second overlaps the first, the third only the second."""
    chain = np.array([[0.0, 0, 10, 10], [4, 0, 14, 10], [8, 0, 18, 10]])
    assert nms(chain, np.array([0.9, 0.8, 0.7]), 0.4).tolist() == [0, 2]


@pytest.mark.parametrize("seed", range(3))
def test_it_is_torchvisions(torch, torchvision, seed):
    boxes, scores = random_boxes(300, seed), np.random.default_rng(seed).random(300)
    expected = torchvision.ops.nms(torch.from_numpy(boxes), torch.from_numpy(scores), 0.3).numpy()
    assert 20 < len(expected) < 280
    assert np.array_equal(nms(boxes, scores, 0.3), expected)


def test_objects():
    """Class by class: boxes of two classes do not suppress each other; the thresholds; the most."""
    probabilities = np.array([[0.1, 0.6, 0.3], [0.3, 0.2, 0.5], [0.9, 0.05, 0.05], [0.2, 0.0, 0.8]], np.float32)
    found = best_boxes(BOXES, probabilities, score_threshold=0.1)
    assert found.labels.tolist() == [1, 0, 1] and found.labels.dtype == np.int64
    assert found.scores == pytest.approx([0.8, 0.6, 0.5])
    assert found.boxes.tolist() == BOXES[[3, 0, 1]].tolist()
    low = best_boxes(BOXES, probabilities, score_threshold=0.04, iou_threshold=0.5)
    assert low.labels.tolist() == [1, 0, 1, 0] and low.scores[3] == np.float32(0.05)
    assert best_boxes(BOXES, probabilities, 0.1, most=2).scores == pytest.approx([0.8, 0.6])
    assert best_boxes(BOXES, probabilities, 0.1, 1.0, most_per_class=1).scores == pytest.approx([0.8, 0.6])
    assert [part.shape for part in best_boxes(BOXES, probabilities, 0.99)] == [(0, 4), (0,), (0,)]
