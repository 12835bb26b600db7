"""Data parallelism: every rank has the whole network and its own rows of each batch, and they add up the gradients.

    parallel = DataParallel(model)                        # every rank begins with rank 0's parameters and buffers
    loader = DataLoader(data, 128, shuffle=True, part=world().part)        # this rank's rows of each batch of 128
    for images, labels in loader:
        optimizer.zero_grad()
        with parallel.step(len(labels)) as count:         # count: how many rows the ranks have together
            loss = F.cross_entropy(model(images), labels, reduction="sum") / count
            loss.backward()
        optimizer.step()                                  # each .grad is the sum over all ranks now

Why sums: the loss of a batch of N is 1/N sum_n loss_n, whoever works out which terms. A mean of the ranks' means is
another number where they have different numbers of rows, as at the end of an epoch, or where a picture is unreadable.

So that nothing but the order of additions differs from one process: dropout draws for a rank's rows what one process
would draw for them (``random.rows``), and all ranks hold the same parameters, buffers and random state at every step.
Batch norm is another matter. It normalises what is there, a rank's own rows, unless it is ``nn.SyncBatchNorm``; its
running statistics are averaged over ranks after each step, weighted by rows.

A batch may be worked on in parts, one after the other: for less memory, or with `shards` for the same bits on any
number of ranks (sums.py):

        with parallel.in_parts([len(labels) for _, labels in parts]) as count:
            for i, (images, labels) in enumerate(parts):
                with parallel.part(i):
                    ...
"""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from .. import random
from ..settings import whole
from ..types import Array
from ..variable import FLOATS
from .agree import RanksDiffer, agree
from .buckets import Buckets
from .current import world as current_world
from .ranks import Sending, World
from .shards import Own, Shards
from .sums import PlainSum, TreeSum, tree_sum


