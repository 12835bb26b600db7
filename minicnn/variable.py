"""Variable: an array in a graph, as the engine knows it; ``Tensor`` adds what people do with it."""

import weakref
from collections.abc import Callable
from typing import Any, NamedTuple, Self, TypeVar

import numpy as np

from .device import device_of, is_array, plain_array
from .gradhooks import GradHandle
from .precision import BFLOAT16
from .settings import flag
from .types import Array

FLOATS = np.dtype(np.float32), np.dtype(np.float64)  # the dtypes of weights

V = TypeVar("V", bound="Variable")  # in signatures: an op's result is of the class of its (first) input


def is_float(dtype: np.dtype) -> bool:
    """Whether a dtype is one of those that have gradients: float32, float64 or bfloat16 (whose ``kind`` is not "f")."""
    return dtype in FLOATS or dtype == BFLOAT16


class Lending(NamedTuple):
    """That another library was given memory (``dlpack.py``)."""

    changes: int  # the memory's count of them from then on
    view: Any  # a weak reference to what was given: an array that is alive as long as somebody holds it

    def is_held(self) -> bool:
        """Whether the other library has it still."""
        return self.view() is not None


class Version:
    """Counts in-place changes of memory; a tensor and its views share one counter (``versions.py`` compares it)."""

    __slots__ = ("count", "has_views", "lendings")

    def __init__(self) -> None:
        self.count = 0
        self.has_views = False  # whether several tensors of a graph lie in this memory
        self.lendings: tuple[Lending, ...] = ()  # to other libraries


class Variable:
    """An array in a graph: what this file needs to know of a tensor (``Tensor`` adds the operators).

    data           the array
    requires_grad  whether ``backward`` shall work out a gradient for it
    grad           that gradient, on leaves, and after ``retain_grad``: None, or a Variable to which further backward
                   passes add
    node           the Function it came out of; None for a leaf
    """

    node: Any  # a Function or None; autograd.py stands above this file
    is_parameter = False  # True of nn.Parameter: what a Module trains
    grad_hooks: dict[GradHandle, Callable[[Any], Any]] = {}  # noqa: RUF012  of all that have none; never written into
    _retains_grad = False

    def __init__(self, data: Array, requires_grad: bool = False) -> None:
        self._data = data
        self.version = Version()  # of its memory; a view gets that of what it looks into
        self._requires_grad = False
        self._grad = None
        self.node = None
        if requires_grad is not False:  # an op's result gets here without: no setter is run for it
            self.requires_grad = requires_grad

    @property
    def data(self) -> Array:
        """The array itself, NumPy's or CuPy's. Another one may be set; backward() notices that."""
        return self._data

    @data.setter
    def data(self, array: Array) -> None:
        if not is_array(array):
            raise TypeError(f".data is an array, not a {type(array).__name__}; of a Tensor, give its .data")
        array = plain_array(array)  # no matrix, and no mask
        if not array.dtype.isnative or not (array.dtype.kind in "iub" or is_float(array.dtype)):
            what = f".data holds float32, float64, bfloat16, integers or booleans, not {array.dtype}"
            raise TypeError(f"{what}; convert it first")
        if self._requires_grad and not is_float(array.dtype):  # its gradient would have no dtype
            raise TypeError(f".data of a tensor that requires a gradient is float32 or float64, not {array.dtype}")
        self._data = array
        self.version.count += 1  # a change like one in place: what was saved before is another array now

    @property
    def requires_grad(self) -> bool:
        """Whether ``backward`` works out a gradient for it; TypeError if set for integers or booleans."""
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, requires_grad: bool) -> None:
        requires_grad = flag(self, "requires_grad", requires_grad)
        if requires_grad and not is_float(self._data.dtype):
            raise TypeError(f"a Tensor of {self._data.dtype} cannot require a gradient; only floats can")
        if self.node is not None and not requires_grad:  # a result's inputs need its gradient
            raise RuntimeError("requires_grad of a result cannot be taken back; use .detach()")
        self._requires_grad = requires_grad

    @property
    def grad(self) -> Self | Any:  # "or None" would make every use of .grad an error to a type checker
        """The gradient that backward() has left here, of the same shape, dtype and device; None before, and on results
        that were not asked to keep it (``retain_grad``)."""
        return self._grad

    @grad.setter
    def grad(self, grad: Any) -> None:
        if grad is not None:  # None: it is forgotten
            if not isinstance(grad, Variable):
                raise TypeError(f".grad is a Tensor or None, not a {type(grad).__name__}; wrap it in Tensor(...)")
            own, given = self._data, grad._data  # an optimiser goes through both by one index
            if own.shape != given.shape or own.dtype != given.dtype or device_of(own) != device_of(given):
                owner = f"the tensor it is a gradient for has {own.shape}, {own.dtype}, on {device_of(own)!r}"
                raise ValueError(f".grad has shape {given.shape}, {given.dtype}, on {device_of(given)!r}; {owner}")
        self._grad = grad

    @grad.deleter
    def grad(self) -> None:
        self._grad = None

    def retain_grad(self) -> None:
        """Keep the gradient of this result in ``.grad``, too, as leaves do. After a change in place it is that of the
        new values. RuntimeError if it requires none."""
        if not self._requires_grad:
            raise RuntimeError("retain_grad() of a tensor that depends on nothing with requires_grad=True")
        if self.node is not None:  # a leaf keeps it anyway
            self._retains_grad = True
            self.stand_for(self.node)

    def register_post_accumulate_grad_hook(self, hook: Callable[[Any], Any]) -> GradHandle:
        """Call hook(self) in each ``backward()``, when the gradient that it adds to ``.grad`` of this leaf is complete.
        The handle's ``remove()`` ends that. RuntimeError for a result, which is no leaf, or without requires_grad."""
        if not callable(hook):
            raise TypeError(f"register_post_accumulate_grad_hook: give a function of the leaf, not {hook!r:.60}")
        if self.node is not None or not self._requires_grad:
            what = "register_post_accumulate_grad_hook: this is a result, and hooks are for leaves"
            if self.node is None:
                what = "register_post_accumulate_grad_hook: this leaf gets no gradient; set requires_grad first"
            raise RuntimeError(what)
        if not self.grad_hooks:
            self.grad_hooks = {}  # of this leaf alone
        handle = GradHandle(self.grad_hooks)
        self.grad_hooks[handle] = hook
        return handle

    def stand_for(self, node: Any) -> None:
        """Be the result of `node`, an op in the graph, from now on."""
        self._requires_grad, self.node = True, node
        if self._retains_grad:
            node.retaining = weakref.ref(self)  # weak: a node that holds its own result would stay in memory

    def like(self, array: Array) -> Any:
        """A new variable of this family around `array`: a Tensor's is a Tensor."""
        return Variable(array)  # Tensor overrides it: ops make Tensors of Tensors


def holds_gradients(data: Any) -> bool:
    """Whether there is a Variable in these nested lists that a gradient would have to go back to."""
    if isinstance(data, (list, tuple)):
        return any(map(holds_gradients, data))  # lists within lists
    return isinstance(data, Variable) and data.requires_grad  # arrays and numbers have none
