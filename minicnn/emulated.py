"""Arrays that stand for GPU memory where there is no GPU: device "cuda" under ``MINICNN_EMULATE_GPU=1``.

An ``EmulatedArray`` is a NumPy array that knows where it would live. As with CuPy's arrays, NumPy's functions work on
it and results stay there, single numbers too (as arrays without axes), and an array of the other device beside it is an
error: what runs here does not wait for a GPU to be found wrong.
"""

import functools
from typing import Any

import numpy as np

from .envvars import switch
from .tally import tally


def emulating() -> bool:
    """Whether device "cuda" is emulated."""
    return switch("MINICNN_EMULATE_GPU", default=False)


HOST_ARGUMENTS = (np.array_split, np.copyto, np.split)  # functions that may be given a NumPy array as well


class EmulatedArray(np.ndarray):
    """A NumPy array that lives on device "cuda"."""

    def __array_ufunc__(self, ufunc, method, *inputs, out=(), **options):
        for array in (*inputs, *out):
            if isinstance(array, np.ndarray) and not isinstance(array, EmulatedArray):
                other = f"another (shape {array.shape}) is a NumPy array on 'cpu'; move one with to_device"
                raise TypeError(f"{ufunc.__name__}: one array is on device 'cuda', {other}")
        if out:
            options["out"] = tuple(None if array is None else array.view(np.ndarray) for array in out)

        def compute():
            return getattr(ufunc, method)(*(_on_host(value) for value in inputs), **options)

        result = compute()
        result = out[0] if len(out) == 1 else on_device(result)
        if counts := tally():
            counts.computed(ufunc.__name__, compute, result)
        return result

    def __array_function__(self, function, types, args, kwargs):
        if kwargs.get("shape") == ():
            raise TypeError(f"{function.__name__}: CuPy takes shape=() for no shape at all; use device.full")
        if np.ndarray in types and function not in HOST_ARGUMENTS:
            raise TypeError(f"{function.__name__}: one array is on device 'cuda', another is a NumPy array on 'cpu'")
        if counts := tally():
            run = super().__array_function__
            return counts.call(function, args, kwargs, lambda: on_device(run(function, types, args, kwargs)))
        return on_device(super().__array_function__(function, types, args, kwargs))

    def __array_finalize__(self, source):
        if counts := tally():
            counts.made(self, isinstance(source, EmulatedArray))

    def __setitem__(self, index, value):
        if isinstance(value, np.ndarray) and value.ndim and not isinstance(value, EmulatedArray):
            raise TypeError(f"a NumPy array of shape {value.shape} is put into one on device 'cuda'; use to_device")
        super().__setitem__(index, value)
        if counts := tally():
            counts.computed("assignment", functools.partial(super().__setitem__, index, value))

    def __getitem__(self, index):
        result = on_device(super().__getitem__(index))
        if counts := tally():
            counts.indexed(self, index, result)
        return result

    # Copies

    def copy(self, order="C"):
        return _called(np.ndarray.copy, self, order)

    def astype(self, dtype, order="K", casting="unsafe", subok=True, copy=True):
        return _called(np.ndarray.astype, self, dtype, order, casting, subok, copy)

    def reshape(self, *shape, order="C"):
        return _called(np.ndarray.reshape, self, *shape, order=order)

    # A number of Python's is a value on the host, for which it waits

    def item(self, *index):
        if counts := tally():
            counts.copied_to_host(self.itemsize)
        return super().item(*index)

    def tolist(self):
        if counts := tally():
            counts.copied_to_host(self.nbytes)
        return super().tolist()

    def __bool__(self):
        return bool(self.item()) if self.size == 1 else super().__bool__()

    def __int__(self):
        return int(self.item()) if self.size == 1 else super().__int__()

    def __float__(self):
        return float(self.item()) if self.size == 1 else super().__float__()

    # Another library would take it for memory of the processor, and so it would a GPU's for one of its own

    def __dlpack_device__(self):
        raise BufferError("__dlpack__: an array of the emulated GPU cannot be lent; lend a copy, x.to('cpu')")

    def __dlpack__(self, **options):
        return self.__dlpack_device__()

    # CuPy's take no more than this: no `initial`, no `where`

    def max(self, axis=None, out=None, keepdims=False):
        return super().max(axis, out, keepdims)

    def min(self, axis=None, out=None, keepdims=False):
        return super().min(axis, out, keepdims)


def on_device(value: Any) -> Any:
    """Arrays (NumPy numbers too, and tuples and lists of them) as EmulatedArrays of the same memory; else `value`."""
    if isinstance(value, (tuple, list)):
        return type(value)([on_device(part) for part in value])
    if isinstance(value, np.generic):
        value = np.asarray(value)
    return value.view(EmulatedArray) if isinstance(value, np.ndarray) else value


def _called(method, array, *given, **options):
    """A method of `array` that may copy it."""
    if counts := tally():
        return counts.call(method, (array,), {}, lambda: method(array, *given, **options))
    return method(array, *given, **options)


def _on_host(value):
    return value.view(np.ndarray) if isinstance(value, EmulatedArray) else value
