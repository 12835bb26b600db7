"""Tensor: an array that remembers how it was computed, with the operators one expects.

    x = Tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    loss = (x * x).sum()
    loss.backward()
    x.grad                      # 2 x

Every method that computes is one op of ``minicnn/ops/``, called by its name; the engine that walks backwards is
``minicnn/autograd.py``.
"""

from __future__ import annotations

from typing import Any, Self, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from .absent import with_absent_names
from .autograd import backward
from .device import DEVICES, Device, device_of, naming_memory_errors, plain_array, to_device
from .dtypes import device_and_dtype
from .graph import Graph, to_dot
from .methods.comparisons import Comparisons
from .methods.elementwise import Elementwise
from .methods.idioms import TorchIdioms
from .methods.protocols import ArrayProtocols, tensor_data
from .methods.reductions import Reductions
from .ops import arithmetic, inplace, linear, rounding, shape
from .ops.cast import cast
from .types import Array, DTypeLike, Shape
from .variable import Variable, is_float

PLACES = {name: Device(name) for name in DEVICES}
Operand: TypeAlias = Variable | ArrayLike  # what may stand beside a Tensor: another, a number, an array


@with_absent_names  # x.half and its like are errors that say what to write instead
class Tensor(TorchIdioms, Elementwise, Reductions, Comparisons, ArrayProtocols):  # x.view(-1), x.exp(), x.sum(), x > 0
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
    def device(self) -> Device:
        """Where the array lives: "cpu" or "cuda"."""
        return PLACES[device_of(self.data)]

    # The graph

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Set ``requires_grad`` of a leaf, and return it."""
        self.requires_grad = requires_grad
        return self

    def backward(self, gradient: Operand | None = None, retain_graph: bool = False, create_graph: bool = False) -> None:
        """Work out the gradients of this tensor, and add them to ``.grad`` of every leaf that requires one.

        gradient: the upstream one, of this tensor's shape; 1 if left out, which only a single number allows.
        The graph is freed on the way unless `retain_graph`: a second call is a RuntimeError. Gradients are first-order
        only: `create_graph` is a TypeError.
        """
        if not self.requires_grad:
            raise RuntimeError("backward() of a tensor that depends on nothing with requires_grad=True")
        if create_graph:
            raise TypeError("backward(): create_graph=True is not there on purpose: gradients are first-order only")
        if gradient is None:
            if self.size != 1:
                what = f"backward() of a tensor {self.shape} needs the upstream gradient, of that shape"
                raise ValueError(f"{what}; or take its .sum() or .mean() first")
            gradient = Tensor(np.ones_like(self.data))  # dL/dL = 1
        if isinstance(gradient, Variable):
            given = gradient.data
        else:
            given = plain_array(gradient).astype(self.dtype, copy=False)
            if device_of(given) == "cpu":  # numbers, lists and NumPy's arrays: they go where the tensor is
                given = to_device(given, self.device)
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

    def to(
        self, *where: Any, device: str | None = None, dtype: DTypeLike | None = None, non_blocking: bool = False
    ) -> Tensor:
        """On a device, in a dtype, or both: ``to("cuda")``, ``to(minicnn.float64)``, ``to(other)`` as another Tensor.

        Itself where nothing changes. Its gradient comes back to where it is, in its dtype. Copies are made at once,
        also with `non_blocking`.
        """
        to_device, to_dtype = device_and_dtype("to", where, device, dtype)
        moved = self if to_device is None or to_device == self.device else shape.to(self, to_device)
        return moved if to_dtype is None or to_dtype == moved.dtype else moved.astype(to_dtype)

    def astype(self, dtype: DTypeLike) -> Tensor:
        """A copy in another dtype; integers and booleans are outside the graph."""
        return cast(self, dtype) if is_float(np.dtype(dtype)) else Tensor(self.data.astype(dtype))

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

    def __floordiv__(self, other: Operand) -> Tensor:
        return rounding.floor_divide(self, other)

    def __rfloordiv__(self, other: Operand) -> Tensor:
        return rounding.floor_divide(other, self)

    def __mod__(self, other: Operand) -> Tensor:
        return rounding.remainder(self, other)

    def __rmod__(self, other: Operand) -> Tensor:
        return rounding.remainder(other, self)

    def __pow__(self, exponent: float) -> Tensor:
        return arithmetic.pow(self, exponent)

    def __rpow__(self, base: float) -> Tensor:
        return arithmetic.power_of(base, self)

    def __neg__(self) -> Tensor:
        return arithmetic.neg(self)

    def __pos__(self) -> Tensor:
        return self

    def __matmul__(self, other: Operand) -> Tensor:
        return linear.matmul(self, other)

    def __rmatmul__(self, other: Operand) -> Tensor:
        return linear.matmul(other, self)

    def __abs__(self) -> Tensor:
        return arithmetic.abs(self)

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

    def __ifloordiv__(self, other: Operand) -> Tensor:
        return inplace.become("floor_divide", self, self // other)

    def __imod__(self, other: Operand) -> Tensor:
        return inplace.become("remainder", self, self % other)

    def __iand__(self, other: Any) -> Self:
        return inplace.become("and", self, self & other)

    def __ior__(self, other: Any) -> Self:
        return inplace.become("or", self, self | other)

    def __ixor__(self, other: Any) -> Self:
        return inplace.become("xor", self, self ^ other)

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

    def expand(self, *size: int | Shape) -> Tensor:
        """Axes of length 1 repeated to these lengths, without a copy; -1 leaves one as it is; more axes in front."""
        return shape.expand(self, _spread(size))

    def flip(self, *axes: int | Shape, dims: Shape | None = None) -> Tensor:
        """These axes in reverse order: flip(2, 3), flip((2, 3)) or flip(dims=(2, 3))."""
        return shape.flip(self, _spread(axes) if dims is None else dims)

    def split(self, split_size: int | list[int], dim: int = 0) -> tuple[Tensor, ...]:
        """Pieces of that length along an axis, the last one shorter; or of the lengths in a list."""
        return shape.split(self, split_size, dim)

    def __getitem__(self, index: Any) -> Tensor:
        return shape.getitem(self, index)

    def __setitem__(self, index: Any, value: Any) -> None:
        """Overwrite values in place, which the graph does not record."""
        inplace.setitem(self, index, value)


def _spread(args: Any) -> Any:
    """(2, 3) from reshape(2, 3) and from reshape((2, 3)) alike."""
    return tuple(args[0]) if len(args) == 1 and isinstance(args[0], (tuple, list)) else args
