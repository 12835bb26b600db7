"""What backward reads must be what forward has seen: how a change in between is noticed, or refused beforehand.

    y = F.relu(x)
    y[0] = 5             # ReLU's backward looks at y: where was it positive?
    y.sum().backward()   # RuntimeError, instead of another function's gradient

A tensor's memory has a ``Version``, a count that every change in place raises; views of it share the count. A node of
the graph remembers the counts of what it saved (``Saved``). Writing into a NumPy array raises no count: nobody hears of
``labels[:] = next_labels``. Labels and indices steer where a kernel reads and writes, so they must not change unseen:
they are copied, and compared with the copy before backward uses it (``Constant``). What lies in memory that another
library sees, too, is copied when it is saved (dlpack.py).
``F.relu(x, inplace=True)`` is another matter: there the op itself changes its input, and x becomes the result
(``Memory.overwrite``).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .contract import check_writeable
from .device import device_of, share_memory
from .dlpack import is_borrowed
from .gradmode import is_grad_enabled
from .types import Array
from .variable import Variable, Version


class Saved:
    """A saved array, with the in-place counts it had then of the tensors that it shares memory with."""

    __slots__ = ("array", "counts")

    def __init__(self, array: Array, variables: Sequence[Variable]) -> None:
        # mostly one of them, or none: an array that the op made for itself (batch norm's mean) nobody else can change
        self.counts = [(v.version, v.version.count) for v in variables if share_memory(v.data, array)]
        is_lent = any(version.lendings and _is_held(version) for version, _ in self.counts)
        # what another library may write into is copied: it would not be heard of
        self.array = array.copy(order="K") if is_lent or is_borrowed(array) else array

    def check(self, op: str) -> None:
        """RuntimeError if one of the counts has moved."""
        for version, count in self.counts:
            if any(lending.changes > count for lending in version.lendings):
                what = f"{op}: a tensor of shape {self.array.shape} that backward() needs was lent to another library"
                advice = "lend a copy, x.detach().clone(), or lend it after backward()"
                raise RuntimeError(f"{what} (__dlpack__) after the forward pass, and may have been changed; {advice}")
            if version.count != count:
                raise _changed(op, "a tensor", self.array)


class Constant:
    """An array that forward and backward read and that is no input: labels, weights of classes, an index.

    original   the array; version: of the Variable that it belongs to, whose count is then compared as well
    array      a copy of it; on the GPU a Variable's own array, since comparing would wait for the GPU (the kernels look
               at each label there)
    """

    __slots__ = ("array", "original", "version")

    def __init__(self, original: Array, version: Version | None = None) -> None:
        on_gpu = device_of(original) == "cuda"
        self.array = original if on_gpu and version is not None else original.copy()
        self.original = None if on_gpu else original  # there only the version is compared
        self.version = None if version is None else (version, version.count)

    def check(self, op: str) -> None:
        """RuntimeError if the array has changed since."""
        moved = self.version is not None and self.version[0].count != self.version[1]
        if moved or (self.original is not None and not _equal(self.original, self.array)):
            raise _changed(op, "an array of labels, weights or indices", self.array)


class Memory:
    """The part of a ``Function`` (``autograd.py``) that knows which memory its arrays lie in, and who else uses it."""

    is_fresh = False  # whether what forward returns never lies in an input's memory: then nobody looks whether it does
    _given: Sequence[Variable] = ()  # the inputs, while forward runs
    _overwritten: Variable | None = None  # the one among them whose memory forward writes its result into
    _saved: tuple[Any, ...] = ()  # what save_for_backward was given; after `apply`, a Saved for each
    _constants: tuple[Constant, ...] = ()
    needs_input_grad: Sequence[bool]

    def constant(self, value: Array | Variable) -> Array:
        """The array of `value` (an array or a Tensor), which is no input: labels, weights of classes, an index.

        If there will be a backward pass, it is a copy, and one that ``backward`` may read too: RuntimeError there if
        the owner has changed `value` in between.
        """
        array, version = (value.data, value.version) if isinstance(value, Variable) else (value, None)
        if not any(self.needs_input_grad):  # no backward pass: nothing to protect, and no copy
            return array
        constant = Constant(array, version)
        self._constants += (constant,)
        return constant.array

    def overwrite(self, array: Array) -> None:
        """Announce, in ``forward``, that it is about to write its result into this input: ``inplace=True``.

        The tensor then *becomes* the result. RuntimeError for a leaf that requires a gradient (the value it would be
        taken at is lost), and where a view shares the memory (its values would no longer be what the graph says).
        """
        op, variable = type(self).__name__, next(v for v in self._given if v.data is array)
        if variable.requires_grad and variable.node is None and is_grad_enabled():
            what = f"{op}: inplace=True would overwrite a leaf of shape {array.shape} that requires a gradient"
            raise RuntimeError(f"{what}; use inplace=False")
        if variable.version.has_views and is_grad_enabled():
            shared = f"memory of shape {array.shape} that a view shares (made by reshape, flatten, permute or indexing)"
            raise RuntimeError(f"{op}: inplace=True would overwrite {shared}; use inplace=False")
        check_writeable(f"{op}: inplace=True", array)
        self._overwritten = variable
        variable.version.count += 1  # an op that has saved these values, and comes to go backwards, will notice

    def result_of(self, array: Array, needs_grad: bool) -> Variable:
        """The Variable that stands for what ``forward`` has returned: a new one, or the one that it has overwritten."""
        given, overwritten = self._given, self._overwritten
        self._given, self._overwritten = (), None  # else node and result would hold each other, and stay in memory
        result = given[0].like(array) if overwritten is None else overwritten
        for v in () if self.is_fresh else given:
            if v is not result and share_memory(array, v.data):  # a view of the input (reshape, x[0])
                result.version = v.version  # memory has one count, by whatever tensor it is changed
                result.version.has_views |= needs_grad  # a view outside the graph forbids nothing
        return result

    def check_unchanged(self) -> None:
        """RuntimeError if something that ``backward`` reads was changed since ``forward``."""
        for entry in (*self._saved, *self._constants):  # a Saved or a Constant
            entry.check(type(self).__name__)


def _is_held(version):
    """Whether another library has the memory still."""
    return any(lending.is_held() for lending in version.lendings)


def _changed(op, what, array):
    """The error of an op that finds what it saved changed."""
    advice = "change a copy, or change it after backward()"
    then = "that backward() needs was changed in place after the forward pass"
    return RuntimeError(f"{op}: {what} of shape {array.shape} {then}; {advice}")


def _equal(a, b):
    """Whether two arrays are equal; NaN is itself, which is only looked at where something differs."""
    return a.shape == b.shape and bool((a == b).all() or (a.dtype.kind == "f" and np.array_equal(a, b, equal_nan=True)))
