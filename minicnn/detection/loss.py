"""The loss of a single-stage detector: which class is in each default box, and where exactly the object is.

    L = (L_conf + L_loc) / M              M: how many default boxes are matched, in the whole batch; L = 0 if none is
    L_conf    cross-entropy of the class scores, over matched boxes and hard negatives
    L_loc     smooth L1 between predicted and true offsets, over matched boxes

Of thousands of default boxes a few dozen are matched. If all others counted, to say "background" everywhere would be
right almost always. So for each matched box only three others count, in each picture those which now have the largest
loss: the *hard negatives*, background that looks least like it. A picture without objects has none.

Source    Liu et al., ECCV 2016, section 2.2, equation 1 and "Hard negative mining"
"""

import numpy as np

from .. import functional as F
from ..settings import real
from ..tensor import Tensor
from ..types import Array


def multibox_loss(
    scores: Tensor, offsets: Tensor, labels: Array, target_offsets: Array, negatives_per_match: float = 3.0
) -> Tensor:
    """L, a Tensor ().

    scores           (N, D, 1 + classes): for each default box background first
    offsets          (N, D, 4)
    labels           int64 (N, D), 0 for background        these two: ``targets(...)``
    target_offsets   (N, D, 4)
    ValueError where the shapes do not fit together, IndexError for a label out of range.
    """
    ratio = real("multibox_loss", "negatives_per_match", negatives_per_match, at_least=0)
    labels = np.asarray(labels)
    shape = labels.shape
    if labels.ndim != 2 or scores.shape[:-1] != shape or {offsets.shape, np.shape(target_offsets)} != {(*shape, 4)}:
        got = f"scores {scores.shape}, offsets {offsets.shape}, labels {shape}, target {np.shape(target_offsets)}"
        raise ValueError(f"multibox_loss: wants (N, D, 1 + classes), (N, D, 4), (N, D), (N, D, 4); got {got}")
    if (labels < 0).any():  # one of them, -100, is no error to the cross-entropy: it would not count
        raise IndexError(f"multibox_loss: a label is {labels.min()}; 0 is background, classes begin at 1")
    matched = labels > 0  # (N, D)
    each = F.cross_entropy(scores.reshape(-1, scores.shape[-1]), labels.reshape(-1), reduction="none").reshape(shape)
    counted = matched | hard_negatives(each.numpy(), matched, ratio)
    # times 0 rather than left out: a score that is NaN shows in the loss, wherever it is
    classification = (each * Tensor(counted.astype(each.dtype)).to(each.device)).sum()
    found = Tensor(np.asarray(target_offsets)[matched].astype(offsets.dtype)).to(offsets.device)  # (M, 4)
    localisation = F.smooth_l1_loss(offsets[matched], found, reduction="sum")
    return (classification + localisation) / max(int(matched.sum()), 1)


def hard_negatives(losses: Array, matched: Array, ratio: float) -> Array:
    """bool (N, D): in each picture, of the boxes that are not matched, those with the largest losses, `ratio` for each
    one that is matched (rounded down); all, if there are fewer."""
    ranked = np.where(matched, -np.inf, losses)
    order = np.argsort(-ranked, axis=1, kind="stable")  # the hardest first, matched boxes last
    rank = np.empty_like(order)
    np.put_along_axis(rank, order, np.arange(order.shape[1])[None], axis=1)
    wanted = np.floor(ratio * matched.sum(axis=1, keepdims=True))
    return (rank < wanted) & ~matched
