"""Testing: what fraction of pictures a network, or several together, classify right.

A picture may be seen as several crops, at several scales, and by several networks. Each view gives probabilities
(softmax); their mean decides, as in Krizhevsky et al., NIPS 2012, sections 4.1 (ten crops) and 6 (seven networks).
A fully-convolutional network gives scores at many positions of a view: their mean, before the softmax, is the view's
score (Simonyan and Zisserman, ICLR 2015, section 3.2). He et al., CVPR 2016, section 3.4, average the scales' scores
too; here scales are views like any others, and probabilities are averaged.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import zip_longest
from typing import NamedTuple

import numpy as np

from ..clock import Clock
from ..data import Batch, DataError, DataLoader
from ..data.errors import shown
from ..device import to_device
from ..gradmode import no_grad
from ..nn import Module
from ..ops.softmax import log_softmax_forward
from ..progress import Progress
from ..tensor import Tensor
from ..types import Array
from .meters import Scores


class Classifier(NamedTuple):
    """A network with the normaliser that its pictures must go through."""

    model: Module
    normalize: Callable[[Array], Array]


def evaluate(
    classifiers: Sequence[Classifier],
    loaders: DataLoader | Sequence[DataLoader],
    device: str = "cpu",
    after_batch: Callable[[int, Scores], None] | None = None,
) -> Scores:
    """Test one classifier, or the mean of several, on every picture of a loader; or of several, one for each scale.

    loaders: a ``DataLoader``, or several of them, of the same pictures in the same batches. Their batches are uint8
    (N, C, H, W), or (N, views, C, H, W). after_batch(position, scores), if given, is called after each of them.
    Returns ``Scores``: loss (of the mean probabilities, in nats), top1 and top5 in %, count.
    Raises DataError if none of the pictures could be read, ValueError if the loaders' pictures differ.
    """
    loaders = loaders if isinstance(loaders, Sequence) else [loaders]
    for classifier in classifiers:
        classifier.model.eval()  # no dropout; batch norm by its running statistics
    result = Scores()
    for batches in in_step(loaders):
        batch = batches[0]
        # every network sees every view of every scale: each gives an array (N, classes) of log-probabilities
        pairs = [(classifier, each.images) for each in batches for classifier in classifiers]
        log_p = log_mean([view for pair in pairs for view in log_probabilities(*pair, device)])
        loss = -np.take_along_axis(log_p, batch.labels[:, None], axis=1).mean()  # (N, 1): each label's
        result.update(float(loss), log_p, batch.labels)
        if after_batch is not None:
            after_batch(batch.position, result)
    if not result.count:
        path, reason = next(iter(loaders[0].bad.items()), ("there are none", "the loader is empty"))
        raise DataError(f"no validation picture could be read; the first: {shown(path)}: {reason}")
    return result


def show_on(progress: Progress) -> Callable[[int, Scores], None]:
    """An `after_batch` that keeps `progress` up to date."""
    clock = Clock()

    def after_batch(position, scores):
        done = position + 1
        clock.update(scores.count - clock.images)  # the batch's pictures
        progress.update(done, *clock.texts(progress.total - done), *scores.texts())

    return after_batch


def in_step(loaders: Sequence[DataLoader]) -> Iterator[tuple[Batch, ...]]:
    """One batch of each loader at a time. A picture that cannot be read is missing from all of them."""
    for batches in zip_longest(*(loader.epoch(0) for loader in loaders)):  # None where one loader ends before another
        if any(batch is None or not np.array_equal(batch.indices, batches[0].indices) for batch in batches):
            advice = "give them the same data set and batch size, and do not shuffle"
            raise ValueError(f"evaluate: the loaders hand over different pictures; {advice}")
        yield batches


@no_grad()
def log_probabilities(classifier: Classifier, images: Array, device: str = "cpu") -> Array:
    """The classifier's log-softmax of each view of N pictures: an array (views, N, classes)."""
    views = images if images.ndim == 5 else images[:, None]  # uint8 (N, views, C, H, W)
    count, crops = views.shape[:2]  # N pictures, each seen as so many crops
    pixels = classifier.normalize(to_device(views, device)).reshape(count * crops, *views.shape[2:])
    scores = classifier.model(Tensor(pixels)).numpy()  # (N * views, classes)
    if scores.ndim == 4:  # (N * views, classes, H', W'): one for each position
        scores = scores.mean(axis=(2, 3))  # one for the whole view
    return log_softmax_forward(scores, 1).reshape(count, crops, -1).swapaxes(0, 1)


def log_mean(views: Sequence[Array] | Array) -> Array:
    """log of the mean of exp(view): the mean of probabilities, without leaving logarithms (nothing underflows)."""
    return np.logaddexp.reduce(views, axis=0) - np.float32(np.log(len(views)))  # log(sum / V) = log sum - log V
