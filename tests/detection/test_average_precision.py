"""Average precision, by cases made by hand and by a slow second way."""

import numpy as np
import pytest
from checks import raises
from test_boxes import random_boxes

from minicnn.detection import Detections, iou, mean_average_precision

FAR = [500, 500, 510, 510]  # overlaps nothing


def box(i):
    return [20 * i, 0, 20 * i + 10, 10]


def detections(*entries):
    """From (box, label, score)."""
    boxes = np.array([entry[0] for entry in entries], np.float32).reshape(-1, 4)
    return Detections(boxes, np.array([e[1] for e in entries], np.int64), np.array([e[2] for e in entries], np.float32))


def truth(*boxes, label=0, **more):
    return {"boxes": list(boxes), "labels": [label] * len(boxes), **more}


def ap(found, samples, **options):
    return mean_average_precision(found, samples, 1, **options).mean


def test_all_and_none():
    samples = [truth(box(0), box(1))]
    assert ap([detections((box(0), 0, 0.9), (box(1), 0, 0.8))], samples) == 1
    assert ap([detections((box(0), 0, 0.9), (box(1), 0, 0.8))], samples, eleven_points=True) == 1
    assert ap([detections()], samples) == 0
    assert ap([detections((FAR, 0, 0.9))], samples) == 0


def test_right_wrong_right():
    """Precisions 1, 1/2, 2/3, recalls 1/4, 1/4, 2/4 of four objects: area 1/4 * 1 + 1/4 * 2/3. At eleven recalls: 1 at
    0, .1, .2, then 2/3 at .3, .4, .5."""
    found = [detections((box(0), 0, 0.9), (FAR, 0, 0.8)), detections((box(0), 0, 0.7))]
    samples = [truth(box(0), box(1)), truth(box(0), box(1))]
    result = mean_average_precision(found, samples, 1)
    assert result.curves[0].precision == pytest.approx([1, 1 / 2, 2 / 3])
    assert result.curves[0].recall == pytest.approx([1 / 4, 1 / 4, 2 / 4]) and result.curves[0].objects == 4
    assert result.mean == pytest.approx(1 / 4 + 1 / 4 * 2 / 3)
    assert ap(found, samples, eleven_points=True) == pytest.approx((3 * 1 + 3 * 2 / 3) / 11)


def test_precision_is_the_highest_at_this_recall_or_more():
    """Wrong, right: the precision at all recalls is 1/2, though it was 0 at first."""
    found = [detections((FAR, 0, 0.9), (box(0), 0, 0.8))]
    assert ap(found, [truth(box(0))]) == 0.5
    assert ap(found, [truth(box(0))], eleven_points=True) == 0.5


def test_the_second_on_one_object_is_wrong():
    """Even if it lies better, and even if another object is near."""
    slack = [box(0)[0] + 1, *box(0)[1:]]
    found = [detections((slack, 0, 0.9), (box(0), 0, 0.8), (box(1), 0, 0.7))]
    assert mean_average_precision(found, [truth(box(0), box(1))], 1).curves[0].precision == pytest.approx(
        [1, 1 / 2, 2 / 3]
    )


def test_the_threshold_is_reached_by_half():
    """IoU of exactly 0.5 is right, as in VOC's own program."""
    half = [0, 0, 10, 5]
    assert ap([detections((half, 0, 0.9))], [truth(box(0))]) == 1
    assert ap([detections((half, 0, 0.9))], [truth(box(0))], iou_threshold=0.51) == 0


def test_objects_of_other_pictures_and_classes_are_not_found():
    found = [detections((box(0), 1, 0.9)), detections((box(1), 0, 0.8))]
    samples = [truth(box(0)), truth(box(1), label=1)]
    result = mean_average_precision(found, samples, 3)
    assert result.by_class[:2].tolist() == [0, 0] and np.isnan(result.by_class[2])
    assert result.mean == 0  # the third class has no objects


def test_difficult_objects_are_as_if_they_were_not_there():
    found = [detections((box(0), 0, 0.9), (box(1), 0, 0.8))]
    assert ap(found, [truth(box(0), box(1), difficult=[True, False])]) == 1
    assert ap([detections((box(1), 0, 0.8))], [truth(box(0), box(1), difficult=[True, False])]) == 1


def slow_area(found, samples, threshold):
    """Of class 0, as the text says it: every threshold of the score anew."""
    entries = sorted(
        ((s, n, b) for n, f in enumerate(found) for b, s in zip(f.boxes, f.scores, strict=True)), key=lambda e: -e[0]
    )
    points, count = [], sum(len(s["boxes"]) for s in samples)
    for k in range(1, len(entries) + 1):
        taken, right = set(), 0
        for _, n, each in entries[:k]:
            overlaps = [iou(each[None], np.array(b, np.float32)[None])[0, 0] for b in samples[n]["boxes"]]
            best = int(np.argmax(overlaps))
            if overlaps[best] >= threshold and (n, best) not in taken:
                taken.add((n, best))
                right += 1
        points.append((right / count, right / k))
    recalls = sorted({r for r, _ in points})
    steps = zip([0, *recalls], recalls, strict=False)
    return sum((high - low) * max(p for r, p in points if r >= high) for low, high in steps)


@pytest.mark.parametrize("seed", range(5))
def test_a_slow_second_way(seed):
    rng = np.random.default_rng(seed)
    samples = [truth(*random_boxes(4, seed + 10 * n)) for n in range(3)]
    found = []
    for sample in samples:
        near = np.array(sample["boxes"])[rng.integers(0, 4, 6)] + rng.uniform(-3, 3, (6, 4))
        found.append(detections(*((b, 0, s) for b, s in zip(near, rng.random(6), strict=True))))
    expected = slow_area(found, samples, 0.5)
    assert 0.05 < expected < 0.95
    assert ap(found, samples) == pytest.approx(expected)


def test_what_does_not_fit():
    with raises(ValueError, "detections in 1 pictures, truth of 2"):
        mean_average_precision([detections()], [truth(), truth()], 1)
    with raises(ValueError, "no object in any picture"):
        mean_average_precision([detections()], [truth()], 1)
    with raises(ValueError, "no object in any picture"):
        mean_average_precision([], [], 1)
    with raises(ValueError, "picture 0 has 1 boxes and 'difficult' of shape (2,)"):
        mean_average_precision([detections()], [truth(box(0), difficult=[True, False])], 1)
    with raises(IndexError, "mean_average_precision: picture 0", "class 3"):
        mean_average_precision([detections()], [truth(box(0), label=3)], 1)
