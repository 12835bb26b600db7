"""Arrays in memory that is used again.

A large array that NumPy frees goes back to the operating system, and the next one is made of fresh pages, each of which
the system clears when it is first touched: for a loop that only streams through memory that is half its time. Here the
memory of an array goes back to a heap when the last view of it dies, and the next array lies there. Shapes repeat from
step to step, so after the first training step no page is fresh.

The heap hands out extents of large segments and joins what comes back to free neighbours. It takes the smallest free
extent that is large enough (best fit), so what nobody has touched yet, the end of the last segment, is cut last.

An array keeps its extent through ``base``, as every view does: array (or view) -> ... -> Block.
"""

import bisect
import collections
import math
import os
import threading

import numpy as np

SMALL = 1 << 15  # bytes below which NumPy's own memory does as well
PAGE = 1 << 12  # bytes; extents are whole pages
SEGMENT = 1 << 28  # bytes asked of the operating system at once; it provides a page when it is first touched


class Block:
    """An extent of the heap that some array lies in: the array's ``base`` (or the base of its base)."""

    __slots__ = ("__array_interface__", "extent", "heap")

    def __init__(self, heap, extent, shape, dtype):
        self.heap, self.extent = heap, extent
        data = extent[0], False
        self.__array_interface__ = {"data": data, "shape": shape, "typestr": dtype.str, "version": 3}

    def __del__(self):
        self.heap.returned.append(self.extent)


class Heap:
    """Segments of memory, cut into extents (address, bytes)."""

    def __init__(self):
        self.segments = []  # arrays of bytes
        self.free = []  # extents, sorted; no two of them touch
        self.returned = collections.deque()  # extents that arrays have left: appended to at any moment, from any thread
        self.lock = threading.RLock()

    def take(self, size):
        """An extent of `size` bytes."""
        with self.lock:
            self._collect()
            fitting = [(length, start) for start, length in self.free if length >= size]
            if not fitting:
                fitting = [self._grow(size)]
            length, start = min(fitting)  # best fit
            i = bisect.bisect_left(self.free, (start, length))  # its place in the list
            self.free[i : i + 1] = [(start + size, length - size)] if length > size else []
            return start, size

    def release(self):
        """Give the segments that no array lies in back to the operating system; returns how many bytes."""
        with self.lock:
            self._collect()
            whole = {id(segment) for segment in self.segments if _whole(segment) in self.free}
            gone = [segment for segment in self.segments if id(segment) in whole]
            self.segments = [segment for segment in self.segments if id(segment) not in whole]
            for segment in gone:
                self.free.remove(_whole(segment))
            return sum(segment.size for segment in gone)

    def _grow(self, size):
        try:
            segment = np.empty(max(size, SEGMENT) + 2 * PAGE, np.uint8)
        except MemoryError:  # then no more than is needed
            segment = np.empty(size + 2 * PAGE, np.uint8)
        self.segments.append(segment)
        start, length = _whole(segment)
        bisect.insort(self.free, (start, length))
        return length, start

    def _collect(self):
        """Make what was returned free, joined to the free extents that it touches."""
        while self.returned:
            start, length = self.returned.popleft()  # an address, bytes
            i = bisect.bisect(self.free, (start, length))
            if i < len(self.free) and self.free[i][0] == start + length:  # touches the one behind
                length += self.free.pop(i)[1]
            if i > 0 and sum(self.free[i - 1]) == start:  # touches the one before
                start, before = self.free[i - 1]
                self.free[i - 1] = start, before + length
            else:
                self.free.insert(i, (start, length))


def _whole(segment):
    """The one extent of a segment that is all free: whole pages, and a gap of one at least before the next segment."""
    address = segment.ctypes.data
    skipped = -address % PAGE  # up to the first whole page
    return address + skipped, (segment.size - skipped - PAGE) // PAGE * PAGE


_heap = Heap()
if hasattr(os, "register_at_fork"):  # a child must not find the heap half changed by a thread that it does not have
    _lock = _heap.lock
    os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release)


def empty(shape, dtype):
    """An uninitialised array (C order) in memory that comes back when the array and its views are gone."""
    dtype, shape = np.dtype(dtype), tuple(map(int, shape))
    size = math.prod(shape) * dtype.itemsize
    if size < SMALL:
        return np.empty(shape, dtype)
    array = np.asarray(Block(_heap, _heap.take(size + -size % PAGE), shape, dtype))  # whole pages
    return array if array.dtype == dtype else array.view(dtype)  # bfloat16 is 2 bytes of anything to NumPy's interface


def empty_images(shape, dtype):
    """An uninitialised array (N, C, ...) that is channels-last in memory."""
    n, channels, *size = shape
    # (N, ..., C) -> (N, C, ...), a view
    return empty((n, *size, channels), dtype).transpose(0, len(size) + 1, *range(1, len(size) + 1))


def release():
    """Give memory that no array lies in back to the operating system; returns how many bytes."""
    return _heap.release()


class _Scratch(threading.local):
    def __init__(self):
        self.spaces = {}


_scratch = _Scratch()


def scratch(name, shape, dtype):
    """This thread's work space called `name`, uninitialised: the same memory every time, grown where it must be.

    Whoever asks again by the same name on the same thread writes over it, so names begin with the file's stem.
    """
    dtype = np.dtype(dtype)
    size = math.prod(shape) * dtype.itemsize
    space = _scratch.spaces.get(name)
    if space is None or space.size < size:  # bytes
        space = _scratch.spaces[name] = empty((max(size, SMALL),), np.uint8)
    return space[:size].view(dtype).reshape(shape)
