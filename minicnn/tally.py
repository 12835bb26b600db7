"""What a program asks of device "cuda", counted where that device is emulated (``kernels/cuda/counting.py``).

Emulated arrays, the dispatch and the launches report to the tally of their thread, if there is one. On a GPU each thing
counted takes the processor some microseconds, waits for the GPU, or takes memory.
"""

import weakref
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

from .switch import PerThread


class Tally:
    """What was asked for since it was made, or since ``reset()``.

    launches          {kernel: how often}: the kernels of this project
    library           {function: how often}: calls of the array library that would be launches
    waits             how often the host waited for a value; bytes_to_host of them
    uploads           copies from the host to the device; uploaded_bytes of them
    arrays            how many arrays found new memory, or memory that is free again; array_bytes of them
    grown             by how many bytes the most memory that is in use at one time has grown: what a pool that keeps
                      what is freed asks of the driver (were memory without gaps)
    """

    def __init__(self, execute: bool) -> None:
        self.execute = execute
        self._in_use = self._most = 0  # bytes
        self._owners: dict[int, int] = {}  # {id of an array that has memory: bytes}, while it lives
        self._functions = 0  # of the array library, in which this thread is
        self.reset()

    def reset(self) -> None:
        """Count from 0 again; what is in use stays known."""
        self.launches: Counter[str] = Counter()
        self.library: Counter[str] = Counter()
        self.waits = self.bytes_to_host = self.uploads = self.uploaded_bytes = self.arrays = self.array_bytes = 0
        self._before = self._most

    @property
    def all_launches(self) -> int:
        """Of this project's kernels and of the array library's."""
        return self.launches.total() + self.library.total()

    @property
    def grown(self) -> int:
        """See above."""
        return self._most - self._before

    def launched(self, kernel: str, run: Callable[[], None]) -> None:
        """A kernel is launched, which ``run()`` executes."""
        self.launches[kernel] += 1
        if self.execute:
            run()

    def computed(self, function: str, again: Callable[[], Any] | None, result: Any = None) -> None:
        """The array library has computed `result`, or written where nobody need be told. ``again()`` computes it once
        more; None: nobody knows how."""
        self.library[function] += 1

    def copied_to_host(self, size: int) -> None:
        """The host has waited for so many bytes."""
        self.waits += 1
        self.bytes_to_host += size

    def uploaded(self, size: int) -> None:
        """So many bytes were copied to the device."""
        self.uploads += 1
        self.uploaded_bytes += size

    def made(self, array: np.ndarray, of_device: bool) -> None:
        """There is a new emulated array; `of_device`: made of another one."""
        if not of_device:
            self._takes_memory(array)
        elif array.base is None:  # else a view of it
            self._takes_memory(array)
            if not self._functions:  # copy, astype, a reshape that cannot be a view
                self.computed("copy", None)

    def indexed(self, array: np.ndarray, index: Any, result: Any) -> None:
        """``array[index]`` is `result`: numbers picked by an array of indices, or of booleans, are no view."""
        if isinstance(result, np.ndarray) and result.size and not np.may_share_memory(array, result):
            self.computed("index", lambda: array[index], result)
            self._takes_memory(result)
            if any(getattr(part, "dtype", None) == "bool" for part in _flat(index)):
                self.copied_to_host(8)  # how many there are

    def _takes_memory(self, array):
        owner: Any = array
        while isinstance(owner.base, np.ndarray):
            owner = owner.base
        if id(owner) in self._owners:
            return
        self.arrays += 1
        self.array_bytes += owner.nbytes
        self._in_use += owner.nbytes
        self._most = max(self._most, self._in_use)
        self._owners[id(owner)] = owner.nbytes
        weakref.finalize(owner, self._freed, id(owner)).atexit = False

    def _freed(self, owner):
        self._in_use -= self._owners.pop(owner)

    def call(self, function: Any, of: tuple[Any, ...], options: dict[str, Any], run: Any) -> Any:
        """``run()``, which calls a function of the array library with the arguments `of` and `options`.

        It is a launch unless what it calls in turn were launches already, or its results are parts of its arguments.
        """
        before = self.library.total()
        self._functions += 1
        try:
            result = run()
        finally:
            self._functions -= 1
        given = [a for a in _flat((of, list(options.values()))) if isinstance(a, np.ndarray)]
        results = [a for a in _flat(result) if isinstance(a, np.ndarray)]
        new = any(not any(np.may_share_memory(a, b) for b in given) for a in results)
        if self.library.total() == before and (new or function is np.copyto) and function is not np.empty_like:
            self.computed(function.__name__, run, result)
        return result


def _flat(values):
    if isinstance(values, (list, tuple)):
        for value in values:
            yield from _flat(value)
    else:
        yield values


_tally = PerThread(None)  # that of the innermost `with counting()` block of this thread; None outside


def tally() -> Tally | None:
    """The tally of this thread."""
    return _tally.value


def launch(kernel: str, run: Callable[[], None]) -> None:
    """A kernel is to be launched on the emulated device: ``run()`` executes it."""
    if (found := _tally.value) is None:
        run()
    else:
        found.launched(kernel, run)
