"""Arrays that end, or begin, at a page which nobody may touch: one number beyond, and the process dies of it.

A read beyond the end of an ordinary array meets some other array, and a test that compares results may pass. Here it
meets a page without any permission, and the operating system stops the process at the very instruction (SIGSEGV).
"""

import contextlib
import ctypes
import importlib
import math
import mmap
from unittest import mock

import numpy as np

from minicnn.kernels.cpu.machine import memory

PAGE = mmap.PAGESIZE
PROT_NONE = 0


def empty(shape, dtype, at_end=True):
    """An uninitialised array whose last byte is the last before such a page, or whose first is the first behind one."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    inside = -(-max(size, 1) // PAGE) * PAGE
    try:
        pages = mmap.mmap(-1, inside + 2 * PAGE)
    except OSError as error:  # as np.empty words it
        raise MemoryError(f"no room for an array of {size} bytes between guard pages: {error}") from error
    start = ctypes.addressof(ctypes.c_char.from_buffer(pages))
    for guard in (start, start + PAGE + inside):
        if ctypes.CDLL(None, use_errno=True).mprotect(ctypes.c_void_p(guard), PAGE, PROT_NONE):
            raise OSError(ctypes.get_errno(), "mprotect")
    offset = PAGE + inside - size if at_end else PAGE
    return np.frombuffer(pages, np.uint8, size, offset).view(dtype).reshape(shape)


def copy(array, at_end=True):
    """The numbers of `array` between such pages, with its strides where they are those of a permuted array."""
    order = sorted(range(array.ndim), key=lambda axis: -array.strides[axis])
    y = empty([array.shape[axis] for axis in order], array.dtype, at_end).transpose(np.argsort(order).tolist())
    y[...] = array
    return y


@contextlib.contextmanager
def kernels(rng):
    """What the processor's kernels allocate for their results and their scratch lies between such pages, too."""

    def guarded_empty(shape, dtype):
        shape = (shape,) if isinstance(shape, int) else tuple(shape)
        return empty(shape, dtype, at_end=rng.random() < 0.7)

    def guarded_scratch(name, shape, dtype):
        return guarded_empty(shape, dtype)

    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.object(memory, "empty", guarded_empty))
        stack.enter_context(mock.patch.object(memory, "scratch", guarded_scratch))
        names = (
            "dropout",
            "interpolate",
            "cross_entropy",
            "lrn",
            "max_pool",
            "avg_pool",
            "nll_loss",
            "pad",
            "softmax",
        )  # have imported it
        for name in names:
            module = importlib.import_module(f"minicnn.kernels.cpu.{name}")
            stack.enter_context(mock.patch.object(module, "empty", guarded_empty))
        yield
