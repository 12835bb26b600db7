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
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from .. import random
from ..settings import real, whole
from ..types import Array
from .agree import RanksDiffer, agree
from .bfloat16 import check_send
from .buckets import Buckets
from .current import world as current_world
from .ending import listed, on_all_ranks
from .ranks import Sending, World
from .running import Running, put, running_statistics
from .shards import Own, Shards
from .sums import PlainSum, TreeSum, tree_sum

MOST = 16  # numbers that ``report`` takes: what the ranks tell each other after a step has one length on all of them


class DataParallel:
    """What goes around the training steps of `model` on every rank.

    shards          a power of two: the parts in which every batch is worked on, however many ranks there are; a rank
                    has shards / size of them. The bits are the same where each rank has the same number of threads
                    (MINICNN_THREADS). None: a rank works on what it has at once
    send            "float32", or "bfloat16": gradients on the way from GPU to GPU, at half the bytes and 8 bits of
                    precision
    world           the ranks; those of this process's mpiexec
    bucket_cap_mb   MiB of gradients that travel together, at least (buckets.py)

    Modules with ``own_part = True`` have parameters of which each rank holds a part of its own: these are neither
    shared nor summed. RanksDiffer where the models are not built alike.
    """

    def __init__(
        self,
        model: Any,
        shards: int | None = None,
        send: str = "float32",
        world: World | None = None,
        bucket_cap_mb: float = 25,
    ) -> None:
        self.world = current_world() if world is None else world
        self.send = send  # checked below, with what is to be sent
        self.shards = None if shards is None else _checked_shards(shards, self.world.size)
        self.bucket_cap_mb = real("DataParallel", "bucket_cap_mb", bucket_cap_mb, above=0)
        self.model = model
        if self.shards and any(getattr(module, "same_on_all_ranks", False) for module in model.modules()):
            what = "DataParallel: SyncBatchNorm sees as many shards at once as there are ranks, which changes the bits"
            raise ValueError(f"{what}; leave shards= out, or let each shard have statistics of its own: BatchNorm2d")
        self.totals: Array = np.zeros(0)  # of the latest step: sums over ranks of what ``report`` was given
        self._own = _own_part(model)
        self._shared = {name: p for name, p in model.named_parameters() if id(p) not in self._own}
        buffers = {name: buffer for name, buffer in model.named_buffers() if id(buffer) not in self._own}
        settings = {"shards": self.shards, "send": self.send, "bucket_cap_mb": self.bucket_cap_mb}
        agree("DataParallel", settings, self.world)
        agree("the model", _described(self._shared | buffers), self.world)
        _check_gradients(self._shared.values(), send, shards)
        self._begin_alike([*self._shared.values(), *buffers.values()])
        self.parameters: dict[str, Any] = {}  # {name: parameter} of those that are trained
        self._sums: Any = Own()
        self._rows: list[int] = []  # of the parts of the step that is being done
        self._done = 0  # how many of these parts are over
        self._given: list[float] | None = None  # what was reported in the part that is being done

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
        self._rows = [whole("DataParallel", "rows", count, 0) for count in rows]
        before = self._agreed()
        self._count = int(before.sum())
        # the first row of this rank's parts in the batch of all: what stands before it, on lower ranks and here
        self._first = before[: self.world.rank].sum() + np.cumsum([0, *self._rows[:-1]])
        self._calls = random.dropout_calls()
        new_sum = PlainSum if self.shards is None else TreeSum
        buffers = running_statistics(self.model, len(self._rows), self.world.size)
        self._running = Running([buffer for buffer in buffers if id(buffer) not in self._own], new_sum())
        self._numbers, self._done, self._given = new_sum(), 0, None
        self._versions = self._versions_now()
        self._sums.begin()
        yield self._count
        self._finish()

    @contextlib.contextmanager
    def part(self, number: int) -> Iterator[None]:
        """Around forward and backward of one part of the rows, 0, 1, ... in their order."""
        if self._given is not None or number != self._done or number >= len(self._rows):
            what = f"DataParallel.part({number}): part {self._done} of {len(self._rows)} comes next"
            raise ValueError(f"{what}; within in_parts, work on each part once, in order")
        self._running.begin_part()
        random.set_dropout_calls(self._calls)  # the same masks, whatever the parts: rows tell them apart
        self._sums.begin_part(last=number == len(self._rows) - 1)
        self._given = []
        with random.rows(int(self._first[number])):
            yield
        self._sums.end_part()
        self._done += 1
        given = len(self._given)
        self._numbers.add(np.array([given, given**2, *self._given, *[0] * (MOST - given)], np.float64))
        self._given = None
        self._running.end_part(self._rows[number] / max(1, self._count))

    def report(self, *numbers: float) -> None:
        """Within a part: numbers whose sums over all parts and ranks shall stand in ``totals`` when the step is over.

        Every part of every rank gives as many, 16 at most. They travel with what the ranks tell each other anyway."""
        if self._given is None:
            raise RuntimeError("DataParallel.report: numbers belong to a part of a step; call it within one")
        self._given += numbers
        if len(self._given) > MOST:
            raise ValueError(f"DataParallel.report: {len(self._given)} numbers, and a part may give {MOST}")

    def close(self) -> None:
        """The model's gradients are its own affair again; no more steps. A second time, nothing happens."""
        if self._sums is not None:
            self._sums.remove()
            self._sums = None

    def _agreed(self):
        """How many rows each rank has, (size,), after what ranks must have in common at the beginning of a step."""
        if self._sums is None:
            raise RuntimeError("DataParallel: a step after close(); make another one")
        summed, parts = self.world.size > 1 or self.shards is not None, len(self._rows)
        left = summed and any(p.grad is not None for p in self._shared.values())
        trained = [p.requires_grad for p in self._shared.values()]
        own = [sum(self._rows), parts, left, zlib.crc32(bytes(trained))]
        rows, all_parts, all_left, all_trained = self.world.gather(np.array(own, np.int64)).T
        if all_left.any():
            what = "DataParallel: a .grad is left from before the step, and would be lost or summed again"
            raise on_all_ranks(
                RuntimeError(f"{what}; call optimizer.zero_grad(), which sets it to None, before the block")
            )
        if self.shards is not None and (all_parts != self.parts).any():
            what = f"each of {self.world.size} ranks has {self.parts} of the {self.shards} shards, not {parts}"
            raise on_all_ranks(ValueError(f"DataParallel.in_parts: {what}; cut its rows into so many parts"))
        for what, values in (("how many parts there are", all_parts), ("what is frozen", all_trained)):
            if (values != values[0]).any():
                others = listed(np.flatnonzero(values != values[0]))
                raise RanksDiffer(f"DataParallel: {what} is not the same on {others} and on rank 0")
        if trained != [name in self.parameters for name in self._shared]:
            self._train({name: p for name, p in self._shared.items() if p.requires_grad})
        return rows

    def _train(self, parameters):
        """From this step on, these are the parameters that have gradients."""
        self.parameters = parameters
        self._sums.remove()
        size = int(self.bucket_cap_mb * 2**20)
        if self.shards is not None:
            self._sums = Shards(list(parameters.values()), self.world, size)
        elif self.world.size > 1:
            self._sums = Buckets(list(parameters.values()), self._start_sum, size)

    def _finish(self):
        if self._done != len(self._rows):
            what = f"DataParallel: {self._done} of {len(self._rows)} parts were worked on"
            raise RuntimeError(f"{what}; put `with parallel.part(i):` around each")
        self._sums.finish()
        has_grad = np.array([p.grad is not None for p in self.parameters.values()], np.float64)
        changed = [self._versions_now() != self._versions]
        # the one small sum of a step; ranks: how many have each gradient
        told = self._over_ranks(np.concatenate([changed, has_grad, self._numbers.total()]))
        changed, ranks, numbers = np.split(told, [1, 1 + has_grad.size])
        if changed.any():
            what = "DataParallel: parameters were changed within the step, before gradients were summed"
            raise on_all_ranks(RuntimeError(f"{what}; call optimizer.step() after the block"))
        if self.world.size > 1 and not np.isin(ranks, (0, self.world.size)).all():
            raise self._missing(has_grad)
        if self._count and len(ranks) and not ranks.any():
            what = "DataParallel: a step is over, and no parameter has a gradient"
            raise on_all_ranks(RuntimeError(f"{what}; call loss.backward() within it: there they are summed"))
        parts, (given, squares, *totals) = self.world.size * len(self._rows), numbers
        if parts * squares != given**2:  # as it is of equal numbers alone (Cauchy and Schwarz)
            raise RanksDiffer("DataParallel.report: every part of every rank must give as many numbers")
        self.totals = np.array(totals[: int(given) // parts])
        self._running.finish(self._over_ranks)

    def _versions_now(self):
        return [p.version.count for p in self._shared.values()]

    def _over_ranks(self, array):
        return self.world.sum(array) if self.shards is None else tree_sum(self.world, array)

    def _missing(self, has_grad):
        """The error of a parameter that has a gradient on some ranks only."""
        everywhere = np.array(self.world.gather_values(has_grad))  # (ranks, parameters)
        name, ranks = next(
            (name, column)
            for name, column in zip(self.parameters, everywhere.T, strict=True)
            if column.any() and not column.all()
        )
        without, having = (listed(np.flatnonzero(ranks == value)) for value in (0, 1))
        what = f"the parameter {name} has a gradient on {having}, and none on {without}"
        return RanksDiffer(f"{what}; every rank must send its rows through the same layers, even if it has none")

    def _start_sum(self, array: Array) -> Sending:
        return self.world.start_sum(array, self.send)

    def _begin_alike(self, tensors):
        """Rank 0's values, and its random numbers, on every rank."""
        if self.world.size > 1:
            for tensor in tensors:
                put(tensor, self.world.broadcast(tensor.data))
            random.set_state(self.world.share(random.get_state()))


def _described(tensors):
    """{name: what a tensor must have in common with that of the other ranks}; ranks also match them by their order."""
    return {
        name: f"{'trained ' if tensor.requires_grad else ''}{tensor.data.dtype} {tensor.data.shape} in place {i}"
        for i, (name, tensor) in enumerate(tensors.items())
    }


def _own_part(model):
    """The ids of the parameters and buffers of which each rank has a part of its own."""
    parts = [module for module in model.modules() if getattr(module, "own_part", False)]
    return {id(tensor) for part in parts for tensor in (*part.parameters(), *part.buffers())}


def _check_gradients(parameters, send, shards):
    """That such gradients can be sent like this."""
    for parameter in parameters:
        check_send(parameter.data, send, "DataParallel: send")
    if shards is not None and send != "float32":
        raise ValueError("DataParallel: shards keep every bit of the sums, send='bfloat16' does not; leave one out")


def _checked_shards(shards, ranks):
    shards = whole("DataParallel", "shards", shards)
    if shards & (shards - 1):
        raise ValueError(f"DataParallel: shards must be a power of two, not {shards}")
    if shards % ranks:
        raise ValueError(
            f"DataParallel: {shards} shards cannot be shared out to {ranks} ranks; start 1, 2, 4 ... ranks"
        )
    return shards
