"""What backward reads must be what forward has seen: how a change in between is noticed.

    y = F.relu(x)
    y[0] = 5             # ReLU's backward looks at y: where was it positive?
    y.sum().backward()   # RuntimeError, instead of another function's gradient

A tensor's memory has a ``Version``, a count that every change in place raises; views of it share the count. A node of
the graph remembers the counts of what it saved (``Saved``). Writing into a NumPy array raises no count: nobody hears of
``labels[:] = next_labels``. Labels and indices steer where a kernel reads and writes, so they must not change unseen:
they are copied, and compared with the copy before backward uses it (``Constant``).
"""

import numpy as np

from .device import device_of, share_memory


class Version:
    """Counts in-place changes of one piece of memory; a tensor and its views share one counter."""

    __slots__ = ("count", "has_views")

    def __init__(self):
        self.count = 0
        self.has_views = False  # whether several tensors of a graph lie in this memory


class Saved:
    """A saved array, with the in-place counts it had then of the tensors that it shares memory with."""

    __slots__ = ("array", "counts")

    def __init__(self, array, variables):
        self.array = array
        self.counts = [(v.version, v.version.count) for v in variables if share_memory(v.data, array)]

    def check(self, op):
        """RuntimeError if one of the counts has moved."""
        if any(version.count != count for version, count in self.counts):
            raise changed(op, "a tensor", self.array)


class Constant:
    """An array that forward and backward read and that is no input: labels, weights of classes, an index.

    original   the array; version: of the Variable that it belongs to, whose count is then compared as well
    array      a copy of it; on the GPU a Variable's own array, since comparing would wait for the GPU (the kernels look
               at each label there)
    """

    __slots__ = ("array", "original", "version")

    def __init__(self, original, version=None):
        on_gpu = device_of(original) == "cuda"
        self.array = original if on_gpu and version is not None else original.copy()
        self.original = None if on_gpu else original
        self.version = None if version is None else (version, version.count)

    def check(self, op):
        """RuntimeError if the array has changed since."""
        moved = self.version is not None and self.version[0].count != self.version[1]
        if moved or (self.original is not None and not _equal(self.original, self.array)):
            raise changed(op, "an array of labels, weights or indices", self.array)


def changed(op, what, array):
    """The error of an op that finds what it saved changed."""
    return RuntimeError(
        f"{op}: {what} of shape {array.shape} that backward() needs was changed in place after the forward pass; "
        "change a copy, or change it after backward()"
    )


def _equal(a, b):
    return a.shape == b.shape and bool((a == b).all() or (a.dtype.kind == "f" and np.array_equal(a, b, equal_nan=True)))
