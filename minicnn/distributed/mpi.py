"""Several processes, by MPI: arrays in memory and values of Python go from rank to rank.

mpi4py's methods with a capital letter (Allreduce) move the memory of arrays, those without one (bcast) pickle.
The calls of ops, the sums of gradients and the values travel by a communicator each: MPI matches calls of one
communicator by their order alone, and a gradient may be complete sooner on one rank than on another.
"""

import contextlib
import functools
import os
import pickle
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import console
from ..device import device_of
from ..types import Array
from .bfloat16 import check_send
from .ending import end_by_traceback, on_all_ranks
from .launch import Launch
from .ranks import Sending, World
from .start import share_cores, start


class Ranks(World):
    """The processes of one mpiexec."""

    def __init__(self, started: Launch) -> None:
        self._mpi = MPI = start(started)
        share_cores()
        self.values = MPI.COMM_WORLD
        self.ops, self.gradients, self.trouble = (self.values.Dup() for _ in range(3))
        self.rank, self.size = self.values.rank, self.values.size
        here = self.values.Split_type(MPI.COMM_TYPE_SHARED)  # those with which this one could share memory
        self.local_rank, self.local_size = here.rank, here.size
        sys.excepthook = end_by_traceback(self)  # or a rank that raises would let the others wait
        if not self.is_main:
            console.silence()

    def sum(self, array: Array) -> Array:
        if device_of(array) == "cuda":
            return self.nccl.sum(array)
        result = np.empty(array.shape, array.dtype)
        self.ops.Allreduce(np.ascontiguousarray(array), result)
        return result

    def start_sum(self, array: Array, send: str = "float32") -> Sending:
        if device_of(array) == "cuda":
            return self.nccl.start_sum(array, send)
        check_send(array, send)
        return _Request(self.gradients.Iallreduce(self._mpi.IN_PLACE, array))

    def gather(self, array: Array) -> Array:
        if device_of(array) == "cuda":
            return self.nccl.gather(array)
        result = np.empty((self.size, *array.shape), array.dtype)
        self.ops.Allgather(np.ascontiguousarray(array), result)
        return result

    def scatter_sum(self, array: Array) -> Array:
        self._check_rows("scatter_sum", array)
        if device_of(array) == "cuda":
            return self.nccl.scatter_sum(array)
        result = np.empty(array.shape[1:], array.dtype)
        self.ops.Reduce_scatter_block(np.ascontiguousarray(array), result)
        return result

    def exchange(self, array: Array) -> Array:
        self._check_rows("exchange", array)
        if device_of(array) == "cuda":
            return self.nccl.exchange(array)
        result = np.empty(array.shape, array.dtype)
        self.ops.Alltoall(np.ascontiguousarray(array), result)
        return result

    def broadcast(self, array: Array) -> Array:
        if device_of(array) == "cuda":
            return self.nccl.broadcast(array)
        result = np.array(array, order="C")
        self.ops.Bcast(result)
        return result

    def share(self, value: Any) -> Any:
        return self.values.bcast(value)

    def gather_values(self, value: Any) -> list[Any]:
        return self.values.allgather(value)

    def on_rank_0(self, function: Callable[..., Any], *args: Any, **keywords: Any) -> Any:
        result = error = None
        if self.is_main:
            try:
                result = function(*args, **keywords)
            except Exception as raised:  # the others would wait for a result that never comes
                error = raised
        found, told = self.share((result, None if error is None else _to_be_pickled(error)))
        if told is not None:
            raise on_all_ranks(told if error is None else error)  # rank 0's has the lines where it was raised
        return found

    def meet(self, value: Any, seconds: float, channel: int = 0) -> dict[int, Any]:
        others = [rank for rank in range(self.size) if rank != self.rank]
        sent = [self.trouble.isend(value, rank, channel) for rank in others]  # waits for nobody to take it
        present, end = {self.rank: value}, time.monotonic() + seconds
        while time.monotonic() < end:
            message = self.trouble.improbe(tag=channel)
            if message is not None:
                status = self._mpi.Status()
                theirs = message.recv(status)
                present[status.Get_source()] = theirs
            elif len(present) == self.size and self._mpi.Request.Testall(sent):  # the others know as much
                break
            else:
                time.sleep(0.002)
        return dict(sorted(present.items()))

    def abort(self, code: int) -> None:
        console.stdout.flush()
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # why has been said; MPI would add lines of its own
        self.values.Abort(code)

    @functools.cached_property
    def nccl(self) -> Any:
        """The carrier of arrays on the GPU, made when the first one is to be sent."""
        from .nccl import Nccl

        return Nccl(self)

    def _check_rows(self, op, array):
        if array.ndim == 0 or len(array) != self.size:
            what = f"{op}: the array of shape {array.shape} must have a row for each of the {self.size} ranks"
            raise ValueError(f"{what}; give it the shape ({self.size}, ...)")


class _Request:
    def __init__(self, request):
        self._request = request

    def wait(self) -> None:
        self._request.Wait()


def _to_be_pickled(error):
    """The error, or, where it is of a class that cannot be pickled or made anew, one with its text."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error
