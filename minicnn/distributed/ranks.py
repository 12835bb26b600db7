"""The processes that train together: who this one is, and how arrays and values go from one to another.

    w = world()                      # of this process; the same object every time (current.py)
    w.rank, w.size                   # 0, 1 where nobody has started more, as `mpiexec -n 4 python ...` does
    total = w.sum(array)             # the sum of every rank's array, on every rank

"Rank" is MPI's word for the number of a process. Each method below that moves something is *collective*: every rank
calls it, in the same order, or all wait for the one that does not. One process needs no MPI, and none is imported: a
``World`` of size 1 is this file alone, and each of its methods gives back what it was given.

Arrays in memory travel by MPI (mpi.py), arrays on a GPU by NCCL (nccl.py); values of Python are pickled.
"""

import os
from collections.abc import Callable
from typing import Any, Protocol

from .. import console
from ..types import Array


class Sending(Protocol):
    """A sum on its way."""

    def wait(self) -> None:
        """Come back when the array holds the sum; on a GPU: what is queued from now on finds it."""


class Sent:
    """One that has arrived."""

    def wait(self) -> None:
        """Nothing."""


class World:
    """One process by itself; the methods of several (``Ranks``, mpi.py) have the same names."""

    rank, size = 0, 1
    local_rank, local_size = 0, 1  # among those on the same machine

    @property
    def is_main(self) -> bool:
        """Whether this is rank 0: who writes files and lines on the screen."""
        return self.rank == 0

    @property
    def part(self) -> tuple[int, int]:
        """(rank, size): which part of each batch is this rank's; for ``DataLoader(..., part=)``."""
        return self.rank, self.size

    def sum(self, array: Array) -> Array:
        """The sum of all ranks' arrays, of one shape and dtype. The same bits on every rank."""
        return array

    def start_sum(self, array: Array, send: str = "float32") -> Sending:
        """Begin to put the sum of all ranks' arrays in this one's place; nobody may touch it before ``.wait()``.

        In memory these sums have a channel of their own: other calls may come in between, in another order on another
        rank. On GPUs all ranks make all calls in one order.
        send: "bfloat16" sends float32 from GPU to GPU as such: half the bytes, 8 bits of precision."""
        return Sent()

    def gather(self, array: Array) -> Array:
        """(size, *shape): every rank's array, of one shape and dtype, in the order of the ranks."""
        return array[None]

    def scatter_sum(self, array: Array) -> Array:
        """array (size, *shape) -> (*shape): the sum over ranks of the row that has this rank's number."""
        return array[0]

    def exchange(self, array: Array) -> Array:
        """array (size, *shape) -> (size, *shape): its row r goes to rank r; row r of the result comes from there."""
        return array

    def broadcast(self, array: Array) -> Array:
        """Rank 0's array; the others give one of its shape and dtype."""
        return array

    def share(self, value: Any) -> Any:
        """Rank 0's value, for all; what the others give is ignored. Values go by pickle."""
        return value

    def gather_values(self, value: Any) -> list[Any]:
        """Every rank's value, in the order of the ranks."""
        return [value]

    def on_rank_0(self, function: Callable[..., Any], *args: Any, **keywords: Any) -> Any:
        """What function(...) returns on rank 0, for all; it runs nowhere else. What it raises there, all raise."""
        return function(*args, **keywords)

    # For trouble. These are not collective

    def meet(self, value: Any, seconds: float, channel: int = 0) -> dict[int, Any]:
        """{rank: value} of all ranks that come here, to this channel, within so many seconds; nobody waits longer."""
        return {0: value}

    def abort(self, code: int) -> None:
        """End the processes of all ranks now, with this exit code. What there is to say has been said before."""
        console.stdout.flush()
        os._exit(code)
