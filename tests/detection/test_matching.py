"""Matching: what the paper says, case by case; targets; samples that are none."""

import numpy as np
import pytest
from checks import raises
from test_boxes import random_boxes

from minicnn.detection import UNMATCHED, iou, match, targets
from minicnn.detection.boxes import decode

SQUARES = np.array([[0.0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10], [0, 20, 10, 30]], np.float32)  # default boxes


def test_every_object_has_its_best_default_box():
    """Also where the overlap is small; one of more than half is needed for any other."""
    small = [[20, 0, 22, 2]]  # 4 of 100
    assert match(np.array(small), SQUARES).tolist() == [UNMATCHED, 0, UNMATCHED, UNMATCHED]
    near = np.array([[0.0, 0, 10, 10], [1, 0, 11, 10], [4, 0, 14, 10]])  # of the first 1, 9/11, 6/14
    assert match(near[:1], near).tolist() == [0, 0, UNMATCHED]
    half = np.array([[0.0, 0, 10, 10], [0, 0, 10, 5]])  # exactly half is not more than half
    assert match(half[:1], half).tolist() == [0, UNMATCHED]


def test_no_objects_match_nothing():
    assert match(np.empty((0, 4)), SQUARES).tolist() == [UNMATCHED] * 4


def test_two_objects_that_want_one_default_box():
    """The one that overlaps it more has it; the other takes the best that is left. And neither takes what it does not
    touch."""
    defaults = np.array([[0.0, 0, 10, 10], [8, 0, 18, 10], [50, 50, 60, 60]])
    boxes = np.array([[3.0, 0, 9, 10], [0, 0, 10, 9]])  # of the first 6/10 and 9/10; of the second 1/15 and 2/17...
    assert match(boxes, defaults).tolist() == [1, 0, UNMATCHED]
    crowd = np.array([[0.0, 0, 10, 10], [0, 0, 10, 9], [0, 0, 10, 8]])
    assert match(crowd, SQUARES).tolist() == [0, UNMATCHED, UNMATCHED, UNMATCHED]


@pytest.mark.parametrize("seed", range(5))
def test_matches_are_torchvisions(torch, torchvision, seed):
    """As long as no two objects want the same default box, where torchvision leaves one of them without."""
    boxes, defaults = random_boxes(6, seed), random_boxes(200, seed + 100)
    overlap = torch.from_numpy(iou(boxes, defaults))
    assert len(set(overlap.argmax(dim=1).tolist())) == 6
    expected = torchvision.models.detection._utils.SSDMatcher(0.4)(overlap).numpy()
    assert (expected >= 0).sum() > 6
    assert np.array_equal(match(boxes, defaults, 0.4), expected)


def test_targets():
    samples = [
        {"boxes": [[1, 0, 11, 10], [20, 0, 30, 12]], "labels": [4, 0]},
        {"boxes": [], "labels": []},
    ]
    labels, offsets = targets(samples, SQUARES, 5, (60, 40))
    assert labels.tolist() == [[5, 1, 0, 0], [0, 0, 0, 0]] and labels.dtype == np.int64  # 0: background
    assert offsets.dtype == np.float32 and not offsets[1].any() and not offsets[0, 2:].any()
    assert decode(offsets[0, :2], SQUARES[:2]) == pytest.approx(np.array(samples[0]["boxes"]), abs=1e-5)


def test_samples_that_are_none():
    def check(error, *parts, **sample):
        with raises(error, "targets: picture 1", *parts):
            targets([{"boxes": [], "labels": []}, sample], SQUARES, 5, (60, 40))

    check(ValueError, "has no 'labels'", boxes=[])
    check(ValueError, "(0, 0, 61, 5)", "<= 60", boxes=[[0, 0, 61, 5]], labels=[0])
    check(ValueError, "(5, 0, 5, 5)", boxes=[[5, 0, 5, 5]], labels=[0])
    check(IndexError, "class 5; classes are 0 to 4", boxes=[[0, 0, 5, 5]], labels=[5])
    check(IndexError, "class -1", boxes=[[0, 0, 5, 5]], labels=[-1])
    check(ValueError, "1 boxes with labels int64 (2,)", boxes=[[0, 0, 5, 5]], labels=[1, 2])
    check(ValueError, "labels float64", boxes=[[0, 0, 5, 5]], labels=[1.0])
