"""Pixel accuracy and intersection over union: against loops, with classes that are missing, labels that are ignored."""

import json

import numpy as np
import pytest
from checks import raises

from minicnn import Tensor
from minicnn.train.segmentation import Confusion


def drawn(seed=0, classes=5, shape=(3, 6, 7)):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, shape).astype(np.uint8)
    labels[rng.random(shape) < 0.2] = 255
    return rng.standard_normal((shape[0], classes, *shape[1:])), labels


def test_against_counting():
    scores, labels = drawn()
    confusion = Confusion(5)
    for n in range(len(labels)):  # one after the other: sums run over all pictures
        confusion.update(Tensor(scores[n : n + 1]), labels[n : n + 1])
    pixels = [(int(t), int(scores[n, :, i, j].argmax())) for (n, i, j), t in np.ndenumerate(labels) if t != 255]
    iu, accuracies = [], []
    for c in range(5):
        both = sum(t == p == c for t, p in pixels)
        iu.append(both / sum(t == c or p == c for t, p in pixels))
        accuracies.append(both / sum(t == c for t, _ in pixels))
    assert confusion.iu == pytest.approx(iu, abs=1e-15)
    assert confusion.mean_iu == pytest.approx(np.mean(iu)) and confusion.mean_accuracy == pytest.approx(
        np.mean(accuracies)
    )
    assert confusion.pixel_accuracy == pytest.approx(np.mean([t == p for t, p in pixels]))


def test_half_background():
    """The example of the page: all background has half of the pixels, and a mean IU of 1/4."""
    labels = np.array([[[0, 0, 1, 1]]])
    confusion = Confusion(2)
    confusion.update(np.array([[[[1.0] * 4], [[0.0] * 4]]]), labels)
    assert (confusion.pixel_accuracy, confusion.mean_iu, confusion.mean_accuracy) == (0.5, 0.25, 0.5)
    assert str(confusion) == "pixel accuracy 50.0 %  mean IU 25.0 %"


def test_classes_that_are_nowhere_do_not_count():
    confusion = Confusion(4)
    scores = np.zeros((1, 4, 1, 2))
    scores[0, [2, 3], 0, [0, 1]] = 1.0
    confusion.update(scores, np.array([[[2, 2]]]))
    assert np.isnan(confusion.iu[:2]).all() and confusion.iu[2:].tolist() == [0.5, 0.0]
    assert confusion.mean_iu == 0.25 and confusion.mean_accuracy == 0.5


def test_nan_is_never_right():
    confusion = Confusion(2)
    scores = np.array([[[[np.nan, 1.0]], [[0.0, 0.0]]]])
    confusion.update(scores, np.array([[[0, 0]]]))
    assert confusion.pixel_accuracy == 0.5 and confusion.iu[0] == 0.5


def test_nothing_seen_is_nan():
    confusion = Confusion(3)
    confusion.update(np.zeros((1, 3, 2, 2)), np.full((1, 2, 2), 255, np.uint8))
    assert np.isnan([confusion.pixel_accuracy, confusion.mean_accuracy, confusion.mean_iu]).all()


def test_it_goes_on_where_it_was_saved():
    whole, first, second = Confusion(5), Confusion(5), Confusion(5)
    for seed in range(4):
        whole.update(*drawn(seed))
        (first if seed < 2 else second).update(*drawn(seed))
        if seed == 1:
            second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    assert np.array_equal(whole.table, second.table)
    with raises(ValueError, "Confusion", "(5, 6)", "(3, 4)"):
        second.load_state_dict(Confusion(3).state_dict())


@pytest.mark.parametrize("wrong, ignore", [(5, 255), (-1, 255), (255, -100)])
def test_labels_that_are_no_classes(wrong, ignore):
    confusion = Confusion(5, ignore)
    labels = np.zeros((1, 2, 2), int)
    labels[0, 0, 1] = wrong
    with raises(IndexError, "Confusion", "0 to 4", str(ignore), str(wrong)):
        confusion.update(np.zeros((1, 5, 2, 2)), labels)
    assert not confusion.table.any()


def test_shapes_that_do_not_fit():
    for scores, labels in [((1, 4, 2, 2), (1, 2, 2)), ((1, 5, 2, 2), (1, 2, 3)), ((1, 5, 2, 2), (1, 5, 2, 2))]:
        with raises(ValueError, "Confusion", "(N, 5, H, W)", str(scores), str(labels)):
            Confusion(5).update(np.zeros(scores), np.zeros(labels, int))
    with raises(TypeError, "Confusion", "whole numbers", "float32"):
        Confusion(5).update(np.zeros((1, 5, 2, 2)), np.zeros((1, 2, 2), np.float32))