class DataParallel:
    """What goes around the training steps of `model` on every rank.

    shards    a power of two: the parts in which every batch is worked on, however many ranks there are; a rank has
              shards / size of them. None: a rank works on what it has at once
    send      "float32", or "bfloat16": gradients on the way from GPU to GPU, at half the bytes and 8 bits of precision
    world     the ranks; those of this process's mpiexec

    Modules with ``own_part = True`` have parameters of which each rank holds a part of its own: these are neither
    shared nor summed. RanksDiffer where the models are not built alike.
    """

    def __init__(
        self, model: Any, shards: int | None = None, send: str = "float32", world: World | None = None
    ) -> None:
        self.world = current_world() if world is None else world
        self.send = _checked_send(send)
        self.shards = None if shards is None else _checked_shards(shards, self.world.size)
        self.model = model
        if self.shards and any(getattr(module, "same_on_all_ranks", False) for module in model.modules()):
            what = "DataParallel: SyncBatchNorm sees as many shards at once as there are ranks, which changes the bits"
            raise ValueError(f"{what}; leave shards= out, or let each shard have statistics of its own: BatchNorm2d")
        self.totals: Array = np.zeros(0)  # of the latest step: sums over ranks of what ``report`` was given
        own = _own_part(model)
        shared = {name: p for name, p in model.named_parameters() if id(p) not in own}
        agree("the model", {name: f"{p.data.shape} {p.data.dtype}" for name, p in shared.items()}, self.world)
        self.parameters = {name: p for name, p in shared.items() if p.requires_grad}
        self._begin_alike([*shared.values(), *(b for b in model.buffers() if id(b) not in own)])
        parameters = list(self.parameters.values())
        if self.shards is not None:
            self._sums: Any = Shards(parameters, self.world)
        else:
            self._sums = Own() if self.world.size == 1 else Buckets(parameters, self._start_sum)

    @property
    def parts(self) -> int:
        """In how many parts a rank works on its rows at least: those of `shards` that are its own."""
        return 1 if self.shards is None else self.shards // self.world.size

    @contextlib.contextmanager
    def step(self, rows: int) -> Iterator[int]:
        """Around forward and backward of one batch, of which this rank has so many `rows`, perhaps none. Hands over how
        many the ranks have together. Gradients must be gone before (``optimizer.zero_grad``)."""
        with self.in_parts([rows]) as count, self.part(0):
            yield count

    @contextlib.contextmanager
    def in_parts(self, rows: Sequence[int]) -> Iterator[int]:
        """The same for a batch of which this rank has so many rows in each of several parts; ``part`` goes around the
        forward and backward of each."""
        if self.shards is not None and len(rows) != self.parts:
            what = f"DataParallel.in_parts: {len(rows)} parts, and each of {self.world.size} ranks has {self.parts}"
            raise ValueError(f"{what} of the {self.shards} shards; cut its rows into so many")
        counts = self.world.gather(np.array([whole("step", "rows", count, 0) for count in rows], np.int64))
        self._rows, self._count = rows, int(counts.sum())
        # the first row of this rank's parts in the batch of all: what stands before it, on lower ranks and here
        self._first = counts[: self.world.rank].sum() + np.cumsum([0, *rows[:-1]])
        self._calls = random.dropout_calls()
        self._buffers = _running(self.model, in_parts=len(rows) > 1) if self.world.size > 1 or len(rows) > 1 else []
        self._before = [buffer.data.copy() for buffer in self._buffers]
        new_sum = PlainSum if self.shards is None else TreeSum
        self._moved, self._numbers, self._done = new_sum(), new_sum(), 0
        self._sums.begin()
        yield self._count
        self._finish()

    @contextlib.contextmanager
    def part(self, number: int) -> Iterator[None]:
        """Around forward and backward of one part of the rows, 0, 1, ... in their order."""
        if number != self._done or number >= len(self._rows):
            what = f"DataParallel.part({number}): part {self._done} of {len(self._rows)} comes next"
            raise ValueError(f"{what}; work on each part once, in order")
        for buffer, before in zip(self._buffers, self._before, strict=True):
            if number:  # each part begins with the statistics of the step's beginning, as each rank does
                _put(buffer, before)
        random.set_dropout_calls(self._calls)  # the same masks, whatever the parts: rows tell them apart
        self._sums.begin_part(last=number == len(self._rows) - 1)
        self._given: Array = np.zeros(0)
        with random.rows(int(self._first[number])):
            yield
        self._sums.end_part()
        self._done += 1
        self._numbers.add(self._given)
        if self._buffers and self._count:
            share = self._rows[number] / self._count  # of the batch
            moved = [share * (b.data - old) for b, old in zip(self._buffers, self._before, strict=True)]
            self._moved.add(np.concatenate([array.reshape(-1) for array in moved]))

    def close(self) -> None:
        """The model's gradients are its own affair again."""
        self._sums.remove()

    def report(self, *numbers: float) -> None:
        """Within a part: numbers whose sums over all parts and ranks shall stand in ``totals`` when the step is over.
        Every rank gives as many. They travel with what the ranks tell each other anyway."""
        self._given = np.array(numbers, np.float64)

    def _finish(self):
        if self._done != len(self._rows):
            what = f"DataParallel: {self._done} of {len(self._rows)} parts were worked on"
            raise RuntimeError(f"{what}; put `with parallel.part(i):` around each")
        self._sums.finish()
        has_grad = np.array([p.grad is not None for p in self.parameters.values()], np.float64)
        told = self._over_ranks(np.concatenate([has_grad, self._numbers.total()]))  # the one small sum of a step
        ranks, self.totals = told[: has_grad.size], told[has_grad.size :]  # ranks: how many have each gradient
        if self.world.size > 1 and not np.isin(ranks, (0, self.world.size)).all():
            raise self._missing(has_grad)
        if self._buffers and self._count:
            moved, start = self._over_ranks(self._moved.total()), 0
            for buffer, before in zip(self._buffers, self._before, strict=True):
                stop = start + before.size
                _put(buffer, before + moved[start:stop].reshape(before.shape))
                start = stop

    def _over_ranks(self, array):
        return self.world.sum(array) if self.shards is None else tree_sum(self.world, array)

    def _missing(self, has_grad):
        """The error of a parameter that has a gradient on some ranks only."""
        everywhere = np.array(self.world.gather_values(has_grad))  # (ranks, parameters)
        name, ranks = next(
            (name, column) for name, column in zip(self.parameters, everywhere.T, strict=True) if not column.all()
        )
        who = ", ".join(str(rank) for rank in np.flatnonzero(ranks == 0)[:8])
        what = f"the parameter {name} has no gradient on rank {who} of {self.world.size}, but on others"
        return RanksDiffer(f"{what}; every rank must send its rows through the same layers")

    def _start_sum(self, array: Array) -> Sending:
        return self.world.start_sum(array, self.send)

    def _begin_alike(self, tensors):
        """Rank 0's values, and its random numbers, on every rank."""
        if self.world.size > 1:
            for tensor in tensors:
                _put(tensor, self.world.broadcast(tensor.data))
            random.set_state(self.world.share(random.get_state()))


def _put(tensor, array):
    """Write into a tensor's own memory; a graph that has saved it will notice."""
    tensor.data[...] = array
    tensor.version.count += 1


def _own_part(model):
    """The ids of the parameters and buffers of which each rank has a part of its own."""
    parts = [module for module in model.modules() if getattr(module, "own_part", False)]
    return {id(tensor) for part in parts for tensor in (*part.parameters(), *part.buffers())}


def _running(model, in_parts):
    """The buffers that training changes by some of a batch's rows, running statistics. Where the statistics are those
    of all ranks' rows, these are all that there are, unless they come in several parts."""
    layers = [m for m in model.modules() if m.training and not m.frozen]
    layers = [m for m in layers if in_parts or not getattr(m, "same_on_all_ranks", False)]
    return [b for layer in layers for b in layer.buffers(recurse=False) if b.data.dtype in FLOATS]


def _checked_send(send):
    if send not in ("float32", "bfloat16"):
        raise ValueError(f"DataParallel: send must be 'float32' or 'bfloat16', not {send!r}")
    return send


def _checked_shards(shards, ranks):
    shards = whole("DataParallel", "shards", shards)
    if shards & (shards - 1):
        raise ValueError(f"DataParallel: shards must be a power of two, not {shards}")
    if shards % ranks:
        raise ValueError(
            f"DataParallel: {shards} shards cannot be shared out to {ranks} ranks; start 1, 2, 4 ... ranks"
        )
    return shards
