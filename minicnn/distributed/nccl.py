"""Several GPUs, by NCCL: arrays go from GPU to GPU, and the processor only says so. Each process has one GPU.

A GPU works through queues, *streams*; to queue a call takes no waiting. The calls of ops go to the stream of the
kernels: what is queued behind them finds the result. The sums of gradients have a stream and a communicator of their
own, and go on beside the kernels of backward; an event is a mark in a stream that another can wait for:

    stream of the kernels   ... fc8 backward | event . fc7 backward . conv5 backward ...  wait | update
    side stream                                wait | allReduce of fc8's bucket | event ----'

So in a step the processor never waits for a GPU. CuPy's memory goes by streams, too: an array that is freed is given
out again at once to the kernels, whatever another stream still does with it. ``SideSum`` keeps it until ``wait()``.

MPI hands NCCL's ids round. Without a GPU, the emulated_*.py beside this file stand in for ``cupy.cuda``.
"""

import os
import platform
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..device import DeviceError, array_module
from ..emulated import EmulatedArray, emulating, on_device
from ..types import Array, Shape
from . import emulated_cuda, emulated_nccl
from .bfloat16 import check_send, pack, unpack
from .ending import on_all_ranks
from .ranks import World

DTYPES = {  # NCCL's names of them
    np.dtype(np.float32): "NCCL_FLOAT32",
    np.dtype(np.float64): "NCCL_FLOAT64",
    np.dtype(np.int32): "NCCL_INT32",
    np.dtype(np.int64): "NCCL_INT64",
    np.dtype(np.uint8): "NCCL_UINT8",
}


class Place(NamedTuple):
    """Where a rank works."""

    machine: str
    gpu: str  # its number on the PCI bus, which no other GPU of the machine has
    boot: str = ""  # the machine's number since it was started: two may have one name
    missing: str = ""  # what the rank lacks


def check_places(places: list[Place]) -> None:
    """DeviceError, the same on every rank, if one lacks something or two have the same GPU, which NCCL refuses."""
    error = None
    for rank, place in enumerate(places):
        first = places.index(place)
        if place.missing:
            error = f"rank {rank} of {len(places)} on {place.machine}: {place.missing}"
        elif first < rank:
            what = f"ranks {first} and {rank} of {len(places)} are on the same GPU ({place.gpu} of {place.machine})"
            advice = "start as many on a machine as it has GPUs (mpiexec -n), and hide none (CUDA_VISIBLE_DEVICES)"
            error = f"{what}; NCCL needs one for each: {advice}"
        if error:
            raise on_all_ranks(DeviceError(error))


class SideSum:
    """A sum on its way, on the side stream; it holds its array until somebody has waited."""

    def __init__(self, cuda: Any, array: Array, sent: Array, arrived: Any) -> None:
        self._cuda, self._array, self._sent, self._arrived = cuda, array, sent, arrived

    def wait(self) -> None:
        """What the kernels' stream is given from now on finds the sum in the array."""
        if self._arrived is None:
            return
        self._cuda.get_current_stream().wait_event(self._arrived)
        if self._sent is not self._array:
            unpack(self._sent, out=self._array)
        self._array = self._sent = self._arrived = None  # type: ignore[assignment]


