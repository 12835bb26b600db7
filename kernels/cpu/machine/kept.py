"""What has been made of an array that cannot change, such as the packed weights of a network that is sealed.

To pack a weight takes as long as to multiply it by a hundred pixels. In training it is another weight in each step; of
one picture after the other, it is the same work again and again. It is kept for immutable arrays only
(minicnn/immutable.py): no other array tells when somebody writes into it, and comparing its numbers with those of the
last time would take as long as packing it.

What is kept belongs to the array, and goes with it: here are weak references only. It is no part of what pickle or
deepcopy see; a forked process has what there was before. Two threads that come at once may both make it: then one copy
is forgotten, and either is right.
"""

import functools
import weakref

import numpy as np

from minicnn.immutable import is_immutable

from . import memory
from .layout import contiguous

_made = {}  # id(array): (a weak reference to it, {key: what has been made of it})


def kept(array, key, make):
    """What make(space) returns, which must be the same whenever it is called for this array and `key`.

    space: ``memory.scratch``; for an immutable array it has the same arguments and gives memory of its own, and make is
    called once.
    """
    if not is_immutable(array):
        return make(memory.scratch)
    number = id(array)
    entry = _made.get(number)
    if entry is None:
        entry = _made[number] = weakref.ref(array, functools.partial(_forget, number)), {}
    results = entry[1]
    if key not in results:
        results[key] = make(_space)
    return results[key]


def readable(array):
    """The array in C order, itself or a copy; an immutable one as it is, for ``kept`` to know it."""
    return array if is_immutable(array) else contiguous(array)


def plain(array):
    """``contiguous(array)``, as compiled loops take it, without a copy of an immutable one: they only read weights."""
    return kept(array, "plain", lambda space: _alias(array)) if is_immutable(array) else contiguous(array)


class _Memory:
    """That of an array, as NumPy asks for it, who need not know that it is read-only."""

    def __init__(self, array):
        self.bytes = array.base  # not the array, which what is kept of it must not hold
        interface = array.__array_interface__
        self.__array_interface__ = interface | {"data": (interface["data"][0], False)}


def _alias(array):
    alias = np.asarray(_Memory(array))
    return alias if alias.dtype == array.dtype else alias.view(array.dtype)  # NumPy asks for bfloat16 as two bytes


def _space(name, shape, dtype):
    """Not of the heap (memory.py): it stays long, and would leave gaps there."""
    return np.empty(shape, dtype)


def _forget(number, reference):
    """The array with that id is gone."""
    if number in _made and _made[number][0] is reference:  # not that of an array that came to lie in its place
        del _made[number]
