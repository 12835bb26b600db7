"""Changing the shape: reshape, flatten, permute, indexing and concatenation. No number is computed.

Shapes    reshape x -> any shape of as many elements     permute: the axes in another order     x[index]: as in NumPy
          cat: tensors that differ in one axis only -> one tensor, one after the other along it
Backward  the way back: reshape to x's shape; the inverse permutation; zeros with grad_out added at the index (an
          element taken twice receives both); grad_out cut into the pieces
Saves     nothing but shapes and indices; the results of the first three share memory with x where NumPy can
Mirrors   none: works on either array library as it is
Test      tests/test_shape.py
"""

import math

import numpy as np

from ..autograd import Function, Variable
from ..device import array_module, full


def reshape(x, shape):
    """x in another shape; one entry may be -1 and is worked out."""
    try:
        return Reshape.apply(x, shape=shape)
    except ValueError:
        raise ValueError(f"reshape: {x.data.shape} ({x.data.size} elements) does not fit into {shape}") from None


def flatten(input, start_dim=0, end_dim=-1):
    """The axes from start_dim to end_dim as one, as ``torch.flatten``."""
    ndim = input.data.ndim
    if not (-ndim <= start_dim < ndim and -ndim <= end_dim < ndim and start_dim % ndim <= end_dim % ndim):
        raise ValueError(
            f"flatten: start_dim {start_dim} to end_dim {end_dim} is no range of axes of {input.data.shape}"
        )
    start, end, shape = start_dim % ndim, end_dim % ndim, input.data.shape
    return reshape(input, (*shape[:start], math.prod(shape[start : end + 1]), *shape[end + 1 :]))


def permute(x, dims):
    """The axes in the order `dims`."""
    if sorted(d % x.data.ndim if -x.data.ndim <= d < x.data.ndim else d for d in dims) != list(range(x.data.ndim)):
        raise ValueError(f"permute: {tuple(dims)} is no order of the {x.data.ndim} axes of {x.data.shape}")
    return Permute.apply(x, dims=tuple(dims))


def transpose(x, dim0, dim1):
    """x with two axes swapped."""
    ndim = x.data.ndim
    if not (-ndim <= dim0 < ndim and -ndim <= dim1 < ndim):
        raise ValueError(f"transpose: dims {dim0}, {dim1} are not axes of shape {x.data.shape}")
    dims = list(range(ndim))
    dims[dim0], dims[dim1] = dims[dim1], dims[dim0]
    return permute(x, dims)


def getitem(x, index):
    """x[index]: ints, slices, None, ..., boolean masks and integer arrays, as in NumPy."""
    parts = index if isinstance(index, tuple) else (index,)
    return GetItem.apply(x, index=tuple(part.data if isinstance(part, Variable) else part for part in parts))


def cat(tensors, dim=0):
    """Tensors one after the other along the axis `dim`, as ``torch.cat``."""
    tensors = tuple(tensors)
    if not tensors:
        raise ValueError("cat: no tensors to put together")
    if not -tensors[0].data.ndim <= dim < tensors[0].data.ndim:
        raise ValueError(f"cat: dim {dim} is not an axis of shape {tensors[0].data.shape}")
    try:
        return Cat.apply(*tensors, dim=dim)
    except ValueError:
        shapes = ", ".join(str(t.data.shape) for t in tensors)
        raise ValueError(f"cat: shapes {shapes} must agree everywhere but at dim {dim}") from None


class Reshape(Function):
    def forward(self, x, shape):
        self.x_shape = x.shape
        return x.reshape(shape)

    def backward(self, grad_out):
        return grad_out.reshape(self.x_shape)


class Permute(Function):
    def forward(self, x, dims):
        self.inverse = tuple(int(i) for i in np.argsort([d % x.ndim for d in dims]))
        return x.transpose(dims)

    def backward(self, grad_out):
        return grad_out.transpose(self.inverse)


class GetItem(Function):
    def forward(self, x, index):
        self.x_shape, self.index = x.shape, index
        return x[index]

    def backward(self, grad_out):
        grad_x = full(grad_out, self.x_shape, 0)
        array_module(grad_x).add.at(grad_x, self.index, grad_out)
        return grad_x


class Cat(Function):
    def forward(self, *arrays, dim):
        self.dim, lengths = dim, [array.shape[dim] for array in arrays]
        self.cuts = np.cumsum(lengths)[:-1]
        return np.concatenate(arrays, axis=dim)

    def backward(self, grad_out):
        return tuple(np.split(grad_out, self.cuts, axis=self.dim))
