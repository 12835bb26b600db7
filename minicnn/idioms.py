"""PyTorch's other names for what a Tensor does: code from there runs here as it is written.

Nothing is computed in this file: each method calls the one that is documented in ``tensor.py`` or ``protocols.py``.
"""

import numpy as np


class Count(int):
    """A number of elements, ``tensor.size`` as in NumPy; called, ``tensor.size(0)`` as in PyTorch."""

    def __new__(cls, shape):
        count = super().__new__(cls, np.prod(shape, dtype=np.int64))
        count.shape = shape
        return count

    def __call__(self, dim=None):
        return self.shape if dim is None else self.shape[dim]


class TorchIdioms:
    """Further names of a Tensor's methods."""

    # Its shape

    @property
    def size(self):
        """The number of elements; ``size()`` is the shape and ``size(dim)`` the length of one axis."""
        return Count(self.shape)

    def numel(self):
        return int(self.size)

    def dim(self):
        return self.ndim

    def view(self, *shape):
        return self.reshape(*shape)

    def view_as(self, other):
        return self.reshape(*other.shape)

    def contiguous(self):
        return self

    @property
    def T(self):
        return self.permute(*reversed(range(self.ndim)))

    def t(self):
        return self.T

    # Its place, its dtype, a copy

    def cpu(self):
        return self.to("cpu")

    def cuda(self):
        return self.to("cuda")

    @property
    def is_cuda(self):
        return self.device == "cuda"

    @property
    def is_leaf(self):
        return self.node is None

    def float(self):
        return self.astype(np.float32)

    def double(self):
        return self.astype(np.float64)

    def int(self):
        return self.astype(np.int32)

    def long(self):
        return self.astype(np.int64)

    def bool(self):
        return self.astype(np.bool_)

    # Comparisons

    def eq(self, other):
        return self == other

    def ne(self, other):
        return self != other

    def lt(self, other):
        return self < other

    def le(self, other):
        return self <= other

    def gt(self, other):
        return self > other

    def ge(self, other):
        return self >= other

    # Arithmetic

    def pow(self, exponent):
        return self**exponent

    def square(self):
        return self * self

    def sqrt(self):
        return self**0.5

    def matmul(self, other):
        return self @ other

    def mm(self, other):
        return self @ other

    def var(self, dim=None, correction=1, keepdim=False):
        """The variance over `dim`, the sum of squares divided by M - correction. ValueError for too few values."""
        mean = self.mean(dim, keepdim=True)
        count = self.numel() // mean.numel() if mean.numel() else 0
        if count <= correction:
            raise ValueError(
                f"var: {count} values over dim {dim} of shape {self.shape}, and {correction} are taken off"
            )
        return ((self - mean) ** 2).sum(dim, keepdim) / (count - correction)

    def std(self, dim=None, correction=1, keepdim=False):
        """The square root of ``var``."""
        return self.var(dim, correction, keepdim).sqrt()

    # In place, under no_grad or outside the graph

    def add_(self, other, alpha=1):
        self += other if alpha == 1 else alpha * other
        return self

    def sub_(self, other, alpha=1):
        self -= other if alpha == 1 else alpha * other
        return self

    def mul_(self, other):
        self *= other
        return self

    def div_(self, other):
        self /= other
        return self

    def zero_(self):
        self[...] = 0
        return self

    def fill_(self, value):
        self[...] = value
        return self

    def copy_(self, other):
        """Take over the values of `other`, which may be on the other device and of another dtype."""
        self[...] = other.to(self.device).astype(self.dtype).detach() if hasattr(other, "detach") else other
        return self
