"""Variable: an array in a graph, as the engine knows it; ``Tensor`` adds what people do with it."""

from typing import TypeVar

import numpy as np

from .device import device_of, is_array, plain_array
from .settings import flag
from .versions import Version

FLOATS = np.dtype(np.float32), np.dtype(np.float64)  # the dtypes that have gradients

V = TypeVar("V", bound="Variable")  # in signatures: an op's result is of the class of its inputs


class Variable:
    """An array in a graph: what this file needs to know of a tensor (``Tensor`` adds the operators).

    data           the array
    requires_grad  whether ``backward`` shall work out a gradient for it
    grad           that gradient, on leaves only: None, or a Variable that further backward passes add to
    node           the Function it came out of; None for a leaf
    """

    def __init__(self, data, requires_grad=False):
        self._data = data
        self.version = Version()
        self._requires_grad = False
        self._grad = None
        self.node = None
        if requires_grad is not False:
            self.requires_grad = requires_grad

    @property
    def data(self):
        return self._data

    @data.setter
    def data(self, array):
        if not is_array(array):
            raise TypeError(f".data is an array, not a {type(array).__name__}; of a Tensor, give its .data")
        array = plain_array(array)
        if not array.dtype.isnative or not (array.dtype.kind in "iub" or array.dtype in FLOATS):
            raise TypeError(
                f".data is an array of float32, float64, integers or booleans, not {array.dtype}; convert it first"
            )
        if self._requires_grad and array.dtype not in FLOATS:
            raise TypeError(f".data of a tensor that requires a gradient is float32 or float64, not {array.dtype}")
        self._data = array
        self.version.count += 1

    @property
    def requires_grad(self):
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, requires_grad):
        requires_grad = flag(self, "requires_grad", requires_grad)
        if requires_grad and self._data.dtype not in FLOATS:
            raise TypeError(
                f"a Tensor of dtype {self._data.dtype} cannot require a gradient; only float32 and float64 can"
            )
        if self.node is not None and not requires_grad:
            raise RuntimeError("requires_grad of a result cannot be taken back; use .detach()")
        self._requires_grad = requires_grad

    @property
    def grad(self):
        return self._grad

    @grad.setter
    def grad(self, grad):
        if grad is not None:
            if not isinstance(grad, Variable):
                raise TypeError(f".grad is a Tensor or None, not a {type(grad).__name__}; wrap it in Tensor(...)")
            own, given = self._data, grad._data
            if own.shape != given.shape or own.dtype != given.dtype or device_of(own) != device_of(given):
                raise ValueError(
                    f".grad has shape {given.shape}, {given.dtype}, on {device_of(given)!r}; the tensor it is a "
                    f"gradient for has {own.shape}, {own.dtype}, on {device_of(own)!r}"
                )
        self._grad = grad

    @grad.deleter
    def grad(self):
        self._grad = None

    def like(self, array):
        """A new variable of this family around `array`."""
        return Variable(array)


def holds_gradients(data):
    """Whether there is a Variable in these nested lists that a gradient would have to go back to."""
    if isinstance(data, (list, tuple)):
        return any(map(holds_gradients, data))
    return isinstance(data, Variable) and data.requires_grad
