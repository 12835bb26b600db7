"""Tensor: an array that remembers how it was computed, with the operators one expects.

    x = Tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    loss = (x * x).sum()
    loss.backward()
    x.grad                      # 2 x

Every method that computes is one op of ``minicnn/ops/``, called by its name; the engine that walks backwards is
``minicnn/autograd.py``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Self, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from .autograd import backward
from .comparisons import Comparisons
from .device import device_of, naming_memory_errors, to_device
from .graph import Graph, to_dot
from .idioms import TorchIdioms
from .ops import arithmetic, inplace, linear, reduction, shape
from .ops.reduction import Dim
from .protocols import ArrayProtocols, tensor_data
from .types import Array, DTypeLike, Shape
from .variable import Variable

Operand: TypeAlias = Variable | ArrayLike  # what may stand beside a Tensor: another, a number, an array


class Tensor(TorchIdioms, Comparisons, ArrayProtocols):  # x.item(), x.view(...); x > 0; len(x), np.asarray(x)
    """An array of float32 or float64 (or integers or booleans, without gradients) in the graph.

    data           a NumPy or CuPy array, shared, not copied; or anything ``np.asarray`` takes: floats from Python
                   numbers become float32. TypeError for other dtypes, masked arrays, and Tensors that need a gradient
    requires_grad  True: ``backward()`` leaves the gradient in ``.grad``, a Tensor, and adds to what stands there
    """

    def __init__(self, data: Any, requires_grad: bool = False) -> None:
        super().__init__(tensor_data(data), requires_grad)

    def like(self, array: Array) -> Tensor:
        """A Tensor around `array`."""
        return Tensor(array)

    # What it holds

    @property
    def shape(self) -> Shape:
        """The lengths of its axes."""
        return self.data.shape

    @property
    def ndim(self) -> int:
        """The number of its axes."""
        return self.data.ndim

    @property
    def dtype(self) -> np.dtype:
        """NumPy's dtype of its elements."""
        return self.data.dtype

    @property
    def device(self) -> str:
        """Where the array lives: "cpu" or "cuda"."""
        return device_of(self.data)

    # The graph

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Set ``requires_grad`` of a leaf, and return it."""
        self.requires_grad = requires_grad
        return self

    def backward(self, grad: Operand | None = None, retain_graph: bool = False) -> None:
        """Work out the gradients of this tensor, and add them to ``.grad`` of every leaf that requires one.

        grad: the upstream gradient, of this tensor's shape; 1 if left out, which only a single number allows.
        First-order only. The graph is freed on the way unless `retain_graph`: a second call is a RuntimeError.
        """
        if not self.requires_grad:
            raise RuntimeError("backward() of a tensor that depends on nothing with requires_grad=True")
        if grad is None:
            if self.size != 1:
                raise ValueError(f"backward() of a tensor {self.shape} needs the upstream gradient, of that shape")
            grad = Tensor(np.ones_like(self.data))  # dL/dL = 1
        given = grad.data if isinstance(grad, Variable) else to_device(np.asarray(grad, self.dtype), self.device)
        if given.shape != self.shape or given.dtype != self.dtype or device_of(given) != self.device:
            what = f"backward(): the upstream gradient has shape {given.shape}, {given.dtype}, on {device_of(given)!r}"
            raise ValueError(f"{what}; the tensor has {self.shape}, {self.dtype}, on {self.device!r}")
        # `add` sums the gradients of a result that was used twice: an op of two equal shapes that has a kernel on each
        # device, as the residual add is. It is handed over because autograd.py stands below the ops.
        with naming_memory_errors("backward"), np.errstate(under="ignore"):
            backward(self, given, retain_graph, add=arithmetic.residual_add_forward)

    def detach(self) -> Tensor:
        """The same memory, outside the graph."""
        result = Tensor(self.data)
        result.version = self.version  # one memory has one count of its changes in place (versions.py)
        return result

    def graph(self, names: Any = None) -> Graph:
        """The graph behind this tensor: DOT text, and a picture in a notebook (``minicnn/graph.py``).

        names: the Module, or {name: tensor}, that its leaves are named after.
        """
        return to_dot(self, names)

    def to(self, device: str) -> Tensor:
        """This tensor on `device`; itself where it is there already. Its gradient comes back to where it is."""
        return self if self.device == device else shape.to(self, device)

    def astype(self, dtype: DTypeLike) -> Tensor:
        """A copy in another dtype; integers and booleans are outside the graph."""
        return arithmetic.astype(self, dtype) if np.dtype(dtype).kind == "f" else Tensor(self.data.astype(dtype))

    def clone(self) -> Tensor:
        """A copy, whose gradient comes back here."""
        return self.astype(self.dtype)

    # Arithmetic

    def __add__(self, other: Operand) -> Tensor:
        return arithmetic.add(self, other)

    def __radd__(self, other: Operand) -> Tensor:
        return arithmetic.add(other, self)  # 2 + x: Python asks x where 2 cannot add it

    def __sub__(self, other: Operand) -> Tensor:
        return arithmetic.sub(self, other)

    def __rsub__(self, other: Operand) -> Tensor:  # 2 - x: the order counts
        return arithmetic.sub(other, self)

    def __mul__(self, other: Operand) -> Tensor:
        return arithmetic.mul(self, other)

    def __rmul__(self, other: Operand) -> Tensor:
        return arithmetic.mul(other, self)

    def __truediv__(self, other: Operand) -> Tensor:
        return arithmetic.div(self, other)

    def __rtruediv__(self, other: Operand) -> Tensor:
        return arithmetic.div(other, self)

    def __pow__(self, exponent: float) -> Tensor:
        return arithmetic.pow(self, exponent)

    def __rpow__(self, base: float) -> Tensor:
        return arithmetic.power_of(base, self)

    def __neg__(self) -> Tensor:
        return arithmetic.neg(self)

    def __matmul__(self, other: Operand) -> Tensor:
        return linear.matmul(self, other)

    def __rmatmul__(self, other: Operand) -> Tensor:
        return linear.matmul(other, self)

    def __abs__(self) -> Tensor:
        return arithmetic.abs(self)

    def exp(self) -> Tensor:
        """e to its power, element by element."""
        return arithmetic.exp(self)

    def log(self) -> Tensor:
        """The natural logarithm."""
        return arithmetic.log(self)

    def abs(self) -> Tensor:
        """The absolute value."""
        return arithmetic.abs(self)

    def clamp(self, min: float | None = None, max: float | None = None) -> Tensor:
        """At least `min` and at most `max`."""
        return arithmetic.clamp(self, min, max)

    # In place: what the values are in the graph afterwards is said in ops/inplace.py

    def __iadd__(self, other: Operand) -> Tensor:
        return inplace.inplace("add", arithmetic.add, self, other)  # the name is for error messages

    def __isub__(self, other: Operand) -> Tensor:
        return inplace.inplace("sub", arithmetic.sub, self, other)

    def __imul__(self, other: Operand) -> Tensor:
        return inplace.inplace("mul", arithmetic.mul, self, other)

    def __itruediv__(self, other: Operand) -> Tensor:
        return inplace.inplace("div", arithmetic.div, self, other)

    def __ipow__(self, exponent: float) -> Tensor:
        return inplace.become("pow", self, self**exponent)  # worked out apart, then copied into this memory

    def __iand__(self, other: Any) -> Self:
        return inplace.become("and", self, self & other)

    def __ior__(self, other: Any) -> Self:
        return inplace.become("or", self, self | other)

    def __ixor__(self, other: Any) -> Self:
        return inplace.become("xor", self, self ^ other)

    # Reductions

    def sum(self, dim: Dim = None, keepdim: bool = False) -> Tensor:
        """The sum over the axes `dim`, or of all; with keepdim they stay, with length 1 (so for all below)."""
        return reduction.sum(self, dim, keepdim)

    def mean(self, dim: Dim = None, keepdim: bool = False) -> Tensor:
        """The mean over the axes `dim`, or of all."""
        return reduction.mean(self, dim, keepdim)

    def max(self, dim: int | None = None, keepdim: bool = False) -> Any:
        """The largest; along an axis `dim`, a pair: the largest `values`, and the `indices` at which they stand."""
        return reduction.max(self, dim, keepdim)

    def min(self, dim: int | None = None, keepdim: bool = False) -> Any:
        """The smallest, as ``max``."""
        return reduction.min(self, dim, keepdim)

    def argmax(self, dim: int | None = None, keepdim: bool = False) -> Tensor:
        """Where the (first) largest stands, as integers outside the graph."""
        return Tensor(self.data.argmax(axis=dim, keepdims=keepdim))  # type: ignore

    def argmin(self, dim: int | None = None, keepdim: bool = False) -> Tensor:
        """Where the (first) smallest stands, as integers outside the graph."""
        return Tensor(self.data.argmin(axis=dim, keepdims=keepdim))  # type: ignore

    def any(self, dim: Dim = None, keepdim: bool = False) -> Tensor:  # for masks, such as (x > 0).any()
        """Whether any of them is true, outside the graph."""
        return Tensor(self.data.any(axis=dim, keepdims=keepdim))

    def all(self, dim: Dim = None, keepdim: bool = False) -> Tensor:
        """Whether all of them are true, outside the graph."""
        return Tensor(self.data.all(axis=dim, keepdims=keepdim))

    # Shape

    def reshape(self, *shape_: int | Shape) -> Tensor:
        """In another shape of as many elements, reshape(2, 3) or reshape((2, 3)); one length may be -1."""
        return shape.reshape(self, _spread(shape_))

    def flatten(self, start_dim: int = 0, end_dim: int = -1) -> Tensor:
        """The axes from start_dim to end_dim as one."""
        return shape.flatten(self, start_dim, end_dim)

    def permute(self, *dims: int | Shape) -> Tensor:
        """The axes in this order."""
        return shape.permute(self, _spread(dims))

    def transpose(self, dim0: int, dim1: int) -> Tensor:
        """Two axes swapped."""
        return shape.transpose(self, dim0, dim1)

    def unsqueeze(self, dim: int) -> Tensor:
        """With one more axis, of length 1, at `dim`."""
        return shape.unsqueeze(self, dim)

    def squeeze(self, dim: int | None = None) -> Tensor:
        """Without the axes of length 1; with `dim`, without this one if its length is 1."""
        return shape.squeeze(self, dim)

    def __getitem__(self, index: Any) -> Tensor:
        return shape.getitem(self, index)

    def __setitem__(self, index: Any, value: Any) -> None:
        """Overwrite values in place, which the graph does not record."""
        inplace.setitem(self, index, value)


def cat(tensors: Iterable[Tensor], dim: int = 0) -> Tensor:
    """Tensors one after the other along the axis `dim`."""
    return shape.cat(tensors, dim)


def stack(tensors: Iterable[Tensor], dim: int = 0) -> Tensor:
    """Tensors of one shape side by side along a new axis `dim`."""
    return shape.stack(tensors, dim)


def _spread(args: Any) -> Any:
    """(2, 3) from reshape(2, 3) and from reshape((2, 3)) alike."""
    return tuple(args[0]) if len(args) == 1 and isinstance(args[0], (tuple, list)) else args
