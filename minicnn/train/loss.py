"""The loss of a classifier in training: cross entropy, and that of its auxiliary heads, if it has any.

    network                    returns in training                       loss
    most                       scores                                    CE(scores)
    GoogLeNet                  logits, aux_logits2, aux_logits1          CE(logits) + 0.3 (CE(aux2) + CE(aux1))
    Inception v3               logits, aux_logits                        CE(logits) + 0.4 CE(aux)
    your own                   a named tuple: the scores, then those     the same, by its auxiliary_weight
                               of its heads

The weight belongs to the network: its page says where it comes from (models/googlenet.py, models/inception_v3.py).
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from ..device import device_of, to_device, to_host
from ..ops.cross_entropy import cross_entropy_of_rows
from ..precision import wide
from ..settings import kind_of
from ..tensor import Tensor
from .meters import correct_at

LossFunction: TypeAlias = Callable[[Tensor, Tensor], Tensor]  # (scores, targets) -> their mean loss


class Losses(NamedTuple):
    """Of a batch, or of the rows that one process has of it: then what these add to the batch's."""

    total: Tensor  # (); what is minimised
    main: Tensor  # (); the same without auxiliary heads, to compare with the loss of validation, which has none
    scores: Tensor  # (N, classes), of the network itself


def classification_loss(
    outputs: Any, labels: Any, count: int | None = None, loss: LossFunction | None = None
) -> Losses:
    """The losses of what a network has returned in training for N pictures with these labels (N,), whole numbers, or
    probabilities (N, classes).

    count: of how many pictures, on all processes together, these are some: the losses are sums divided by it, so that
    those of all processes add up to the batch's mean. None: of N.
    loss: loss(scores, targets), the mean over these pictures, in place of cross entropy; targets are the labels as a
    Tensor, where the scores are.
    TypeError for outputs that are neither scores nor a named tuple of scores with an auxiliary_weight.
    """
    count = len(labels) if count is None else count
    if isinstance(outputs, Tensor):
        only = _mean(outputs, labels, count, loss)
        return Losses(only, only, outputs)
    weight = getattr(outputs, "auxiliary_weight", None)
    if weight is None:
        advice = "return scores (N, classes), or a named tuple of them that has an auxiliary_weight"
        raise TypeError(f"classification_loss: the network returns a {type(outputs).__name__} in training; {advice}")
    scores, *auxiliary = outputs
    main = _mean(scores, labels, count, loss)
    extra = _mean(auxiliary[0], labels, count, loss)
    for each in auxiliary[1:]:
        extra = extra + _mean(each, labels, count, loss)
    return Losses(main + weight * extra, main, scores)


def check_loss(loss: Any) -> None:
    """TypeError unless it can be what a ``Trainer`` minimises."""
    if loss is not None and not callable(loss):
        what = f"a function of (scores, targets), or None for cross entropy, not a {kind_of(loss)}"
        raise TypeError(f"Trainer: loss is {what}")


def numbers_of(losses: Losses, labels: np.ndarray) -> tuple[float, float, int, int]:
    """(total, main, how many pictures have the highest score at their label, how many have it among the first five).
    Of probabilities (N, classes) the label is the most probable class. A GPU is waited for, once."""
    labels = labels.argmax(axis=1) if labels.ndim == 2 else labels
    total, main, scores = to_host(*(each.data for each in losses))
    scores = wide(scores)
    return float(total), float(main), correct_at(scores, labels, 1), correct_at(scores, labels, 5)


def _mean(scores, labels, count, loss):
    if loss is None or not len(labels):  # of no pictures a mean is none, and what they add is 0
        return cross_entropy_of_rows(scores, labels, count)
    targets = labels if isinstance(labels, Tensor) else Tensor(to_device(labels, device_of(scores.data)))
    value = loss(scores, targets)
    if not isinstance(value, Tensor) or value.shape:
        what = f"a Tensor {value.shape}" if isinstance(value, Tensor) else f"a {kind_of(value)}"
        raise TypeError(f"Trainer: loss has returned {what}; it must return one number, the mean, as a Tensor ()")
    return value if count == len(labels) else value * (len(labels) / count)
