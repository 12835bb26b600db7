"""NCCL without GPUs: ``cupy.cuda.nccl`` over emulated arrays, with MPI in place of the wires.

The same calls with the same addresses, counts and codes, so that nccl.py runs as it does on GPUs, between real
processes. tests/distributed/test_nccl.py holds the signatures against CuPy's.

A call reads its numbers when it is queued, and its result lands when its stream gets to it (emulated_cuda.py). Until
then its memory is filled with bytes of ones, NaN in a float: who does not wait sees them, and who writes there is told.
"""

import functools
import itertools
import os
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..emulated import on_device
from ..types import Array
from .bfloat16 import pack, unpack
from .emulated_cuda import Buffer, Stream, buffer

available = True
NCCL_SUM = 0
NCCL_UINT8, NCCL_INT32, NCCL_INT64, NCCL_FLOAT32, NCCL_FLOAT64, NCCL_BFLOAT16 = 1, 2, 4, 7, 8, 9
DTYPES: dict[int, np.dtype[Any]] = {
    NCCL_UINT8: np.dtype(np.uint8),
    NCCL_INT32: np.dtype(np.int32),
    NCCL_INT64: np.dtype(np.int64),
    NCCL_FLOAT32: np.dtype(np.float32),
    NCCL_FLOAT64: np.dtype(np.float64),
    NCCL_BFLOAT16: np.dtype(np.uint16),  # its bits
}
ID_BYTES = 128
SAID = 80  # bytes, of what a call says of itself


class NcclError(RuntimeError):
    """What NCCL refuses, or would answer with wrong numbers or by waiting for ever."""


def get_version() -> int:
    """0: no release of NCCL."""
    return 0


def get_unique_id() -> bytes:
    """What a communicator is known by; rank 0 makes it, the others are told."""
    return os.urandom(ID_BYTES)


class _Call(NamedTuple):
    """A send or a receive: the stream, what begins with it, what lands where."""

    stream: Stream
    begin: Callable[[], Any]
    lands: list[tuple[Buffer, Callable[[], Array]]]


_groups: list[list[_Call]] = []  # the one that has begun, or none
_calls = itertools.count()  # of all communicators: all ranks must make them in one order, since two on a GPU share it


def groupStart() -> None:
    """Collect sends and receives."""
    if _groups:
        raise NcclError("groupStart: a group has begun already")
    _groups.append([])


def groupEnd() -> None:
    """Begin with all that were collected, those of one stream together."""
    if not _groups:
        raise NcclError("groupEnd without groupStart")
    calls = _groups.pop()
    next(_calls)
    for ptr in {call.stream.ptr for call in calls}:
        own = [call for call in calls if call.stream.ptr == ptr]
        lands = [pair for call in own for pair in call.lands]
        Stream.at(ptr).queue(functools.partial(_Exchange, [call.begin for call in own], lands))


