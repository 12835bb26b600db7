"""Testing: what fraction of pictures a network, or several together, classify right.

A picture may be seen as several crops, and by several networks. Each view gives probabilities (softmax); their mean
decides, as in Krizhevsky et al., NIPS 2012, sections 4.1 (ten crops) and 6.1 (seven networks).
"""

from typing import NamedTuple

import numpy as np

from ..autograd import no_grad
from ..data import DataError
from ..nn import Module
from ..ops.softmax import log_softmax_forward
from ..tensor import Tensor
from .meters import Scores


class Classifier(NamedTuple):
    """A network with the normaliser that its pictures must go through."""

    model: Module
    normalize: object


def evaluate(classifiers, loader, device="cpu", after_batch=None):
    """Test one classifier, or the mean of several, on every picture of `loader`.

    The loader's batches are uint8 (N, C, H, W), or (N, crops, C, H, W). after_batch(position, scores), if given, is
    called after each of them. Returns ``Scores``: loss (of the mean probabilities, in nats), top1 and top5 in %, count.
    Raises DataError if none of the pictures could be read.
    """
    for classifier in classifiers:
        classifier.model.eval()
    result = Scores()
    for batch in loader.epoch(0):
        log_p = log_mean([view for c in classifiers for view in log_probabilities(c, batch.images, device)])
        loss = -np.take_along_axis(log_p, batch.labels[:, None], axis=1).mean()
        result.update(float(loss), log_p, batch.labels)
        if after_batch is not None:
            after_batch(batch.position, result)
    if not result.count:
        path, reason = next(iter(loader.bad.items()), ("there are none", "the loader is empty"))
        raise DataError(f"no validation picture could be read; the first: {path}: {reason}")
    return result


@no_grad()
def log_probabilities(classifier, images, device="cpu"):
    """The classifier's log-softmax of each view of N pictures: an array (views, N, classes)."""
    views = images[:, None] if images.ndim == 4 else images
    count, crops = views.shape[:2]
    pixels = classifier.normalize(views).reshape(count * crops, *views.shape[2:])
    scores = classifier.model(Tensor(pixels).to(device)).numpy()
    return log_softmax_forward(scores, 1).reshape(count, crops, -1).swapaxes(0, 1)


def log_mean(views):
    """log of the mean of exp(view): the mean of probabilities, without leaving logarithms (nothing underflows)."""
    return np.logaddexp.reduce(views, axis=0) - np.float32(np.log(len(views)))
