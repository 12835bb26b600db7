"""Streams and events without a GPU: the little of ``cupy.cuda`` that nccl.py uses, by the same names.

Kernels of the emulated GPU are done when they return, so the null stream, theirs, has nothing to wait for. What is
queued on another stream is done as late as it may be: when someone waits for an event behind it. So what is read too
early is wrong here, too, each time.

Faults that a GPU passes over in silence are errors: waiting for an event that was never recorded, queueing work on a
stream that has not waited for its data, an address of the host's memory.
"""

import itertools
import os
import weakref
from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

import numpy as np

from ..emulated import EmulatedArray
from ..types import Array, DTypeLike


class CudaError(RuntimeError):
    """What a GPU would answer with wrong numbers, or with nothing."""


class Work(Protocol):
    """Something queued on a stream."""

    done: bool

    def finish(self) -> None:
        """Do it, unless it is done."""


class Stream:
    """A queue; ``ptr`` is its address, 0 that of the null stream."""

    null: "Stream"

    def __init__(
        self, null: bool = False, non_blocking: bool = False, ptds: bool = False, priority: int | None = None
    ) -> None:
        if not (null or non_blocking):
            raise CudaError("a stream without non_blocking=True takes turns with the null stream: nothing overlaps")
        self.ptr, self.queued = next(_addresses), list[Work]()
        self._has_waited = False  # since work was queued last
        _streams[self.ptr] = self

    def wait_event(self, event: "Event") -> None:
        """What is queued from now on comes after the event."""
        if event.before is None:
            raise CudaError("wait_event: the event was never recorded; a GPU would not wait at all")
        for work in event.before:
            work.finish()
        self._has_waited = True

    def queue(self, begin: Callable[[], Work]) -> None:
        """Begin with work: it is finished now on the null stream, later on another."""
        if self is Stream.null:
            begin().finish()
            return
        if not self._has_waited:
            raise CudaError("the stream has not waited for an event since its last work: its data may not be there yet")
        self._has_waited = False
        self.queued.append(begin())

    @staticmethod
    def at(ptr: int) -> "Stream":
        """The stream of that address."""
        if ptr not in _streams:
            raise CudaError(f"there is no stream at address {ptr}")
        return _streams[ptr]


_addresses = itertools.count()
_streams: weakref.WeakValueDictionary[int, Stream] = weakref.WeakValueDictionary()
Stream.null = Stream(null=True)


class Event:
    """A mark in a stream."""

    def __init__(self, block: bool = False, disable_timing: bool = False, interprocess: bool = False) -> None:
        self.before: list[Work] | None = None  # what must be done when somebody waits for it

    def record(self, stream: Stream | None = None) -> None:
        """Put it behind all that is queued on the stream."""
        stream = stream or Stream.null
        stream.queued = [work for work in stream.queued if not work.done]
        self.before = list(stream.queued)


def get_current_stream(device_id: int = -1) -> Stream:
    """That of the kernels."""
    return Stream.null


class Device:
    """The GPU: each process has one of its own."""

    @property
    def pci_bus_id(self) -> str:
        """Which one it is."""
        return f"emulated, of process {os.getpid()}"


# Memory


class Buffer(NamedTuple):
    """So many numbers of an array on "cuda", which it does not keep alive, as an address does not."""

    array: "weakref.ref[EmulatedArray]"
    first: int
    size: int

    def numbers(self) -> Array:
        """Them, as a NumPy array of the same memory."""
        array = self.array()
        if array is None:
            raise CudaError("an array was freed while it was still to be read or written; keep it until wait()")
        return array.view(np.ndarray).reshape(-1)[self.first : self.first + self.size]

    def overlaps(self, other: "Buffer") -> bool:
        """Whether they share numbers."""
        return bool(self.size and other.size) and np.shares_memory(self.numbers(), other.numbers())


_arrays: dict[int, "weakref.ref[EmulatedArray]"] = {}  # by id, the newest last


def address(array: EmulatedArray) -> int:
    """Where it begins: ``array.data.ptr`` of CuPy's, 0 if it has no numbers."""
    if not array.size:
        return 0
    key = id(array)
    _arrays.pop(key, None)
    _arrays[key] = weakref.ref(array, lambda gone: _arrays.pop(key) if _arrays.get(key) is gone else None)
    return array.ctypes.data


def buffer(what: str, ptr: int, count: int, dtype: DTypeLike) -> Buffer:
    """The `count` numbers at that address. CudaError if they are not all in an array of this dtype on "cuda"."""
    for reference, array in _living():
        offset = ptr - array.ctypes.data
        if 0 <= offset < max(1, array.nbytes):
            first, within = divmod(offset, array.itemsize)
            if array.dtype != dtype or within:
                raise CudaError(f"{what}: numbers of dtype {np.dtype(dtype)} at an array of {array.dtype}")
            if not array.flags.c_contiguous:
                raise CudaError(f"{what}: the array of shape {array.shape} has gaps; an address means numbers in a row")
            if first + count > array.size:
                raise CudaError(f"{what}: {count} numbers from number {first} on of an array of {array.size}")
            return Buffer(reference, first, count)
    raise CudaError(f"{what}: no array on device 'cuda' at address {ptr:#x}; is it the host's memory?")


def _living() -> Iterator[tuple["weakref.ref[EmulatedArray]", EmulatedArray]]:
    for reference in reversed(list(_arrays.values())):
        array = reference()
        if array is not None:
            yield reference, array
