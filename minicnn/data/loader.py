"""The loader: pictures of a data set, in the order of an epoch, decoded ahead in threads, handed over as
batches.

    loader = DataLoader(train, 128, shuffle=True, transform=transform, num_workers=4)
    for epoch in range(90):
        for batch in loader.epoch(epoch):
            ...                                    # batch.images uint8 (N, 3, H, W), batch.labels int64 (N,)
        print(loader.wait_seconds, loader.bad)

What a batch holds depends on (seed, epoch, position) and on nothing else. The order is a permutation drawn
from (seed, ORDER, epoch); the random choices for a picture are drawn from (seed, AUGMENT, epoch, index), a
generator of its own, so it does not matter which thread decodes it, or when. And so an epoch can be taken up
at any batch without replaying the ones before it: save `batch.position + 1`, and go on with
`loader.epoch(epoch, start=saved)`.

Threads are enough: Pillow gives up the interpreter lock while it decodes and resizes.
"""

import math
import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import NamedTuple

import numpy as np

from ..settings import ANY, flag, real, whole
from ..types import Array
from .augment import to_array
from .errors import BadImage, DataError, shown
from .subset import PictureSet

ORDER, AUGMENT = 1, 2  # the purposes of the generators


class TooManyBadImages(DataError):
    """More pictures are unreadable than max_bad_fraction allows."""


class Batch(NamedTuple):
    """What the loader hands over: pictures with their labels."""

    images: np.ndarray  # uint8 (N, C, H, W); (N, views, C, H, W) after TenCrop, WithMirror
    labels: np.ndarray  # int64 (N,)
    indices: np.ndarray  # int64 (N,): which samples of the data set these are
    position: int  # 0, 1, ...: which batch of the epoch this is