class NcclCommunicator:
    """The ranks of one unique id."""

    def __init__(self, ndev: int, commId: bytes, rank: int, config: Any = None) -> None:
        from mpi4py import MPI  # importing it initialises MPI; who comes here has done so

        self._mpi = MPI.COMM_WORLD.Dup()
        ids = self._mpi.allgather(commId)
        if len(commId) != ID_BYTES or set(ids) != {commId}:
            raise NcclError("NcclCommunicator: all ranks must give the id that one of them got from get_unique_id()")
        if (ndev, rank) != (self._mpi.size, self._mpi.rank):
            raise NcclError(f"NcclCommunicator: rank {rank} of {ndev} is {self._mpi.rank} of {self._mpi.size} in MPI")
        self._size, self._rank = ndev, rank

    def allReduce(self, sendbuf: int, recvbuf: int, count: int, datatype: int, op: int, stream: int) -> None:
        """The sum of all ranks' numbers, on all ranks."""
        send, receive = _buffers("allReduce", datatype, (sendbuf, count), (recvbuf, count))
        if sendbuf != recvbuf:
            _refuse_overlap("allReduce", send, receive)
        self._collect(("allReduce", count, datatype), stream, send, receive, lambda rows: _sum(rows, datatype, op))

    def allGather(self, sendbuf: int, recvbuf: int, count: int, datatype: int, stream: int) -> None:
        """All ranks' numbers, one rank's after the other's."""
        send, receive = _buffers("allGather", datatype, (sendbuf, count), (recvbuf, count * self._size))
        if sendbuf != recvbuf + self._rank * count * DTYPES[datatype].itemsize:
            _refuse_overlap("allGather", send, receive)
        self._collect(("allGather", count, datatype), stream, send, receive, np.ravel)

    def reduceScatter(self, sendbuf: int, recvbuf: int, recvcount: int, datatype: int, op: int, stream: int) -> None:
        """The sum of all ranks' numbers, of which each rank gets one part."""
        what, count = "reduceScatter", recvcount * self._size
        send, receive = _buffers(what, datatype, (sendbuf, count), (recvbuf, recvcount))
        if recvbuf != sendbuf + self._rank * recvcount * DTYPES[datatype].itemsize:
            _refuse_overlap(what, send, receive)
        mine = slice(self._rank * recvcount, (self._rank + 1) * recvcount)
        self._collect((what, count, datatype), stream, send, receive, lambda rows: _sum(rows[:, mine], datatype, op))

    def broadcast(self, sendbuff: int, recvbuff: int, count: int, datatype: int, root: int, stream: int) -> None:
        """One rank's numbers, on all ranks."""
        send, receive = _buffers("broadcast", datatype, (sendbuff, count), (recvbuff, count))
        if sendbuff != recvbuff:
            _refuse_overlap("broadcast", send, receive)
        self._collect(("broadcast", count, datatype, root), stream, send, receive, lambda rows: rows[root])

    def send(self, sendbuf: int, count: int, datatype: int, peer: int, stream: int) -> None:
        """Numbers for one rank, which receives them in the same group."""
        (send,) = _buffers("send", datatype, (sendbuf, count))
        numbers = send.numbers().copy()
        _group("send").append(_Call(Stream.at(stream), lambda: (self._mpi.Isend(numbers, peer), numbers), []))

    def recv(self, recvbuf: int, count: int, datatype: int, peer: int, stream: int) -> None:
        """Numbers from one rank, which sends them in the same group."""
        (receive,) = _buffers("recv", datatype, (recvbuf, count))
        numbers = np.empty(count, DTYPES[datatype])
        begin = lambda: (self._mpi.Irecv(numbers, peer), numbers)  # noqa: E731
        _group("recv").append(_Call(Stream.at(stream), begin, [(receive, lambda: numbers)]))

    def _collect(self, call, stream, send, receive, result):
        """Begin to fetch all ranks' rows. Each has the call and its number in front, which must be the same."""
        if _groups:
            raise NcclError("the stand-in knows only send and recv in a group")
        numbers = send.numbers()
        said = f"{next(_calls)}: {call}".ljust(SAID).encode()
        sent = np.frombuffer(said + numbers.tobytes(), np.uint8)
        rows = np.empty((self._size, sent.size), np.uint8)

        def landing():
            every = [row[:SAID].tobytes().decode().strip() for row in rows]
            if len(set(every)) > 1:
                raise NcclError(f"the ranks' calls do not match, and may wait for ever: {'; '.join(every)}")
            return result(np.ascontiguousarray(rows[:, SAID:]).view(numbers.dtype))

        begin = lambda: (self._mpi.Iallgather(sent, rows), sent)  # noqa: E731
        Stream.at(stream).queue(functools.partial(_Exchange, [begin], [(receive, landing)]))


class _Exchange:
    """Messages on their way, and what of them lands where."""

    def __init__(self, begins, lands):
        for buffer_, _ in lands:
            if any(buffer_.overlaps(other) for work in _under_way for other, _ in work._lands):
                raise NcclError("an array is given to NCCL whose last sum is still under way; wait for its event first")
        self._lands, self.done = lands, False
        self._requests = [begin() for begin in begins]  # each with the memory that MPI reads or writes
        for buffer_, _ in lands:
            _bytes(buffer_).fill(0xFF)
        _under_way.append(self)

    def finish(self) -> None:
        """Wait for the messages; the results land."""
        if self.done:
            return
        for request, _ in self._requests:
            request.Wait()
        self.done = True
        _under_way.remove(self)
        for buffer_, result in self._lands:
            if (_bytes(buffer_) != 0xFF).any():
                raise NcclError("an array was written to while NCCL was about to; wait for the event first")
            buffer_.numbers()[:] = result()


_under_way: list[_Exchange] = []


def _bytes(buffer_):
    return buffer_.numbers().view(np.uint8)


def _buffers(what, datatype, *parts):
    if datatype not in DTYPES:
        raise NcclError(f"{what}: the stand-in has no datatype {datatype}")
    return [buffer(what, ptr, count, DTYPES[datatype]) for ptr, count in parts]


def _refuse_overlap(what, send, receive):
    if send.overlaps(receive):
        raise NcclError(f"{what}: the result lies across what is sent; it may lie in its place or apart from it")


def _group(what):
    if not _groups:
        raise NcclError(f"{what} outside of groupStart and groupEnd: all ranks would wait for one another")
    return _groups[0]


def _sum(rows, datatype, op):
    """In the order of the ranks, rounded after each addition, as by GPUs that stand in a ring."""
    if op != NCCL_SUM:
        raise NcclError(f"the stand-in has no operation {op}, only NCCL_SUM")
    return functools.reduce(_add_bfloat16 if datatype == NCCL_BFLOAT16 else np.add, rows)


def _add_bfloat16(a, b):
    wide = np.zeros((2, len(a)), np.float32)
    for bits, out in zip((a, b), wide, strict=True):
        unpack(on_device(bits), on_device(out))
    return pack(on_device(wide[0] + wide[1])).view(np.ndarray)
