"""What a launch reads and writes, access by access, and what a GPU would make of it.

    with recording() as launches:
        multiply(a, b, kernel="matmul_naive")
    of_a = launches[0].reads("a")      # one row for each time that a thread reads a: offset, bytes, block, thread
    of_a["bytes"].sum(), SECTOR * sectors(of_a)

A GPU does not see single threads: the 32 of a warp make the same step at once, a *request*. Global memory is fetched in
*sectors* of 32 bytes. Shared memory has 32 *banks* of 4 bytes: in one turn each gives one number (to as many threads as
want that one), so that a request of different numbers of one bank takes several turns. And what a thread has read, it
keeps in a register. Whether the host's compiler does so, too, depends on the compiler: `loaded_bytes` does not.
Source: CUDA C++ Programming Guide, "Device Memory Accesses" and "Shared Memory"
"""

import ctypes
from typing import NamedTuple

import numpy as np

from minicnn.device import DeviceError
from minicnn.emulated import emulating
from minicnn.switch import Block, PerThread

WARP, SECTOR, BANKS, WORD = 32, 32, 32, 4  # threads; bytes; banks of shared memory, and their bytes
LIMIT = 1 << 23  # accesses of one launch: 320 MB

_RECORD = np.dtype(  # Record of runtime.h
    [
        ("offset", np.uint64),  # in bytes, from the array's beginning
        ("block", np.uint64),  # counted from 0 in the grid, x fastest
        ("instruction", np.uint32),
        ("bytes", np.uint32),
        ("epoch", np.uint32),  # grows at each block's start and at each __syncthreads
        ("thread", np.uint16),  # counted from 0 in its block, x fastest
        ("array", np.uint16),  # its place among the launch's names
        ("write", np.bool_),
        ("shared", np.bool_),
    ],
    align=True,
)
_launches = PerThread(None)  # the list of the innermost `with recording()` block; None outside


class Launch(NamedTuple):
    """A launch that ran to its end: the names of its parameters and shared arrays, and its accesses, a row for each.

    Blocks come one after the other, and in a block the threads in turn, each up to its next barrier.
    """

    kernel: str
    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    names: list[str]
    accesses: np.ndarray

    def reads(self, array: str) -> np.ndarray:
        """The rows of the reads from the array of that name."""
        return self._of(array, False)

    def writes(self, array: str) -> np.ndarray:
        """The rows of the writes to it; an atomic operation is a write."""
        return self._of(array, True)

    def _of(self, array, write):
        if array not in self.names:
            raise ValueError(f"{self.kernel} has no array {array!r}; it has {', '.join(self.names)}")
        is_it = self.accesses["array"] == self.names.index(array)
        return self.accesses[is_it & (self.accesses["write"] == write)]


class recording(Block):
    """``with recording() as launches: ...`` puts each launch of this thread into the list; DeviceError on a GPU.

    A launch of more than LIMIT accesses is a KernelError.
    """

    def __init__(self) -> None:
        super().__init__(_launches, [])

    def __enter__(self) -> list[Launch]:
        if not emulating():
            raise DeviceError("recording: accesses are seen by the emulator alone; set MINICNN_EMULATE_GPU=1")
        super().__enter__()
        return self._value


def wanted() -> bool:
    """Whether this thread's launches are recorded now."""
    return _launches.value is not None


def keep(emulator, kernel, grid, block, parameters, failed) -> None:
    """Put what the emulator's library has recorded into the list, unless the launch failed; the library forgets it."""
    count = ctypes.c_uint64()
    emulator.emulator_records.restype, emulator.emulator_shared_name.restype = ctypes.c_void_p, ctypes.c_char_p
    address = emulator.emulator_records(ctypes.byref(count))
    if not failed:
        recorded = (ctypes.c_char * (count.value * _RECORD.itemsize)).from_address(address)
        rows = np.frombuffer(recorded, _RECORD).copy()
        numbers = np.unique(rows["array"][rows["shared"]])
        shared = [emulator.emulator_shared_name(int(number)).decode() for number in numbers]
        # shared arrays come after the parameters
        rows["array"][rows["shared"]] = len(parameters) + np.searchsorted(numbers, rows["array"][rows["shared"]])
        _launches.value.append(Launch(kernel, grid, block, [*parameters, *shared], rows))
    emulator.emulator_forget(ctypes.c_uint64(LIMIT))


def requests(accesses: np.ndarray) -> np.ndarray:
    """For each row the number of its request: one instruction, at one time, in threads of one warp."""
    _, instruction = np.unique(accesses["instruction"], return_inverse=True)
    stream = _numbers(accesses["block"], accesses["thread"], instruction)  # one instruction in one thread
    order = np.argsort(stream, kind="stable")  # stream after stream, each in the order of time
    place, ordered = np.arange(len(order)), stream[order]
    begins = np.concatenate([[True], ordered[1:] != ordered[:-1]])[: len(order)]
    time = np.empty(len(order), np.int64)  # how often the thread had come by before
    time[order] = place - np.maximum.accumulate(np.where(begins, place, 0))
    return _numbers(accesses["block"], accesses["thread"] // WARP, instruction, time)


def sectors(accesses: np.ndarray) -> int:
    """How many sectors of global memory the requests fetch: each one that a request touches, once."""
    request, touched = _pieces(requests(accesses), accesses, SECTOR)
    return len(np.unique(_numbers(request, touched)))


def turns(accesses: np.ndarray) -> int:
    """How many turns of the banks the requests to shared memory take: for each, the most words wanted of one bank.

    Of 8 bytes for each thread a request is two, of 16 threads each, of 16 bytes four. (Where both want the same, a GPU
    may join them again.)
    """
    threads = WARP * WORD // max(int(accesses["bytes"].max(initial=WORD)), WORD)  # that are served together
    request, word = _pieces(_numbers(requests(accesses), accesses["thread"] % WARP // threads), accesses, WORD)
    _, once = np.unique(_numbers(request, word), return_index=True)  # one word goes to all who want it
    _, request = np.unique(request[once], return_inverse=True)  # from 0
    wanted = np.zeros((int(request.max(initial=-1)) + 1, BANKS), np.int64)  # words of each bank
    np.add.at(wanted, (request, word[once] % BANKS), 1)
    return int(wanted.max(axis=1).sum())


def loaded_bytes(accesses: np.ndarray) -> int:
    """How many bytes the threads load, in words of 4; one read again before the next barrier is still in a register."""
    thread, word = _pieces(_numbers(accesses["epoch"], accesses["thread"]), accesses, WORD)
    return WORD * len(np.unique(_numbers(thread, word)))


def _pieces(owner, accesses, size):
    """(owner, piece of `size` bytes) of each piece that an access touches."""
    first, last = accesses["offset"] // size, (accesses["offset"] + accesses["bytes"] - 1) // size
    most = int((last - first).max(initial=0)) + 1  # of one access
    piece = np.concatenate([np.minimum(first + i, last) for i in range(most)])  # the last one of few again: no harm
    return np.tile(owner, most), piece.astype(np.int64)


def _numbers(*columns):
    """For each row a number that no other combination of values has."""
    number, count = np.zeros(len(columns[0]), np.int64), 1
    for column in columns:
        values = int(column.max(initial=0)) + 1
        if count * values >= 1 << 63:
            found, number = np.unique(number, return_inverse=True)
            count = len(found)
        number, count = number * values + column.astype(np.int64), count * values
    return number