class Nccl:
    """What ranks.py says of ``World``, for arrays on "cuda"."""

    def __init__(self, world: World) -> None:
        self.rank, self.size = world.rank, world.size
        self._cuda, self._nccl, missing = _libraries()
        gpu = "" if missing else self._cuda.Device().pci_bus_id
        check_places(world.gather_values(Place(platform.node(), gpu, _boot(), missing)))
        # Two communicators on one GPU could wait for each other's place on it, each holding what the other needs. With
        # this (NCCL 2.26) a GPU begins with their calls as the program makes them: in one order on all ranks
        os.environ.setdefault("NCCL_LAUNCH_ORDER_IMPLICIT", "1")
        self._ops, self._sums = self._communicator(world), self._communicator(world)
        self._side = self._cuda.Stream(non_blocking=True)  # others take turns with the null stream, the kernels'

    def sum(self, array: Array) -> Array:
        """As World.sum."""
        array, total = _contiguous(array), _empty(array, array.shape)
        if array.size:
            count, dtype = array.size, self._dtype("sum", array)
            self._ops.allReduce(_address(array), _address(total), count, dtype, self._nccl.NCCL_SUM, self._stream)
        return total

    def start_sum(self, array: Array, send: str = "float32") -> SideSum:
        """As World.start_sum."""
        check_send(array, send)
        if not array.flags.c_contiguous:
            raise ValueError(f"start_sum: the array of shape {array.shape} has gaps; give one that is contiguous")
        narrow = send == "bfloat16"
        sent = pack(array) if narrow else array
        dtype = self._nccl.NCCL_BFLOAT16 if narrow else self._dtype("start_sum", array)
        self._side.wait_event(self._mark(self._cuda.get_current_stream()))
        if array.size:
            place = _address(sent)
            self._sums.allReduce(place, place, sent.size, dtype, self._nccl.NCCL_SUM, self._side.ptr)
        return SideSum(self._cuda, array, sent, self._mark(self._side))

    def gather(self, array: Array) -> Array:
        """As World.gather."""
        array, rows = _contiguous(array), _empty(array, (self.size, *array.shape))
        if array.size:
            dtype = self._dtype("gather", array)
            self._ops.allGather(_address(array), _address(rows), array.size, dtype, self._stream)
        return rows

    def scatter_sum(self, array: Array) -> Array:
        """As World.scatter_sum."""
        array, row = _contiguous(array), _empty(array, array.shape[1:])
        if array.size:
            count, dtype = row.size, self._dtype("scatter_sum", array)
            self._ops.reduceScatter(_address(array), _address(row), count, dtype, self._nccl.NCCL_SUM, self._stream)
        return row

    def exchange(self, array: Array) -> Array:
        """As World.exchange."""
        array, received = _contiguous(array), _empty(array, array.shape)
        if array.size:
            count, dtype, stream = array.size // self.size, self._dtype("exchange", array), self._stream
            theirs, mine = _address(array), _address(received)
            self._nccl.groupStart()  # all at once: one after the other, all ranks would wait for one another
            for rank in range(self.size):
                begin = rank * count * array.itemsize
                self._ops.send(theirs + begin, count, dtype, rank, stream)
                self._ops.recv(mine + begin, count, dtype, rank, stream)
            self._nccl.groupEnd()
        return received

    def broadcast(self, array: Array) -> Array:
        """As World.broadcast."""
        result = array.copy(order="C")
        if array.size:
            place, dtype = _address(result), self._dtype("broadcast", array)
            self._ops.broadcast(place, place, result.size, dtype, 0, self._stream)
        return result

    def _communicator(self, world):
        unique_id = world.on_rank_0(self._nccl.get_unique_id)
        return self._nccl.NcclCommunicator(self.size, unique_id, self.rank)

    @property
    def _stream(self):
        return self._cuda.get_current_stream().ptr

    def _mark(self, stream):
        event = self._cuda.Event(disable_timing=True)
        event.record(stream)
        return event

    def _dtype(self, method, array):
        if array.dtype not in DTYPES:
            raise TypeError(f"{method}: arrays on 'cuda' travel as {', '.join(map(str, DTYPES))}, not as {array.dtype}")
        return getattr(self._nccl, DTYPES[array.dtype])


def _libraries():
    """(what has cupy.cuda's names, what has cupy.cuda.nccl's, what is missing)"""
    if emulating():
        return emulated_cuda, emulated_nccl, ""
    import cupy  # an optional package: whoever comes here has an array of it
    from cupy.cuda import nccl  # by itself: cupy.cuda has it only then

    way_out = "install nvidia-nccl-cu12 or nvidia-nccl-cu13, the one that fits CuPy's package"
    return cupy.cuda, nccl, "" if nccl.available else f"CuPy {cupy.__version__} finds no NCCL; {way_out}"


def _boot():
    """Linux's number of the machine's start; elsewhere nothing."""
    path = Path("/proc/sys/kernel/random/boot_id")
    return path.read_text().strip() if path.exists() else ""


def _contiguous(array):
    return array if array.flags.c_contiguous else array.copy(order="C")


def _empty(like: Array, shape: Shape) -> Array:
    array = array_module(like).empty(shape, like.dtype)
    return on_device(array) if isinstance(like, EmulatedArray) else array


def _address(array):
    return emulated_cuda.address(array) if isinstance(array, EmulatedArray) else array.data.ptr