class DataLoader:
    """Batches of a data set.

    dataset      has len(dataset), dataset.samples[i] = (path, label) and dataset.load(i), which raises BadImage
    shuffle      a new order every epoch, or the order of the data set
    transform    transform(image, rng) -> PIL image or uint8 array, of the same size for all pictures; None: they have
                 it already
    num_workers  threads that decode; 0 decodes when a batch is asked for
    prefetch     how many batches are decoded ahead of the one in use
    drop_last    leave out the last batch of an epoch if it is not full

    A picture that cannot be read is left out of its batch and entered in `.bad`, {path: reason}, once,
    however many epochs it is met in. When there are more of them than max_bad_fraction of the data set
    (rounded up to whole pictures), TooManyBadImages is raised. Any other exception of a worker is raised
    here, as it is.
    """

    def __init__(
        self,
        dataset: PictureSet,
        batch_size: int = 1,
        shuffle: bool = False,
        *,
        transform: Callable | None = None,
        seed: int = 0,
        num_workers: int = 0,
        prefetch: int = 2,
        drop_last: bool = False,
        max_bad_fraction: float = 0.001,
    ) -> None:
        if missing := [name for name in ("__len__", "samples", "load") if not hasattr(dataset, name)]:
            raise TypeError(f"DataLoader: a data set has {', '.join(missing)}, {type(dataset).__name__} does not")
        if not (transform is None or callable(transform)):
            raise TypeError(f"DataLoader: transform must be a function (image, rng), not {transform!r}")
        self.dataset = dataset
        self.batch_size = whole(self, "batch_size", batch_size)
        self.transform = transform
        self.shuffle = flag(self, "shuffle", shuffle)
        self.seed = whole(self, "seed", seed, 0)
        self.num_workers = whole(self, "num_workers", num_workers, 0)
        self.prefetch = whole(self, "prefetch", prefetch)
        self.drop_last = flag(self, "drop_last", drop_last)
        self.max_bad_fraction = real(self, "max_bad_fraction", max_bad_fraction, at_least=0, at_most=1)
        self.bad: dict[str, str] = {}
        self.wait_seconds = 0.0  # how long the consumer waited for batches in the latest epoch

    def __len__(self) -> int:
        """Batches in an epoch."""
        full, rest = divmod(len(self.dataset), self.batch_size)
        return full + (rest > 0 and not self.drop_last)

    def order(self, epoch: int) -> Array:
        """int64 (len(dataset),): the samples in the order in which this epoch takes them."""
        if not self.shuffle:
            return np.arange(len(self.dataset))
        return np.random.default_rng([self.seed, ORDER, epoch]).permutation(len(self.dataset))

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """Iterate over the batches `start`, `start + 1`, ... of an epoch.

        A batch without a single readable picture is not handed over, but its position counts. Leaving the
        loop early stops the workers.
        """
        epoch, start = whole(self, "epoch", epoch, 0), whole(self, "start", start, ANY)
        if not 0 <= start <= len(self):
            batches = f"0..{len(self)}, the batches of an epoch"
            raise ValueError(f"DataLoader.epoch: start must lie in {batches}, not {start}")
        return self._batches(epoch, start)

    def _batches(self, epoch, start):
        self.wait_seconds = 0.0
        order = self.order(epoch)
        parts = [order[p * self.batch_size : (p + 1) * self.batch_size] for p in range(start, len(self))]
        decode = self._decode_ahead if self.num_workers else self._decode_now
        with closing(decode(epoch, parts)) as decoded:
            for position in range(start, len(self)):
                asked = time.perf_counter()
                batch = self._collate(next(decoded), position)
                self.wait_seconds += time.perf_counter() - asked
                if batch is not None:
                    yield batch

    def _decode_now(self, epoch, parts):
        for part in parts:
            yield [self._sample(epoch, int(index)) for index in part]

    def _decode_ahead(self, epoch, parts):
        pool = ThreadPoolExecutor(self.num_workers, thread_name_prefix="minicnn-loader")
        ahead = deque()  # a list of futures per batch, in order
        process = os.getpid()
        try:
            for part in parts:
                ahead.append(self._submit(pool, epoch, part))
                if len(ahead) > self.prefetch:
                    yield self._results(ahead.popleft(), process)
            while ahead:
                yield self._results(ahead.popleft(), process)
        finally:
            pool.shutdown(cancel_futures=True)

    def _submit(self, pool, epoch, part):
        try:
            return [pool.submit(self._sample, epoch, int(index)) for index in part]
        except RuntimeError as error:  # the system refuses another thread
            raise DataError(f"DataLoader: {error}; fewer than {self.num_workers} workers may do") from error

    def _results(self, futures, process):
        if os.getpid() != process:
            raise RuntimeError(
                "DataLoader: this epoch was begun before the process forked, and its threads are the other process's; "
                f"begin it here: loader.epoch(epoch, start), or num_workers=0 instead of {self.num_workers}"
            )
        return [future.result() for future in futures]

    def _sample(self, epoch, index):
        """(array, label, index) of one picture, or the BadImage that was raised. Runs in a worker."""
        path, label = self.dataset.samples[index]
        try:
            image = self.dataset.load(index)
        except BadImage as bad:
            return bad
        except MemoryError as error:
            raise _no_memory(path) from error
        rng = np.random.default_rng([self.seed, AUGMENT, epoch, index])
        try:
            if self.transform is not None:
                image = self.transform(image, rng)
            return to_array(image), label, index
        except BadImage as bad:  # it can be decoded, and yet not be used
            return BadImage(path, str(bad))
        except MemoryError as error:
            raise _no_memory(path) from error
        except Exception as error:
            error.add_note(f"in the transform of {path}")
            raise

    def _collate(self, samples, position):
        """A Batch of the good samples, None if there are none; the bad ones are noted."""
        good = []
        for sample in samples:
            if isinstance(sample, BadImage):
                self._note(sample)
            else:
                good.append(sample)
        if not good:
            return None
        arrays, labels, indices = zip(*good, strict=True)
        shapes = sorted({array.shape for array in arrays})
        if len(shapes) > 1:
            what = f"DataLoader: the pictures of a batch have different shapes, {shapes[0]} and {shapes[-1]}"
            raise ValueError(f"{what}; end the transform with a crop")
        return Batch(np.stack(arrays), np.array(labels, np.int64), np.array(indices, np.int64), position)

    def _note(self, bad):
        self.bad.setdefault(bad.path, bad.reason)
        allowed = math.ceil(self.max_bad_fraction * len(self.dataset) - 1e-9)
        if len(self.bad) > allowed:
            first = "; ".join(f"{shown(path)}: {reason}" for path, reason in list(self.bad.items())[:5])
            what = f"{len(self.bad)} of {len(self.dataset)} pictures are unreadable"
            limit = f"max_bad_fraction={self.max_bad_fraction:g} allows {allowed}"
            raise TooManyBadImages(f"{what} and {limit}; repair or remove them: {first}")


def _no_memory(path):
    return DataError(f"{shown(path)}: there is no memory left for it; fewer --workers, or a smaller batch, need less")
