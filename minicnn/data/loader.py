"""The loader: the items of a data set, in the order of an epoch, fetched ahead by threads, handed over as batches.

    loader = DataLoader((images, labels), batch_size=32, shuffle=True)     # arrays, or any data set, or a folder
    for epoch in range(10):
        for images, labels in loader:          # Tensors: the next epoch at each go, so the order is a new one
            ...

What a batch holds depends on (seed, epoch, position) and on nothing else. The order is a permutation drawn
from (seed, ORDER, epoch); the random choices of the transform are drawn from (seed, AUGMENT, epoch, index), a
generator of its own for each item, so it does not matter which thread fetches it, or when. And so an epoch can be taken
up at any batch without replaying the ones before it: ``loader.epoch(epoch, start=batch.position + 1)``, which the
training loop of ``minicnn.train`` uses, hands over a Batch of arrays as they come, uint8 pictures for instance.

Several processes that train together take a part each of every batch: ``DataLoader(..., part=world().part)``. All
parts together are, row by row, the batch that one process would take.

One step a file: sources.py gets items, ahead.py lets threads do it, collate.py makes batches and Tensors of them,
empty.py those of no items, batch.py is what a training loop gets; others.py: settings that are not here.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from typing import Any

import numpy as np

from ..distributed.rows import checked_part, rows
from ..settings import ANY, flag, real, whole
from ..types import Array
from .ahead import fetch_ahead, fetch_now
from .batch import Batch, as_batch
from .collate import to_tensors
from .datasets import TensorDataset
from .empty import EmptyBatches
from .errors import BadImage, DataError, shown
from .normalize import ZeroToOne
from .others import refuse_others
from .sources import Arrays, source_of
from .transform import check_takes_rng

ORDER, AUGMENT, MIX = 1, 2, 6  # the purposes of the generators


class TooManyBadImages(DataError):
    """More pictures are unreadable than max_bad_fraction allows."""


class DataLoader:
    """Batches of a data set: ``for images, labels in loader``, each time the next epoch.

    dataset      a tuple of arrays or Tensors of one length, or one of them; or anything with __len__ and __getitem__
                 whose items are arrays, numbers, PIL images, or tuples or dicts of such; or a set of pictures
                 (``ImageFolder``)
    batch_size   items in a batch
    shuffle      a new order every epoch, or the order of the data set
    transform    transform(image, rng) of each picture, or of the first part of each item -> PIL image or array
    normalize    makes float32 of a batch of uint8 pictures (N, C, H, W): a fitted ``Normalize``; None: x / 255
    seed         of the orders and of the transform's random choices
    num_workers  threads that fetch items; 0 fetches when a batch is asked for. Arrays need none. The data set's
                 __getitem__ runs in several threads at once: files and generators must not be shared
    prefetch     how many batches are fetched ahead of the one in use
    collate_fn   a function of a list of items; what it returns is handed over in place of the batch
    repeats      with shuffle: how often an item stands in an epoch's order, one after the other, each time transformed
                 anew; an epoch is as long as ever, and takes that part of the items (Hoffer et al., CVPR 2020)
    drop_last    leave out the last batch of an epoch if it is not full
    part         (which one, of how many): only these rows of each batch (distributed/rows.py), for one of several
                 processes, ``part=world().part``; None, or (0, 1): all. It may be set later

    A batch has the form of an item, a tuple mostly. Its leaves are Tensors: of uint8 arrays (C, H, W) and of PIL images
    float32 in [0, 1], of whole numbers int64, of other arrays their own dtype; Tensors stay what they are.

    A picture that cannot be read (BadImage) is left out of its batch and entered in `.bad`, {path: reason}, once,
    however many epochs it is met in. When there are more of them than max_bad_fraction of the data set
    (rounded up to whole pictures), TooManyBadImages is raised. Any other exception of a worker is raised
    here, as it is, with a note that names the item.

    A part of several has len(loader) batches, too, of the same items in the same order, but fetches its own rows alone;
    unreadable pictures are left out afterwards. It hands over every batch, also one in which it has no row: that one
    has the form of its latest batch, else of another item, with 0 rows; collate_fn is called with []. `.bad` has what
    this part has met, and is judged by what the whole data set is allowed; ``add_bad`` adds what the others have met.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int = 1,
        shuffle: bool = False,
        *,
        transform: Callable | None = None,
        normalize: Callable[[Array], Array] | None = None,
        seed: int = 0,
        num_workers: int = 0,
        prefetch: int = 2,
        collate_fn: Callable | None = None,
        repeats: int = 1,
        drop_last: bool = False,
        max_bad_fraction: float = 0.001,
        part: tuple[int, int] | None = None,
        **others: Any,
    ) -> None:
        refuse_others(others)
        takes = {"transform": "(image, rng)", "normalize": "of a batch", "collate_fn": "of a list of items"}
        for name, function in (("transform", transform), ("normalize", normalize), ("collate_fn", collate_fn)):
            if not (function is None or callable(function)):
                raise TypeError(f"DataLoader: {name} must be a function {takes[name]}, not {function!r:.60}")
        if transform is not None:
            check_takes_rng("DataLoader", transform)
        self._source = source_of(dataset, transform)
        if collate_fn is not None and isinstance(self._source, Arrays):
            what = "DataLoader: collate_fn= takes a list of items, and arrays are cut into whole batches"
            raise TypeError(f"{what}; change the batch in the loop, or give a data set with __getitem__")
        self._dataset = TensorDataset(*dataset) if isinstance(dataset, tuple) else dataset
        self.batch_size = whole(self, "batch_size", batch_size)
        self.shuffle = flag(self, "shuffle", shuffle)
        self.normalize = ZeroToOne() if normalize is None else normalize
        self.seed = whole(self, "seed", seed, 0)
        self.num_workers = whole(self, "num_workers", num_workers, 0)
        self.prefetch = whole(self, "prefetch", prefetch)
        self.collate_fn = collate_fn
        self.repeats = whole(self, "repeats", repeats)
        if self.repeats > 1 and not self.shuffle:
            raise ValueError(f"DataLoader: repeats={repeats} without shuffle=True takes the same items in every epoch")
        self.drop_last = flag(self, "drop_last", drop_last)
        self.max_bad_fraction = real(self, "max_bad_fraction", max_bad_fraction, at_least=0, at_most=1)
        self.part = part
        self.next_epoch = 0  # which one `for ... in loader` begins next; set it to go on where another run stood
        self.bad: dict[str, str] = {}
        self.wait_seconds = 0.0  # how long the consumer waited for batches in the latest epoch

    @property
    def dataset(self) -> Any:
        """What it was given; of a tuple of arrays, their TensorDataset: len() counts items. Not to be exchanged."""
        return self._dataset

    @property
    def part(self) -> tuple[int, int]:
        """(which one, of how many): the rows that it takes of each batch; (0, 1) is all of them."""
        return self._part

    @part.setter
    def part(self, value: tuple[int, int] | None) -> None:
        self._part = checked_part(self, value)

    def __len__(self) -> int:
        """Batches in an epoch, whatever part of each this loader takes."""
        full, rest = divmod(len(self._source), whole(self, "batch_size", self.batch_size))  # it may have been set
        return full + (rest > 0 and not self.drop_last)

    def __repr__(self):
        names = ["batch_size", "shuffle", "seed", "num_workers", "drop_last", *(["part"] if self._is_part else [])]
        names += ["repeats"] if self.repeats > 1 else []
        shown = ", ".join(f"{name}={getattr(self, name)}" for name in names)
        return f"DataLoader({len(self._source)} items of {self._source}, {shown})"

    def __iter__(self) -> Iterator[Any]:
        """The batches of the next epoch, as Tensors."""
        epoch = whole(self, "next_epoch", self.next_epoch, 0)
        self.next_epoch = epoch + 1
        return self._handed_over(epoch, range(len(self)), self._as_tensors)

    def order(self, epoch: int) -> Array:
        """int64 (len(dataset),): the items in the order in which this epoch takes them."""
        if not self.shuffle:
            return np.arange(len(self._source))
        order = np.random.default_rng([self.seed, ORDER, epoch]).permutation(len(self._source))
        return order.repeat(self.repeats)[: len(order)]

    def epoch(self, epoch: int, start: int = 0, stride: int = 1) -> Iterator[Batch]:
        """Iterate over the batches `start`, `start + stride`, ... of an epoch, each a Batch of arrays.

        A batch without a single readable picture is not handed over (but by a `part` of several), though its position
        counts. Leaving the loop early stops the workers. TypeError where items are no pairs of a picture and a label.
        """
        epoch, start = whole(self, "epoch", epoch, 0), whole(self, "start", start, ANY)
        if not 0 <= start <= len(self):
            batches = f"0..{len(self)}, the batches of an epoch"
            raise ValueError(f"DataLoader.epoch: start must lie in {batches}, not {start}")
        positions = range(start, len(self), whole(self, "stride", stride))
        return self._handed_over(epoch, positions, as_batch)

    def mixing_rng(self, batch: Batch) -> np.random.Generator:
        """The generator for the mixing of a batch (mix.py): it depends on seed, epoch and position alone, so that all
        parts of the batch have the same."""
        return np.random.default_rng([self.seed, MIX, batch.epoch, batch.position])

    def add_bad(self, pictures: Mapping[str, str]) -> None:
        """Enter these into `.bad`, {path: reason}: what other parts' loaders have met. May raise TooManyBadImages."""
        for path, reason in pictures.items():
            self._note(path, reason)

    def name(self, index: int) -> str:
        """What messages call an item of the data set: a picture's path, for instance."""
        return self._source.name(index)

    def _as_tensors(self, batch, *place):
        return batch if self.collate_fn else to_tensors(batch, self.normalize)

    @property
    def _is_part(self):
        return self.part[1] > 1

    def _handed_over(self, epoch, positions, form):
        with closing(self._batches(epoch, positions)) as batches:
            for found in batches:
                yield form(*found)

    def _batches(self, epoch, positions):
        """(a batch of arrays, and what else there is to say of it: the other fields of a Batch), for each of these."""
        self.wait_seconds = 0.0
        order, part = self.order(epoch), self.part
        batches = [order[p * self.batch_size : (p + 1) * self.batch_size] for p in positions]
        own = [rows(len(batch), *part) for batch in batches]  # of each, the rows that are this part's
        cuts = [batch[mine.start : mine.stop] for batch, mine in zip(batches, own, strict=True)]
        starts = [p * self.batch_size + mine.start for p, mine in zip(positions, own, strict=True)]
        is_of_rows = isinstance(self._source, Arrays)
        found = self._rows(cuts) if is_of_rows else self._items(epoch, order, positions, starts, cuts)
        with closing(found):
            for position, whole_batch, mine, indices in zip(positions, batches, own, cuts, strict=True):
                asked = time.perf_counter()
                batch, good = next(found)
                self.wait_seconds += time.perf_counter() - asked
                if len(good) or self._is_part:
                    yield (
                        batch,
                        indices[good],
                        epoch,
                        position,
                        np.arange(mine.start, mine.stop)[good],
                        len(whole_batch),
                        part,
                    )

    def _rows(self, cuts):
        for indices in cuts:
            yield self._source.rows(indices), np.arange(len(indices))

    def _items(self, epoch, order, positions, starts, cuts):
        """(a batch, which of its items could be read: their places in the cut), for each of them. starts: the places of
        the cuts in the order."""
        count, repeats = len(self._source), self.repeats if self.shuffle else 1
        # an item for the first time, the second, ...: index, index + count, ...
        wanted = [
            cut + count * ((start + np.arange(len(cut))) % repeats) for start, cut in zip(starts, cuts, strict=True)
        ]

        def fetch(number):  # runs in a worker
            time, index = divmod(number, count)
            key = [self.seed, AUGMENT, epoch, index] + ([time] if time else [])
            try:
                return self._source.item(index, lambda: np.random.default_rng(key))
            except BadImage as bad:
                return bad

        empty = EmptyBatches(fetch, self._source.stack, self.collate_fn)
        ahead = self.num_workers, self.prefetch
        with closing(fetch_ahead(fetch, wanted, *ahead) if self.num_workers else fetch_now(fetch, wanted)) as fetched:
            for position, indices, found in zip(positions, cuts, fetched, strict=True):
                good = [i for i, item in enumerate(found) if not isinstance(item, BadImage)]
                for item in found:
                    if isinstance(item, BadImage):
                        self._note(item.path, item.reason)
                if good:
                    items, indices = [found[i] for i in good], indices[good]
                    empty.example = items[0], indices[0]
                    yield self._collate(items, indices), good
                elif self._is_part:
                    others = np.roll(order, -position * self.batch_size)  # this batch's, then on, and round to it
                    yield empty.batch(others, f"part {self.part} of batch {position}"), good
                else:
                    yield None, good

    def _collate(self, items, indices):
        return self.collate_fn(items) if self.collate_fn else self._source.stack(items, indices)

    def _note(self, path, reason):
        self.bad.setdefault(path, reason)
        count = len(self._source)
        allowed = math.ceil(self.max_bad_fraction * count - 1e-9)
        if len(self.bad) > allowed:
            first = "; ".join(f"{shown(path)}: {reason}" for path, reason in list(self.bad.items())[:5])
            what = f"{len(self.bad)} of {count} pictures are unreadable"
            limit = f"max_bad_fraction={self.max_bad_fraction:g} allows {allowed}"
            raise TooManyBadImages(f"{what} and {limit}; repair or remove them: {first}")
