"""The loss of a classifier in training: cross entropy, and that of its auxiliary heads, if it has any.

    network                    returns in training                       loss
    most                       scores                                    CE(scores)
    GoogLeNet                  logits, aux_logits2, aux_logits1          CE(logits) + 0.3 (CE(aux2) + CE(aux1))
    Inception v3               logits, aux_logits                        CE(logits) + 0.4 CE(aux)
    your own                   a named tuple: the scores, then those     the same, by its auxiliary_weight
                               of its heads

The weight belongs to the network: its page says where it comes from (models/googlenet.py, models/inception_v3.py).
"""

from typing import Any, NamedTuple

import numpy as np

from ..device import to_host
from ..ops.cross_entropy import cross_entropy_of_rows
from ..precision import wide
from ..tensor import Tensor
from .meters import correct_at


class Losses(NamedTuple):
    """Of a batch, or of the rows that one process has of it: then what these add to the batch's."""

    total: Tensor  # (); what is minimised
    main: Tensor  # (); the same without auxiliary heads, to compare with the loss of validation, which has none
    scores: Tensor  # (N, classes), of the network itself


def classification_loss(outputs: Any, labels: np.ndarray, count: int | None = None) -> Losses:
    """The losses of what a network has returned in training for N pictures with these labels (N,), whole numbers.

    count: of how many pictures, on all processes together, these are some: the losses are sums divided by it, so that
    those of all processes add up to the batch's mean. None: of N.
    TypeError for outputs that are neither scores nor a named tuple of scores with an auxiliary_weight.
    """
    count = len(labels) if count is None else count
    if isinstance(outputs, Tensor):
        loss = _mean(outputs, labels, count)
        return Losses(loss, loss, outputs)
    weight = getattr(outputs, "auxiliary_weight", None)
    if weight is None:
        advice = "return scores (N, classes), or a named tuple of them that has an auxiliary_weight"
        raise TypeError(f"classification_loss: the network returns a {type(outputs).__name__} in training; {advice}")
    scores, *auxiliary = outputs
    main = _mean(scores, labels, count)
    extra = _mean(auxiliary[0], labels, count)
    for each in auxiliary[1:]:
        extra = extra + _mean(each, labels, count)
    return Losses(main + weight * extra, main, scores)


def numbers_of(losses: Losses, labels: np.ndarray) -> tuple[float, float, int, int]:
    """(total, main, how many pictures have the highest score at their label, how many have it among the first five).
    A GPU is waited for, once."""
    total, main, scores = to_host(*(each.data for each in losses))
    scores = wide(scores)
    return float(total), float(main), correct_at(scores, labels, 1), correct_at(scores, labels, 5)


def _mean(scores, labels, count):
    return cross_entropy_of_rows(scores, labels, count)
