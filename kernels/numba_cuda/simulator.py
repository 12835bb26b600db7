"""``cuda``, as a kernel sees it, without a GPU: Python runs every thread, and the threads of a block take turns.

Thread (0, 0, 0) runs up to its first barrier, then thread (1, 0, 0), and so on; when all stand there, the first goes
on. So a run repeats, and a barrier that is missing shows wherever a thread reads what a later one writes. Reported,
with the line, the block and the thread: an index beyond the array, or below 0; a barrier that not all threads reach;
whatever else Python objects to. Shared and local memory begin as NaN (integers: -1): a GPU clears neither.

Numba has a simulator too (NUMBA_ENABLE_CUDASIM=1). There the threads run all at once and wait by asking again and
again: a test takes many times as long, and finds a missing barrier now and then.
"""

import inspect
import itertools
import math
import threading
import traceback
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np

from minicnn.device import KernelError


class Index(NamedTuple):
    """Where a thread block stands in its grid, a thread in its block; also how many there are along each axis."""

    x: int
    y: int = 1
    z: int = 1

    def __str__(self):
        return f"({self.x}, {self.y}, {self.z})"


class Memory(np.ndarray):
    """An array of which no negative index takes anything from the end."""

    def __getitem__(self, index):
        return super().__getitem__(_not_negative(index))

    def __setitem__(self, index, value):
        super().__setitem__(_not_negative(index), value)


class Thread:
    """A thread of a block. If it has barriers, it is one of the processor's that stands still but in its turns."""

    def __init__(self, index, body):
        self.index, self.body = index, body
        self.waits_at = self.error = None  # the place of the barrier; what went wrong
        self.done = self.stopped = False
        self.arrays = 0  # shared arrays it has asked for
        self.running = None
        self.my_turn, self.turn_over = threading.Lock(), threading.Lock()  # open once for each turn
        self.my_turn.acquire()
        self.turn_over.acquire()

    def take_turn(self):
        """Up to the next barrier or the end."""
        if self.running:
            self.my_turn.release()
        else:
            self.running = threading.Thread(target=self.run, daemon=True)
            self.running.start()
        self.turn_over.acquire()

    def run(self):
        """All of it, where it has no barriers."""
        try:
            with np.errstate(all="ignore"):  # a GPU goes on with infinity or NaN
                self.body()
        except (Exception, _Stop) as error:
            self.error = error
        self.done, self.waits_at = True, None
        if self.running:
            self.turn_over.release()

    def barrier(self, frame):
        """Stand still until the next turn; `frame` is who called."""
        if not self.running:
            raise RuntimeError("a barrier in a function that is called by another name than its own")
        self.waits_at = _place(frame.f_code.co_filename, frame.f_lineno)
        self.turn_over.release()
        self.my_turn.acquire()
        if self.stopped:
            raise _Stop

    def stop(self):
        """No other turn: leave the barrier."""
        if self.waits_at:
            self.stopped = True
            self.take_turn()


class _Stop(BaseException):
    pass


class Cuda:
    """The part of ``numba.cuda`` that kernels use."""

    def __init__(self):
        self.shared, self.local, self.atomic = _Shared(self), SimpleNamespace(array=_garbage), _Atomic
        self.gridDim = self.blockDim = self.blockIdx = self.thread = None
        self._one_at_a_time = threading.Lock()

    @property
    def threadIdx(self):
        """The thread whose turn it is, within its block."""
        return self.thread.index

    def grid(self, axes):
        """The thread's place among all threads of the grid."""
        places = [b * n + t for b, n, t in zip(self.blockIdx, self.blockDim, self.threadIdx, strict=True)]
        return places[0] if axes == 1 else tuple(places[:axes])

    def gridsize(self, axes):
        """How many threads the grid has along each axis."""
        sizes = [blocks * n for blocks, n in zip(self.gridDim, self.blockDim, strict=True)]
        return sizes[0] if axes == 1 else tuple(sizes[:axes])

    def syncthreads(self):
        """The barrier of a block."""
        self.thread.barrier(inspect.currentframe().f_back)

    def launch(self, function, grid, block, arguments):
        """Run a kernel; KernelError at the first mistake."""
        arguments = [_seen(argument) for argument in arguments]
        turn = Thread.take_turn if _has_barriers(function) else Thread.run
        with self._one_at_a_time:
            self.gridDim, self.blockDim = Index(*grid), Index(*block)
            for place in _indices(self.gridDim):
                self.blockIdx = place
                self.shared.of_block = []
                threads = [Thread(index, lambda: function(*arguments)) for index in _indices(self.blockDim)]
                try:
                    self._run_block(function.__name__, threads, turn)
                finally:
                    for thread in threads:
                        thread.stop()

    def _run_block(self, name, threads, turn):
        where = f"of block {self.blockIdx}"
        while not threads[-1].done:
            for thread in threads:
                self.thread = thread
                turn(thread)
                error = thread.error
                if error is not None:
                    frames = traceback.extract_tb(error.__traceback__)
                    frame = [f for f in frames if f.filename != __file__][-1]
                    place = _place(frame.filename, frame.lineno)
                    what = f"{type(error).__name__}: {error}"
                    raise KernelError(f"{name} ({place}): thread {thread.index} {where}: {what}") from error
            for one, other in itertools.pairwise(threads):
                if one.waits_at != other.waits_at:
                    does = [f"waits at {t.waits_at}" if t.waits_at else "has returned" for t in (one, other)]
                    raise KernelError(
                        f"{name}: a barrier that not every thread {where} reaches: "
                        f"thread {one.index} {does[0]}, thread {other.index} {does[1]}"
                    )


class _Shared:
    """``cuda.shared``: the n-th array that a thread asks for is the n-th of its block."""

    def __init__(self, cuda):
        self.cuda, self.of_block = cuda, []

    def array(self, shape, dtype):
        thread = self.cuda.thread
        if thread.arrays == len(self.of_block):
            self.of_block.append(_garbage(shape, dtype))
        thread.arrays += 1
        return self.of_block[thread.arrays - 1]


class _Atomic:
    @staticmethod
    def min(array, index, value):
        array[index] = min(array[index], value)


def _has_barriers(function):
    """Whether it, or a function that it calls, says ``syncthreads``."""
    names = function.__code__.co_names
    called = (function.__globals__.get(name) for name in names)
    return "syncthreads" in names or any(_has_barriers(f) for f in called if hasattr(f, "__code__"))


def _seen(argument):
    """An argument as the kernel sees it. (Python's own whole numbers are twice as fast as NumPy's.)"""
    if isinstance(argument, np.ndarray):
        return argument.view(Memory)
    return argument.item() if isinstance(argument, (np.int64, np.bool_)) else argument


def _indices(sizes):
    """Every Index of a grid or block, x the fastest."""
    return [Index(x, y, z) for z, y, x in itertools.product(*map(range, reversed(sizes)))]


def _garbage(shape, dtype):
    shape, dtype = shape if isinstance(shape, tuple) else (shape,), np.dtype(dtype)
    return np.frombuffer(bytearray(b"\xff" * (math.prod(shape) * dtype.itemsize)), dtype).reshape(shape).view(Memory)


def _not_negative(index):
    for i in index if isinstance(index, tuple) else (index,):
        if i < 0:
            raise IndexError(f"index {i} is below 0")
    return index


def _place(file, line):
    return f"{Path(file).name}:{line}"
