"""Boxes, their formats and offsets: by hand, there and back, and beside torchvision's."""

import numpy as np
import pytest
from checks import raises

from minicnn.detection import checked_boxes, clip, decode, encode, iou, to_center_size, to_corners


def random_boxes(count, seed=0, side=100):
    """float64 (count, 4), none of them empty."""
    rng = np.random.default_rng(seed)
    low = rng.uniform(0, side - 10, (count, 2))
    return np.concatenate([low, low + rng.uniform(1, 10 + side / 4, (count, 2))], axis=1)


def test_formats():
    assert to_center_size(np.array([[10.0, 20, 30, 60]])).tolist() == [[20, 40, 20, 40]]
    assert to_corners(np.array([[20.0, 40, 20, 40]])).tolist() == [[10, 20, 30, 60]]


def test_overlap_by_hand():
    a = np.array([[0.0, 0, 4, 2]])
    b = np.array([[0.0, 0, 4, 2], [2, 0, 6, 2], [0, 0, 2, 1], [4, 0, 8, 2], [1, 1, 1, 1]])
    assert iou(a, b)[0].tolist() == pytest.approx([1, 4 / 12, 2 / 8, 0, 0])
    assert iou(b[4:], b[4:]).tolist() == [[0]]  # two empty boxes


def test_overlap_is_torchvisions(torch, torchvision):
    a, b = random_boxes(20), random_boxes(30, seed=1)
    expected = torchvision.ops.box_iou(torch.from_numpy(a), torch.from_numpy(b)).numpy()
    assert (expected > 0.2).any()
    np.testing.assert_allclose(iou(a, b), expected, rtol=1e-12)


def test_whole_numbers_overlap_as_they_do_in_floats():
    a = np.array([[0, 0, 200, 200], [100, 100, 250, 200]])
    for dtype in (np.uint8, np.int32, np.int64):  # in 8 bits, an area of 40,000 would be another one
        assert np.array_equal(iou(a.astype(dtype), a), iou(a * 1.0, a * 1.0))


def test_offsets_by_hand():
    """A box 2 to the right of a default box of 10 x 20, of its width and e times its height."""
    default, box = np.array([20.0, 40, 10, 20]), np.array([22.0, 40, 10, 20 * np.e])
    assert encode(to_corners(box), to_corners(default)) == pytest.approx([2 / 10 / 0.1, 0, 0, 1 / 0.2])


def test_offsets_there_and_back(torch, torchvision):
    boxes, defaults = random_boxes(50), random_boxes(50, seed=1)
    offsets = encode(boxes, defaults)
    np.testing.assert_allclose(decode(offsets, defaults), boxes, rtol=1e-12, atol=1e-12)
    coder = torchvision.models.detection._utils.BoxCoder(weights=(10.0, 10.0, 5.0, 5.0))
    np.testing.assert_allclose(offsets, coder.encode_single(torch.from_numpy(boxes), torch.from_numpy(defaults)))


def test_wild_offsets_are_boxes_all_the_same():
    """exp(2000) is no number; clipped, such a box is the picture."""
    boxes = decode(np.array([[0, 0, 1e4, 1e4]], np.float32), np.array([[10, 10, 20, 20]], np.float32))
    assert np.isfinite(boxes).all() and clip(boxes, (30, 40)).tolist() == [[0, 0, 30, 40]]


def test_boxes_that_are_none():
    assert checked_boxes("op", [], (10, 10)).shape == (0, 4)
    assert checked_boxes("op", [[0, 0, 10, 8]], (10, 8)).dtype == np.float32
    with raises(ValueError, "does not lie in its picture"):  # float32 does not tell its sides apart: its width is 0
        checked_boxes("op", [[9000, 0, 9000.0001, 8]], (9999, 8))
    for wrong in (
        [0, 0, 11, 5],
        [-1, 0, 3, 5],
        [0, 0, 5, 9],
        [3, 0, 3, 5],
        [5, 0, 3, 5],
        [0, 4, 3, 4],
        [0, 0, np.nan, 5],
    ):
        with raises(ValueError, "op: box 1, ", "0 <= x0 < x1 <= 10 and 0 <= y0 < y1 <= 8"):
            checked_boxes("op", [[0, 0, 1, 1], wrong], (10, 8))
    with raises(ValueError, "op: boxes must be numbers (N, 4)", "(1, 3)"):
        checked_boxes("op", [[1, 2, 3]], (10, 8))
