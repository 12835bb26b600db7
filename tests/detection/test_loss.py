"""The loss: by hand, its gradient, beside PyTorch's parts; which negatives count."""

import numpy as np
import pytest
from checks import raises

from minicnn import Tensor, gradcheck
from minicnn.detection import hard_negatives, multibox_loss


def a_batch(seed=0, n=3, boxes=12, classes=4):
    """(scores, offsets, labels, target offsets) in float64: four, one and no matched boxes."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((n, boxes), np.int64)
    labels[0, :4], labels[1, 5] = rng.integers(1, classes + 1, 4), 2
    scores, offsets = rng.standard_normal((n, boxes, classes + 1)), rng.standard_normal((n, boxes, 4)) * 3
    return scores, offsets, labels, rng.standard_normal((n, boxes, 4)) * 3


def test_hard_negatives():
    """The largest losses that are not matched, three for each matched box, in each picture for itself."""
    losses = np.array([[9.0, 1, 5, 2, 3, 4], [1, 2, 3, 4, 5, 6], [1, 1, 1, 1, 1, 1], [1, 2, 3, 4, 5, 6]])
    matched = np.zeros((4, 6), bool)
    matched[0, 0] = matched[2, 2] = True
    matched[3, 1:5] = True
    chosen = hard_negatives(losses, matched, 3)
    assert [np.flatnonzero(row).tolist() for row in chosen] == [[2, 4, 5], [], [0, 1, 3], [0, 5]]
    assert hard_negatives(losses, matched, 1.5)[0].sum() == 1 and not hard_negatives(losses, matched, 0).any()


@pytest.mark.parametrize("seed", range(3))
def test_the_value(torch, seed):
    """As the formula says it, box by box."""
    scores, offsets, labels, target = a_batch(seed)
    logp = torch.from_numpy(scores).log_softmax(-1).numpy()
    total = 0.0
    for n in range(len(labels)):
        positive = [d for d in range(12) if labels[n, d]]
        negative = sorted((d for d in range(12) if not labels[n, d]), key=lambda d: logp[n, d, 0])
        for d in positive + negative[: 3 * len(positive)]:
            total -= logp[n, d, labels[n, d]]
        for d in positive:
            x = np.abs(offsets[n, d] - target[n, d])
            total += np.where(x < 1, x * x / 2, x - 0.5).sum()
    loss = multibox_loss(Tensor(scores), Tensor(offsets), labels, target)
    assert loss.item() == pytest.approx(total / 5, rel=1e-12)


@pytest.mark.parametrize("seed", range(2))
def test_the_gradient(seed):
    scores, offsets, labels, target = a_batch(seed)
    assert gradcheck(lambda s, o: multibox_loss(s, o, labels, target), [scores, offsets])


def test_without_objects_there_is_nothing_to_learn():
    scores, offsets, labels, target = a_batch()
    s, o = Tensor(scores, requires_grad=True), Tensor(offsets, requires_grad=True)
    loss = multibox_loss(s, o, labels * 0, target)
    loss.backward()
    assert loss.item() == 0 and not s.grad.numpy().any() and not o.grad.numpy().any()


def test_a_score_that_is_no_number_shows_in_the_loss():
    scores, offsets, labels, target = a_batch()
    scores[2, 3, 1] = np.nan  # in the picture without objects, of which no box counts
    assert np.isnan(multibox_loss(Tensor(scores), Tensor(offsets), labels, target).item())


def test_float32_stays():
    scores, offsets, labels, target = a_batch()
    loss = multibox_loss(Tensor(scores.astype(np.float32)), Tensor(offsets.astype(np.float32)), labels, target)
    assert loss.dtype == np.float32
    assert loss.item() == pytest.approx(multibox_loss(Tensor(scores), Tensor(offsets), labels, target).item(), rel=1e-5)


def test_what_does_not_fit():
    scores, offsets, labels, target = a_batch()
    with raises(ValueError, "multibox_loss", "(3, 11)", "(3, 12, 5)"):
        multibox_loss(Tensor(scores), Tensor(offsets), labels[:, 1:], target)
    with raises(ValueError, "multibox_loss", "target (3, 12, 3)"):
        multibox_loss(Tensor(scores), Tensor(offsets), labels, target[..., 1:])
    with raises(IndexError, "label 5", "classes 0 to 4"):
        multibox_loss(Tensor(scores), Tensor(offsets), labels + 5 * (labels > 0) - labels * (labels > 0), target)
    for wrong in (-1, -100):  # -100 is what the cross-entropy ignores
        with raises(IndexError, f"multibox_loss: a label is {wrong}"):
            multibox_loss(Tensor(scores), Tensor(offsets), np.where(labels > 0, labels, wrong), target)
    with raises(ValueError, "negatives_per_match"):
        multibox_loss(Tensor(scores), Tensor(offsets), labels, target, -1)
