"""Testing: what fraction of pictures a network, or several together, classify right.

A picture may be seen as several crops, at several scales, and by several networks. Each view gives probabilities
(softmax); their mean decides, as in Krizhevsky et al., NIPS 2012, sections 4.1 (ten crops) and 6 (seven networks).
A fully-convolutional network gives scores at many positions of a view: their mean, before the softmax, is the view's
score (Simonyan and Zisserman, ICLR 2015, section 3.2). He et al., CVPR 2016, section 3.4, average the scales' scores
too; here scales are views like any others, and probabilities are averaged.

Ranks share the work by whole batches: of three, rank 1 tests batches 1, 4, 7, ... and at the end their sums are added.
No picture is tested twice to fill a batch, so that the result is that of one process, up to the order of additions.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import zip_longest
from typing import NamedTuple

import numpy as np

from ..clock import Clock
from ..data import Batch, DataError, DataLoader
from ..data.errors import shown
from ..device import to_device
from ..distributed import world
from ..distributed.ending import on_all_ranks
from ..distributed.rows import checked_part
from ..gradmode import no_grad
from ..nn import Module
from ..nn.split import is_split
from ..ops.softmax import log_softmax_forward
from ..progress import Progress
from ..tensor import Tensor
from ..types import Array
from .meters import Scores
from .unreadable import share_unreadable


class Classifier(NamedTuple):
    """A network with the normaliser that its pictures must go through."""

    model: Module
    normalize: Callable[[Array], Array]


def evaluate(
    classifiers: Sequence[Classifier],
    loaders: DataLoader | Sequence[DataLoader],
    device: str = "cpu",
    after_batch: Callable[[int, Scores], bool | None] | None = None,
    part: tuple[int, int] | None = None,
    each: Callable[[Batch, Array], object] | None = None,
) -> Scores:
    """Test one classifier, or the mean of several, on every picture of a loader; or of several, one for each scale.

    loaders: a ``DataLoader``, or several of them, of the same pictures in the same batches. Their batches are uint8
    (N, C, H, W), or (N, views, C, H, W). after_batch(position, scores), if given, is called after each of them; if it
    returns True, the test ends there. each(batch, log_p), if given, is called before that: log-probabilities
    (N, classes). Returns ``Scores``: loss (of the mean probabilities, in nats), top1 and top5 in %, count.

    Of several ranks each takes every size-th batch, and all return the scores of all pictures, and know all unreadable
    ones. after_batch sees the rank's own scores, and must not wait for other ranks, some of which have a batch less. A
    model that lies on several ranks needs every batch on all of them: part=(0, 1).

    Raises DataError if none of the pictures could be read, ValueError if the loaders' pictures differ, or are parts of
    batches.
    """
    loaders = loaders if isinstance(loaders, Sequence) else [loaders]
    part = world().part if part is None else checked_part("evaluate", part)
    _check_parts(part, loaders, [classifier.model for classifier in classifiers])
    for classifier in classifiers:
        classifier.model.eval()  # no dropout; batch norm by its running statistics
    result = Scores()
    for batches in in_step(loaders, part):
        batch = batches[0]
        # every network sees every view of every scale: each gives an array (N, classes) of log-probabilities
        pairs = [(classifier, each.images) for each in batches for classifier in classifiers]
        log_p = log_mean([view for pair in pairs for view in log_probabilities(*pair, device)])
        loss = -np.take_along_axis(log_p, batch.labels[:, None], axis=1).mean()  # (N, 1): each label's
        result.update(float(loss), log_p, batch.labels)
        if each is not None:
            each(batch, log_p)
        if after_batch is not None and after_batch(batch.position, result):
            break
    try:
        if part[1] > 1:
            result = _of_all_ranks(result, loaders)
        if not result.count:
            path, reason = next(iter(loaders[0].bad.items()), ("there are none", "the loader is empty"))
            raise DataError(f"no validation picture could be read; the first: {shown(path)}: {reason}")
    except DataError as error:  # TooManyBadImages, too
        raise on_all_ranks(error)  # noqa: B904  it is the same error
    return result


def show_on(progress: Progress, part: tuple[int, int] | None = None) -> Callable[[int, Scores], None]:
    """An `after_batch` that keeps `progress` up to date. part: as ``evaluate`` has it.

    Batches and speed are those of all ranks, taken to be as far as this one; loss and accuracy are of its own pictures.
    """
    rank, size = world().part if part is None else part
    clock = Clock()

    def after_batch(position, scores):
        done = min(position - rank + size, progress.total)
        clock.update(scores.count * size - clock.images)  # the pictures of this batch, and of the other ranks'
        own_batches_left = math.ceil((progress.total - done) / size)
        progress.update(done, *clock.texts(own_batches_left), *scores.texts())

    return after_batch


def in_step(loaders: Sequence[DataLoader], part: tuple[int, int] = (0, 1)) -> Iterator[tuple[Batch, ...]]:
    """One batch of each loader at a time; of part (1, 3), batches 1, 4, 7, ... A picture that cannot be read is missing
    from all of them."""
    first, stride = part
    passes = [loader.epoch(0, min(first, len(loader)), stride) for loader in loaders]
    for batches in zip_longest(*passes):  # None where one loader ends before another
        if any(batch is None or not np.array_equal(batch.indices, batches[0].indices) for batch in batches):
            advice = "give them the same data set and batch size, and do not shuffle"
            raise ValueError(f"evaluate: the loaders hand over different pictures; {advice}")
        yield batches


def _check_parts(part, loaders, models):
    """ValueError for other ways to share than those there are."""
    if part[1] > 1 and any(map(is_split, models)):
        what = "evaluate: each rank has a part of the network, so that every batch needs all of them"
        raise ValueError(f"{what}; give part=(0, 1)")
    if part not in ((0, 1), world().part):
        what = f"evaluate: part must be (0, 1), every batch on every rank, or this rank's, {world().part}, not {part}"
        raise ValueError(f"{what}; leave it out for the rank's")
    for loader in loaders:
        if loader.part != (0, 1):
            what = (
                f"evaluate: the loader hands over part {loader.part} of each batch, and ranks are dealt whole batches"
            )
            raise ValueError(f"{what}; give it a loader without part=")


def _of_all_ranks(scores, loaders):
    """The scores of all ranks' pictures. And each loader's `.bad` has what any rank has met."""
    together = Scores()
    together.add(world().sum(scores.sums()))
    share_unreadable(loaders, world())
    return together


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
