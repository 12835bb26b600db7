"""Default boxes: the paper's scales, where they lie, and beside torchvision's."""

import numpy as np
import pytest
from checks import raises

from minicnn.detection import box_scales, default_boxes, to_center_size


def test_scales():
    """Section 2.2: from 0.2 to 0.9 in equal steps; of six maps, 0.14. And one more."""
    assert box_scales(6) == pytest.approx([0.2, 0.34, 0.48, 0.62, 0.76, 0.9, 1.04])
    assert box_scales(1) == pytest.approx([0.2, 0.9])
    for arguments in ((0,), (3, 0.5, 0.5), (3, 0, 0.5)):
        with raises(ValueError, "box_scales"):
            box_scales(*arguments)


def test_by_hand():
    """One map of 1 x 2 positions, a picture 200 wide and 100 high."""
    boxes = to_center_size(default_boxes([(1, 2)], [0.25, 1.0], [[4]], (200, 100)))
    shapes = [(50, 25), (100, 50), (100, 12.5), (25, 50)]  # s; sqrt(s * 1); s * 2 by s / 2; s / 2 by s * 2
    assert boxes.tolist() == [[50, 50, *shape] for shape in shapes] + [[150, 50, *shape] for shape in shapes]


def test_they_are_torchvisions(torch, torchvision):
    sizes, scales, ratios = [(5, 7), (3, 4)], [0.1, 0.4, 0.8], [[2], [2, 3]]
    theirs = torchvision.models.detection.anchor_utils.DefaultBoxGenerator(ratios, scales=scales, clip=False)
    images = torchvision.models.detection.image_list.ImageList(torch.zeros(1, 3, 60, 90), [(60, 90)])
    (expected,) = theirs(images, [torch.zeros(1, 1, *size) for size in sizes])
    boxes = default_boxes(sizes, scales, ratios, (90, 60))
    assert boxes.dtype == np.float32 and boxes.shape == (5 * 7 * 4 + 3 * 4 * 6, 4)
    np.testing.assert_allclose(boxes, expected.numpy(), rtol=1e-5, atol=1e-4)


def test_settings_that_do_not_fit():
    for scales, ratios in (([0.2], [[2]]), ([0.2, 0.3], [[2], [3]]), ([0.2, 0.3, 0.4], [[2]])):
        with raises(ValueError, "default_boxes: each map has", "got 1 maps"):
            default_boxes([(1, 1)], scales, ratios, (10, 10))
    with raises(ValueError, "above 0"):
        default_boxes([(1, 1)], [0.2, 0.3], [[0]], (10, 10))
