"""Changing the shape or the place: reshape, flatten, permute, indexing, joining, the way to another device.

No number is computed.

Shapes    reshape x -> any shape of as many elements     permute: the axes in another order     x[index]: as in NumPy
          cat: tensors that differ in one axis only -> one tensor, one after the other along it
          to: the same on another device     expand: axes of length 1 repeated     flip, split: slices
Backward  the way back: reshape to x's shape; the inverse permutation; zeros with grad_out added at the index (an
          element taken twice receives both); grad_out cut into slices again; grad_out on x's device;
          sums over the axes that were repeated
Saves     nothing but shapes and copies of indices, which must not change in between; the results of reshape, permute
          and x[index] share memory with x where NumPy can
Mirrors   none: works on either array library as it is
Test      tests/ops/test_shape.py
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ..autograd import Function
from ..device import array_module, full, plain_array, to_device
from ..precision import BFLOAT16, wide_dtype
from ..settings import whole
from ..types import Shape
from ..variable import V, Variable
from .arguments import axis, check_tensors, distinct_axes, with_numpys_words
from .summation import total

FEW_TIMES = 256  # additions to one element that float32 has digits enough for
LAST, BACK = (0, 2, 3, 1), (0, 3, 1, 2)  # axes (N, C, H, W) in the order (N, H, W, C), and these in the first again
BASIC = (int, slice, type(None), type(Ellipsis), np.integer)  # parts of an index that nobody can change afterwards


def reshape(x: V, shape: Shape) -> V:
    """x in another shape; one entry may be -1 and is worked out."""
    try:
        return Reshape.apply(x, shape=shape)
    except ValueError:
        raise ValueError(f"reshape: {x.data.shape} ({x.data.size} elements) does not fit into {shape}") from None


def flatten(input: V, start_dim: int = 0, end_dim: int = -1) -> V:
    """The axes from start_dim to end_dim as one, as ``torch.flatten``."""
    shape = input.data.shape or (1,)  # a single number becomes a row of one
    start, end = axis("flatten", "start_dim", start_dim, shape), axis("flatten", "end_dim", end_dim, shape)
    if start > end:  # else axes 1 to 3 of (N, 256, 6, 6) become one, (N, 9216)
        raise ValueError(f"flatten: start_dim {start_dim} to end_dim {end_dim} is no range of axes of {shape}")
    return reshape(input, (*shape[:start], math.prod(shape[start : end + 1]), *shape[end + 1 :]))


def permute(x: V, dims: Sequence[int]) -> V:
    """The axes in the order `dims`."""
    order = tuple(axis("permute", "dims", d, x.data.shape) for d in dims)
    if sorted(order) != list(range(x.data.ndim)):  # an axis is missing, or named twice
        raise ValueError(f"permute: {tuple(dims)} is no order of the {x.data.ndim} axes of {x.data.shape}")
    return Permute.apply(x, dims=order)


def transpose(x: V, dim0: int, dim1: int) -> V:
    """x with two axes swapped."""
    first, second = (axis("transpose", f"dim{i}", d, x.data.shape) for i, d in enumerate((dim0, dim1)))
    dims = list(range(x.data.ndim))
    dims[first], dims[second] = dims[second], dims[first]  # (0, 1, 2, 3) with 1 and 3 swapped: (0, 3, 2, 1)
    return permute(x, dims)


def getitem(x: V, index: Any) -> V:
    """x[index]: ints, slices, None, ..., boolean masks and integer arrays, as in NumPy."""
    return GetItem.apply(x, index=tuple(map(_index_part, _parts(index))))


def index_parts(index: Any, device: str) -> tuple[Any, ...]:
    """What is between the commas of an index, looked at as in x[index], for an array on `device`."""
    parts = map(_index_part, _parts(index))
    arrays = (part.data if isinstance(part, Variable) else part for part in parts)  # no gradient goes to an index
    return tuple(part if isinstance(part, BASIC) else to_device(part, device) for part in arrays)


def to(x: V, device: str) -> V:
    """x on `device`; its gradient comes back to where x is."""
    return ToDevice.apply(x, device=device)


@with_numpys_words
def cat(tensors: Iterable[V], dim: int = 0) -> V:
    """Tensors one after the other along the axis `dim`, as ``torch.cat``."""
    tensors = tuple(tensors)  # an iterator is used up once
    if not tensors:
        raise ValueError("cat: no tensors to put together")
    check_tensors("cat", {f"tensors[{i}]": tensor for i, tensor in enumerate(tensors)})
    dim = axis("cat", "dim", dim, tensors[0].data.shape)
    try:
        return Cat.apply(*tensors, dim=dim)
    except ValueError:
        shapes = ", ".join(str(t.data.shape) for t in tensors)
        raise ValueError(f"cat: shapes {shapes} must agree everywhere but at dim {dim}") from None


@with_numpys_words
def stack(tensors: Iterable[V], dim: int = 0) -> V:
    """Tensors of one shape side by side along a new axis `dim`, as ``torch.stack``."""
    tensors = tuple(tensors)
    if not tensors:
        raise ValueError("stack: no tensors to put together")
    check_tensors("stack", {f"tensors[{i}]": tensor for i, tensor in enumerate(tensors)})
    shapes = {t.data.shape for t in tensors}
    if len(shapes) > 1:
        raise ValueError(f"stack: shapes {', '.join(map(str, sorted(shapes)))} must be equal")
    dim = axis("stack", "dim", dim, tensors[0].data.shape, more=1)
    return cat([unsqueeze(t, dim) for t in tensors], dim)  # (H, W) -> (1, H, W) -> (N, H, W) at dim 0


def unsqueeze(x: V, dim: int) -> V:
    """x with one more axis, of length 1, at `dim`."""
    shape = x.data.shape
    at = axis("unsqueeze", "dim", dim, shape, more=1)
    return reshape(x, (*shape[:at], 1, *shape[at:]))  # (N, C) at 1: (N, 1, C)


def squeeze(x: V, dim: int | None = None) -> V:
    """x without the axes of length 1; with `dim`, without this one if its length is 1."""
    shape = x.data.shape
    gone = range(len(shape)) if dim is None else [axis("squeeze", "dim", dim, shape)]  # where a 1 may go
    return reshape(x, tuple(n for at, n in enumerate(shape) if n != 1 or at not in gone))


def expand(x: V, size: Shape) -> V:
    """x with axes of length 1 repeated, as ``torch.expand``: a view that can only be read."""
    own = (1,) * (len(size) - x.data.ndim) + x.data.shape  # more axes in front
    wanted = tuple(n if length == -1 else length for length, n in zip(size, own, strict=False))
    if len(own) != len(size) or any(n not in (1, length) for length, n in zip(wanted, own, strict=True)):
        raise ValueError(f"expand: {x.data.shape} does not repeat to {size}; lengths of 1 may grow, others stay")
    return Expand.apply(x, size=wanted)


def flip(x: V, dims: Sequence[int]) -> V:
    """x with these axes in reverse order, as ``torch.flip``."""
    if not dims:
        raise ValueError(f"flip: give the axes of {x.data.shape} to reverse")
    reverse = distinct_axes("flip", "dims", dims, x.data.shape)
    return getitem(x, tuple(slice(None, None, -1 if d in reverse else 1) for d in range(x.data.ndim)))


def split(x: V, split_size: int | Sequence[int], dim: int = 0) -> tuple[V, ...]:
    """x in pieces of that length along `dim`, or of those lengths, as ``torch.split``."""
    dim = axis("split", "dim", dim, x.data.shape)
    length = x.data.shape[dim]
    if isinstance(split_size, (list, tuple)):
        lengths = [whole("split", "a length of split_size", n, 0) for n in split_size]
        if sum(lengths) != length:
            raise ValueError(f"split: {lengths} must sum to the {length} of dim {dim} of {x.data.shape}")
    else:
        each = whole("split", "split_size", split_size)
        lengths = [min(each, length - start) for start in range(0, length, each)] or [0]
    ends = np.cumsum(lengths).tolist()
    before = (slice(None),) * dim
    return tuple(getitem(x, (*before, slice(end - n, end))) for end, n in zip(ends, lengths, strict=True))


class Reshape(Function):
    takes_bfloat16 = True

    def forward(self, x, shape):
        self.x_shape = x.shape
        return x.reshape(shape)  # a view where x's order in memory allows it

    def backward(self, grad_out):
        return grad_out.reshape(self.x_shape)


class Expand(Function):
    def forward(self, x, size):
        self.x_shape = x.shape
        return array_module(x).broadcast_to(x, size)  # strides of 0: each number stands there once

    def backward(self, grad_out):
        extra = grad_out.ndim - len(self.x_shape)
        stretched = [extra + i for i, n in enumerate(self.x_shape) if n == 1]
        return total(grad_out, (*range(extra), *stretched)).reshape(self.x_shape)


class Permute(Function):
    takes_bfloat16 = True

    def forward(self, x, dims):
        self.inverse = tuple(int(i) for i in np.argsort(dims))  # (2, 0, 1) -> (1, 2, 0): where each axis has come from
        return x.transpose(dims)  # a view: only the strides change

    def backward(self, grad_out):
        return grad_out.transpose(self.inverse)  # each axis back to its place


class GetItem(Function):
    takes_bfloat16 = True

    def forward(self, x, index):
        self.x_shape, self.channels_last = x.shape, _is_channels_last(x)
        self.index = tuple(
            part if isinstance(part, BASIC) else to_device(self.constant(part), self.device) for part in index
        )
        try:
            return x[self.index]  # a view for ints and slices, else a copy
        except IndexError as error:
            raise IndexError(f"x[...] of shape {x.shape}: {error}") from None

    def backward(self, grad_out):
        if all(isinstance(part, BASIC) for part in self.index):  # no element is taken twice
            bits = _bits(grad_out)
            grad_x = _zeros(bits, self.x_shape, self.channels_last)
            grad_x[self.index] = bits
            return grad_x.view(grad_out.dtype)
        most = max(part.size for part in self.index if not isinstance(part, BASIC))  # so often one may be taken
        dtype = np.float64 if most > FEW_TIMES else wide_dtype(grad_out.dtype)  # float32 would lose a percent of 10^6
        sums = full(grad_out, self.x_shape, 0).astype(dtype, copy=False)
        # sums[index] += ... would add only the last of several gradients for one element
        array_module(sums).add.at(sums, self.index, grad_out.astype(dtype, copy=False))
        return sums.astype(grad_out.dtype, copy=False)


class Cat(Function):
    takes_bfloat16 = True

    def forward(self, *arrays, dim):
        self.dim, lengths = dim, [array.shape[dim] for array in arrays]
        self.cuts = np.cumsum(lengths)[:-1]  # lengths 2, 3, 4 -> cuts at 2 and 5
        if all(map(_is_channels_last, arrays)) or _is_of_gpu(arrays[0], self.device):  # CuPy does not of itself
            last = [array.transpose(LAST) for array in arrays]  # (N, H, W, C)
            return np.concatenate(last, axis=LAST.index(dim)).transpose(BACK)
        return np.concatenate(arrays, axis=dim)

    def backward(self, grad_out):
        parts = np.split(grad_out, self.cuts, axis=self.dim)  # views, one for each tensor
        if self.device == "cpu":
            return tuple(parts)
        # on a GPU each kernel would copy what has gaps anew
        last = _is_channels_last(grad_out)
        return tuple(
            (part.transpose(LAST).copy().transpose(BACK) if last else part.copy()) if needed else None
            for part, needed in zip(parts, self.needs_input_grad, strict=True)
        )


class ToDevice(Function):
    takes_bfloat16 = True

    def forward(self, x, device):
        self.x_device = self.device  # now: later that is the result's
        return to_device(x, device)

    def backward(self, grad_out):
        return to_device(grad_out, self.x_device)  # the way back


def _is_channels_last(array):
    """Whether images (N, C, H, W) lie in memory as (N, H, W, C), and not as their shape says."""
    return array.ndim == 4 and not array.flags.c_contiguous and array.transpose(LAST).flags.c_contiguous


def _is_of_gpu(array, device):
    """Whether these are images in bfloat16 on a GPU, which are channels-last there, however they come."""
    return device == "cuda" and array.dtype == BFLOAT16 and array.ndim == 4


def _bits(array):
    """The array; of a bfloat16 one the same memory as integers, which CuPy copies without NVIDIA's headers."""
    return array.view(np.uint16) if array.dtype == BFLOAT16 else array


def _zeros(like, shape, channels_last):
    """Zeros of that shape in either order of memory."""
    return full(like, tuple(shape[i] for i in LAST), 0).transpose(BACK) if channels_last else full(like, shape, 0)


def _parts(index):
    return index if isinstance(index, tuple) else (index,)  # x[1, 2] gives a tuple, x[1] does not


def _index_part(part):
    """One of the parts of an index between its commas: a list, an array or a Tensor as an array or a Variable."""
    if isinstance(part, BASIC):
        return part
    if isinstance(part, list) and not part:
        part = np.empty(0, np.intp)  # NumPy would make floats of no numbers
    part = part if isinstance(part, Variable) else plain_array(part)
    dtype = part.data.dtype if isinstance(part, Variable) else part.dtype
    if dtype.kind not in "iub":  # integers, unsigned ones, booleans
        raise TypeError(f"x[...]: an index has integers, slices, None, ... and integer or boolean arrays, not {dtype}")
    return part
