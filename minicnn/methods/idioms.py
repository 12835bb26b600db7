"""PyTorch's other names for what a Tensor does: code from there runs here as it is written.

Nothing is computed in this file: each method calls the one that is documented in ``tensor.py`` or beside this file.
"""

from __future__ import annotations

import builtins
from typing import Any, Self

import numpy as np

from ..device import device_of
from ..ops.arguments import axis
from ..ops.arithmetic import clamp
from ..ops.inplace import become
from ..precision import BFLOAT16
from ..settings import whole
from ..types import DTypeLike, Shape
from ..variable import Variable, is_float


class Count(int):
    """A number of elements, ``tensor.size`` as in NumPy; called, ``tensor.size(0)`` as in PyTorch."""

    shape: Shape

    def __new__(cls, shape: Shape) -> Count:
        count = super().__new__(cls, np.prod(shape, dtype=np.int64))
        count.shape = shape
        return count

    def __call__(self, dim: int | None = None) -> Any:
        return self.shape if dim is None else self.shape[dim]


class TorchIdioms(Variable):
    """Further names of a Tensor's methods. In here int, float and bool are methods; the types are builtins.int etc."""

    norm: Any
    split: Any
    squeeze: Any
    expand: Any
    reshape: Any  # these Tensor has by itself; the names are here for type checkers
    permute: Any
    to: Any
    astype: Any
    mean: Any
    __pow__: Any
    __mul__: Any
    __matmul__: Any
    __setitem__: Any

    # Its shape

    @property
    def size(self) -> Count:
        """The number of elements; ``size()`` is the shape and ``size(dim)`` the length of one axis."""
        return Count(self.data.shape)

    def numel(self) -> builtins.int:
        """The number of elements."""
        return int(self.size)

    nelement = numel

    def dim(self) -> builtins.int:
        """The number of axes."""
        return self.data.ndim

    def view(self, *shape: builtins.int | Shape) -> Self:
        """``x.reshape(*shape)``; the same memory where NumPy can."""
        return self.reshape(*shape)

    def view_as(self, other: TorchIdioms) -> Self:
        """In the shape of `other`."""
        return self.reshape(*other.data.shape)

    def contiguous(self) -> Self:
        """Itself: every op takes any layout."""
        return self

    @property
    def T(self) -> Self:
        """All axes in reverse order."""
        return self.permute(*reversed(range(self.data.ndim)))

    def t(self) -> Self:
        """The axes of a matrix swapped."""
        if self.data.ndim > 2:
            raise ValueError(f"t: {self.data.shape} is no matrix; .transpose(dim0, dim1) swaps two axes of several")
        return self.T

    def expand_as(self, other: TorchIdioms) -> Self:
        """``x.expand(other.shape)``."""
        return self.expand(other.data.shape)

    def chunk(self, chunks: builtins.int, dim: builtins.int = 0) -> tuple[Self, ...]:
        """At most so many pieces of equal length along an axis; the last one may be shorter."""
        at = axis("chunk", "dim", dim, self.data.shape)
        return self.split(-(-self.data.shape[at] // whole("chunk", "chunks", chunks)) or 1, at)

    def unbind(self, dim: builtins.int = 0) -> tuple[Self, ...]:
        """Its slices along an axis, which they lack."""
        length = self.data.shape[axis("unbind", "dim", dim, self.data.shape)]
        return tuple(part.squeeze(dim) for part in self.split(1, dim)) if length else ()

    # Its place, its dtype, a copy

    def cpu(self) -> Self:
        """``x.to("cpu")``."""
        return self.to("cpu")

    def cuda(self) -> Self:
        """``x.to("cuda")``."""
        return self.to("cuda")

    @property
    def is_cuda(self) -> builtins.bool:
        """Whether it is on the GPU."""
        return device_of(self.data) == "cuda"

    @property
    def is_leaf(self) -> builtins.bool:
        """Whether no op has computed it."""
        return self.node is None

    @property
    def grad_fn(self) -> Any:
        """The node of the graph that it came out of; None for a leaf."""
        return self.node

    def float(self) -> Self:
        """``x.to(float32)``."""
        return self.to(np.float32)

    def bfloat16(self) -> Self:
        """``x.to(bfloat16)``."""
        return self.to(BFLOAT16)

    def double(self) -> Self:
        """``x.to(float64)``."""
        return self.to(np.float64)

    def int(self) -> Self:
        """``x.to(int32)``."""
        return self.to(np.int32)

    def long(self) -> Self:
        """``x.to(int64)``."""
        return self.to(np.int64)

    def bool(self) -> Self:
        """``x.to(bool)``."""
        return self.to(np.bool_)

    def type(self, dtype: DTypeLike) -> Self:
        """``x.to(dtype)``."""
        return self.to(dtype=dtype)

    def type_as(self, other: TorchIdioms) -> Self:
        """``x.to(other)``: in its dtype and on its device."""
        return self.to(other)

    def is_floating_point(self) -> builtins.bool:
        """Whether it holds float32, float64 or bfloat16."""
        return is_float(self.data.dtype)

    # Comparisons

    def eq(self, other: Any) -> Self:
        """``x == other``."""
        return self == other

    def ne(self, other: Any) -> Self:
        """``x != other``."""
        return self != other

    def lt(self, other: Any) -> Self:
        """``x < other``."""
        return self < other

    def le(self, other: Any) -> Self:
        """``x <= other``."""
        return self <= other

    def gt(self, other: Any) -> Self:
        """``x > other``."""
        return self > other

    def ge(self, other: Any) -> Self:
        """``x >= other``."""
        return self >= other

    # Arithmetic

    def matmul(self, other: Any) -> Self:
        """``x @ other``."""
        return self @ other

    mm = matmul

    # In place, under no_grad or outside the graph

    def add_(self, other: Any, alpha: builtins.float = 1) -> Self:
        """``x += alpha * other``."""
        self += other if alpha == 1 else alpha * other
        return self

    def sub_(self, other: Any, alpha: builtins.float = 1) -> Self:
        """``x -= alpha * other``."""
        self -= other if alpha == 1 else alpha * other
        return self

    def mul_(self, other: Any) -> Self:
        """``x *= other``."""
        self *= other
        return self

    def div_(self, other: Any) -> Self:
        """``x /= other``."""
        self /= other
        return self

    def pow_(self, exponent: builtins.float) -> Self:
        """``x **= exponent``."""
        self **= exponent
        return self

    def clamp_(self, min: builtins.float | None = None, max: builtins.float | None = None) -> Self:
        """``x.clamp(min, max)``, in its own memory."""
        return become("clamp_", self, clamp(self, min, max))

    def zero_(self) -> Self:
        """All 0."""
        self[...] = 0
        return self

    def fill_(self, value: builtins.float) -> Self:
        """All `value`."""
        self[...] = value
        return self

    def copy_(self, other: Any) -> Self:
        """Take over the values of `other`, which may be on the other device and of another dtype."""
        if hasattr(other, "detach"):
            other = other.to(device_of(self.data)).astype(self.data.dtype).detach()
        self[...] = other
        return self
