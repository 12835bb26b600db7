"""PyTorch's other names for what a Tensor does: code from there runs here as it is written.

Nothing is computed in this file: each method calls the one that is documented in ``tensor.py`` or ``protocols.py``.
"""

from __future__ import annotations

import builtins
from typing import Any, Self

import numpy as np

from .device import device_of
from .types import Shape
from .variable import Variable


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
        return self.T

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

    def float(self) -> Self:
        """``x.astype(float32)``."""
        return self.astype(np.float32)

    def double(self) -> Self:
        """``x.astype(float64)``."""
        return self.astype(np.float64)

    def int(self) -> Self:
        """``x.astype(int32)``."""
        return self.astype(np.int32)

    def long(self) -> Self:
        """``x.astype(int64)``."""
        return self.astype(np.int64)

    def bool(self) -> Self:
        """``x.astype(bool)``."""
        return self.astype(np.bool_)

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

    def pow(self, exponent: builtins.float) -> Self:
        """``x ** exponent``."""
        return self**exponent

    def square(self) -> Self:
        """``x * x``."""
        return self * self

    def sqrt(self) -> Self:
        """``x ** 0.5``."""
        return self**0.5

    def matmul(self, other: Any) -> Self:
        """``x @ other``."""
        return self @ other

    mm = matmul

    def var(self, dim: Any = None, correction: builtins.int = 1, keepdim: builtins.bool = False) -> Self:
        """The variance over `dim`, the sum of squares divided by M - correction. ValueError for too few values."""
        mean = self.mean(dim, keepdim=True)
        count = self.numel() // mean.numel() if mean.numel() else 0
        if count <= correction:
            what = f"{count} values over dim {dim} of shape {self.data.shape}, and {correction} are taken off"
            raise ValueError(f"var: {what}")
        return ((self - mean) ** 2).sum(dim, keepdim) / (count - correction)

    def std(self, dim: Any = None, correction: builtins.int = 1, keepdim: builtins.bool = False) -> Self:
        """The square root of ``var``."""
        return self.var(dim, correction, keepdim).sqrt()

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
